//! Raft: openraft is named only in this room.

mod consensus;
mod types;
pub(crate) mod wire;

pub use consensus::{Consensus, LeaseTime, MemberId, RaftStatus, Unserved};
