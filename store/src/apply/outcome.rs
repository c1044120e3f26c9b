//! What applying a command gave: the answer for its proposer.

use fairlead_proto::served::etcdserverpb as pb;

/// A command's answer. Message headers are `None`: `rpc::header` fills them.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Of a put.
    Put(pb::PutResponse),
    /// Of a delete.
    DeleteRange(pb::DeleteRangeResponse),
    /// Of a transaction; nested headers are present with revision 0, as etcd's are.
    Txn(pb::TxnResponse),
    /// Of a compaction: recorded; `physical` removal may be awaited at the local store.
    Compact,
    /// Of a grant: id and TTL in seconds.
    LeaseGrant {
        /// The lease.
        id: i64,
        /// Granted TTL, seconds.
        ttl: i64,
    },
    /// Of a revocation, by a client or by expiry.
    LeaseRevoke,
    /// Of a checkpoint.
    LeaseCheckpoint,
    /// Of an alarm: those that the command changed (`ACTIVATE`, `DEACTIVATE`).
    Alarm(Vec<pb::AlarmMember>),
    /// Of a member's attributes.
    MemberPublish,
}

/// Why a valid command changed nothing. These are answers, the same on every member, and not faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A key that `ignore_value` or `ignore_lease` needs does not exist.
    #[error("key not found")]
    KeyNotFound,
    /// The lease does not exist.
    #[error("requested lease not found")]
    LeaseNotFound,
    /// The lease id is taken.
    #[error("lease already exists")]
    LeaseExists,
    /// Below the compact revision.
    #[error("required revision has been compacted")]
    Compacted,
    /// Above the current revision.
    #[error("required revision is a future revision")]
    FutureRevision,
    /// The NOSPACE alarm is active, or (for a put that was applied all the same) the quota is reached.
    #[error("database space exceeded")]
    NoSpace,
    /// The CORRUPT alarm is active.
    #[error("corrupt cluster")]
    Corrupt,
}

/// A command applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The store's revision after it: of the change, or the current one where nothing changed.
    pub revision: i64,
    /// The log entry's index, as openraft counts.
    pub index: u64,
    /// The answer.
    pub outcome: Result<Outcome, Refusal>,
}
