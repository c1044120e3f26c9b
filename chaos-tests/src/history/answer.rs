//! What a client is told: that it was done, with the facts, that it was certainly not, or nothing certain.

use serde::{Deserialize, Serialize};

use super::request::{KeyValue, unset};

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// It was done.
    Ok(Answered),
    /// It was certainly not done.
    Failed(Failure),
    /// It may have been done, once, now or later; the reason is for people.
    Unknown(String),
}

/// An answer with its header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// The header's revision.
    pub revision: i64,
    /// The header's raft term; 0 when the recorder does not keep it.
    #[serde(default, skip_serializing_if = "unset")]
    pub term: u64,
    /// The answer.
    pub answer: Answer,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Which.
    pub code: Code,
    /// The server's words.
    #[serde(default, skip_serializing_if = "unset")]
    pub message: String,
}

/// Which refusal; only those that a checker distinguishes have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The revision is below the compacted one.
    Compacted,
    /// The revision is above the present one.
    FutureRevision,
    /// There is no such lease.
    LeaseNotFound,
    /// There is such a lease already.
    LeaseExists,
    /// Any other that says the operation has had no effect.
    Other,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// To a range.
    Range(Ranged),
    /// To a put.
    Put(PutDone),
    /// To a delete.
    Delete(Deleted),
    /// To a transaction.
    Txn(TxnDone),
    /// To a compaction, revoke, unlock, resign.
    Done,
    /// To a grant.
    Granted(Granted),
    /// To a keep-alive.
    KeptAlive(KeptAlive),
    /// To a time-to-live.
    TimeToLive(TtlLeft),
    /// To a lock or a campaign.
    Held(Held),
}

/// Keys found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranged {
    /// In the order of their keys.
    #[serde(default, skip_serializing_if = "unset")]
    pub kvs: Vec<KeyValue>,
    /// Whether the limit left some out.
    #[serde(default, skip_serializing_if = "unset")]
    pub more: bool,
    /// All there are.
    #[serde(default, skip_serializing_if = "unset")]
    pub count: i64,
}

/// A put that was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutDone {
    /// The key as it was, when that was asked.
    #[serde(default, skip_serializing_if = "unset")]
    pub previous: Option<KeyValue>,
}

/// A delete that was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// How many keys there were.
    #[serde(default, skip_serializing_if = "unset")]
    pub deleted: i64,
    /// Them, when that was asked.
    #[serde(default, skip_serializing_if = "unset")]
    pub previous: Vec<KeyValue>,
}

/// A transaction that was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TxnDone {
    /// Whether all compares held.
    pub succeeded: bool,
    /// To each operation of the branch.
    #[serde(default, skip_serializing_if = "unset")]
    pub answers: Vec<Answer>,
}

/// A lease that was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// Seconds, at least what was asked.
    pub ttl: i64,
}

/// A renewal's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptAlive {
    /// Seconds; 0 when there is no such lease.
    pub ttl: i64,
}

/// What is left of a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtlLeft {
    /// Seconds granted.
    pub granted: i64,
    /// Seconds left; −1 when there is no such lease.
    pub remaining: i64,
}

/// A lock that is held, or an election that is won.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The owner key.
    pub key: String,
    /// The fencing token: the owner key's create revision.
    pub token: i64,
}

impl Answer {
    /// Whether an operation with this answer has raised the revision.
    #[must_use]
    pub fn changed_keys(&self) -> bool {
        match self {
            Answer::Put(_) => true,
            Answer::Delete(deleted) => deleted.deleted > 0,
            Answer::Txn(txn) => txn.answers.iter().any(Answer::changed_keys),
            _ => false,
        }
    }

    /// Every key with its value that the answer shows as of now (not the previous ones).
    #[must_use]
    pub fn shown(&self) -> Vec<&KeyValue> {
        match self {
            Answer::Range(ranged) => ranged.kvs.iter().collect(),
            Answer::Txn(txn) => txn.answers.iter().flat_map(Answer::shown).collect(),
            _ => Vec::new(),
        }
    }
}
