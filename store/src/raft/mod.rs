//! Raft: replication, leadership and reads. openraft is named only in this room.
//!
//! ```text
//! Consensus ─▶ node ─▶ proposer ─▶ openraft ─▶ log_store ─▶ store::log
//!                └─▶ read_index       ├─▶ network ─▶ peers
//!                                     └─▶ state_machine ─▶ apply ─▶ answers
//! ```
//! openraft decides; this room owns what it leaves open: one packed batch in flight a member, shared ReadIndex rounds, a
//! deadline on every reply, pre-vote on the wire, whose answer goes where, and the end of a member whose core is dead.

mod answers;
mod consensus;
mod leader;
mod leases;
mod log_store;
mod network;
mod node;
mod proposer;
mod read_index;
mod receiving;
mod retention;
mod runtime;
mod silence;
mod snapshot;
mod start;
mod state_dir;
mod state_machine;
mod timing;
mod trace;
mod transfer;
mod types;
mod watchdog;
pub(crate) mod wire;

#[cfg(test)]
mod leader_test;
#[cfg(test)]
mod peer_test;
#[cfg(test)]
mod suite_test;

pub use consensus::{Consensus, LeaseTime, MemberId, RaftStatus, Unserved};
pub use network::{Dial, Failure, InProcess, Way};
pub use node::{Handle, Node};
pub use snapshot::Exporter;
pub use start::{
    End, Error, Membership, Opened, Outside, Rooms, Running, open, open_state, restored_membership, start,
};
pub use state_dir::OpenEngine;
pub(crate) use state_dir::replace_file;
pub use trace::{Spent, Trace};
