//! Raft: openraft is named only in this room.

mod consensus;
mod types;
mod wire;

pub use consensus::{Consensus, LeaseTime, MemberId, RaftStatus, Unserved};
