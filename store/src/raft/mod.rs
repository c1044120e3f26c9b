//! Raft: openraft is named only in this room.

mod consensus;

pub use consensus::{Consensus, LeaseTime, MemberId, RaftStatus, Unserved};
