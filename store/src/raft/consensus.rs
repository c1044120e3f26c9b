//! The door of `store::raft`: what the services ask of it, whichever member they run on.

use std::fmt;

use super::trace::Trace;
use crate::apply::{Applied, Command};

/// A member's id: etcd's, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub u64);

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Why a request could not be served by the cluster now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// No answer in etcd's budget (5 s + 2 × election timeout). A write may still happen.
    #[error("request timed out")]
    Timeout,
    /// No leader was known in all that time, so that nothing was proposed.
    #[error("context deadline exceeded")]
    DeadlineExceeded,
    /// No answer in time, and the leader changed meanwhile.
    #[error("request timed out, possibly due to previous leader failure")]
    TimeoutLeaderFailed,
    /// As above, and this member has lost the others.
    #[error("request timed out, possibly due to connection lost")]
    TimeoutConnectionLost,
    /// No leader was there to ask in all that time. Nothing was done.
    #[error("no leader")]
    NoLeader,
    /// The leader changed while a read waited.
    #[error("leader changed")]
    LeaderChanged,
    /// More is in flight than `proposals_inflight_bytes_max`, or apply is too far behind. Nothing was proposed.
    #[error("too many requests")]
    TooManyRequests,
    /// Larger than `request_bytes_max`. Nothing was proposed.
    #[error("request is too large")]
    TooLarge,
    /// This member is stopping. A write may still happen.
    #[error("server stopped")]
    Stopped,
    /// A leadership transfer to somebody who is no voter.
    #[error("bad leader transferee")]
    BadTransferee,
    /// Only the leader can do it, and it is another member.
    #[error("not leader")]
    NotLeader,
    /// A leadership transfer did not end in time.
    #[error("request timed out, leader transfer took too long")]
    TransferTimeout,
}

/// What is known here of the group, now. Indexes are as etcd counts them: openraft's + 1, 0 for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftStatus {
    /// This member.
    pub member: u64,
    /// Its cluster.
    pub cluster: u64,
    /// The leader, where one is known and has been heard within its lease.
    pub leader: Option<u64>,
    /// The current term.
    pub term: u64,
    /// Last entry in the log.
    pub last_index: u64,
    /// Last entry known to be committed.
    pub committed_index: u64,
    /// Last entry applied.
    pub applied_index: u64,
    /// Whether this member is a learner.
    pub learner: bool,
}

/// A lease's time, as the leader tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTime {
    /// Seconds left.
    pub remaining: i64,
    /// Seconds granted.
    pub granted: i64,
}

/// The replicated log as the services use it. Any member serves any call: what only the leader can do goes to it.
#[tonic::async_trait]
pub trait Consensus: Send + Sync + 'static {
    /// Replicates a command and waits until this member has applied it.
    ///
    /// # Errors
    /// [`Unserved`]: `TooManyRequests` and `TooLarge` changed nothing; after any other the command may still be applied.
    ///
    /// # Cancel safety
    /// A dropped call may still be applied.
    async fn propose(&self, command: Command) -> Result<Applied, Unserved>;

    /// As [`propose`](Self::propose), and tells `trace` how far the command has come.
    ///
    /// # Errors
    /// As [`propose`](Self::propose).
    ///
    /// # Cancel safety
    /// A dropped call may still be applied.
    async fn propose_traced(&self, command: Command, _trace: &Trace) -> Result<Applied, Unserved> {
        self.propose(command).await
    }

    /// Returns once this member's state holds everything that was acknowledged anywhere before the call.
    ///
    /// # Errors
    /// [`Unserved`] where leadership could not be proved in time. The state must then not be read.
    async fn read_barrier(&self) -> Result<(), Unserved>;

    /// Extends a lease on the leader, in memory, after proof of leadership. `None`: no such lease.
    ///
    /// # Errors
    /// [`Unserved`] where the leader could not be asked or could not prove that it leads.
    async fn renew_lease(&self, id: i64) -> Result<Option<i64>, Unserved>;

    /// A lease's remaining and granted seconds, from the leader. `None`: no such lease.
    ///
    /// # Errors
    /// [`Unserved`] as for renewal.
    async fn lease_time(&self, id: i64) -> Result<Option<LeaseTime>, Unserved>;

    /// Hands leadership to `target`, and waits until it leads. Only on the leader.
    ///
    /// # Errors
    /// `NotLeader`, `BadTransferee`, `TransferTimeout`.
    async fn move_leader(&self, target: MemberId) -> Result<(), Unserved>;

    /// What is known now. Cheap: atomics only.
    fn status(&self) -> RaftStatus;

    /// Follows the leader as this member sees it; `None` where it has heard of none within the leader's lease.
    fn watch_leader(&self) -> tokio::sync::watch::Receiver<Option<MemberId>>;
}
