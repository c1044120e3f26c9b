//! What a client asks.
//!
//! Keys and values are text ([`super::text`]); a range is `key` up to but without `end`, a single key without `end`, and
//! everything from `key` on when `end` is `"\0"`, as in etcd's RangeRequest. Fields at their default are not written.

use serde::{Deserialize, Serialize};

/// Whether a field need not be written.
pub(super) fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A key with its value and its revisions (etcd: mvccpb.KeyValue).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "unset")]
    pub value: String,
    /// The revision of its creation.
    #[serde(rename = "create")]
    pub create_revision: i64,
    /// The revision of its last put.
    #[serde(rename = "mod")]
    pub mod_revision: i64,
    /// Puts since its creation, 1 for the creation.
    pub version: i64,
    /// The lease it is attached to, 0 for none.
    #[serde(default, skip_serializing_if = "unset")]
    pub lease: i64,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// A get of a key or a range.
    Range(Range),
    /// A put.
    Put(Put),
    /// A delete of a key or a range.
    Delete(Delete),
    /// A transaction.
    Txn(Txn),
    /// A compaction.
    Compact(Compact),
    /// A new lease.
    Grant(Grant),
    /// The end of a lease with its keys.
    Revoke(Revoke),
    /// A renewal of a lease.
    KeepAlive(KeepAlive),
    /// What is left of a lease.
    TimeToLive(TimeToLive),
    /// A lock; answers when it is held.
    Lock(Lock),
    /// The release of a lock.
    Unlock(Unlock),
    /// A candidacy; answers when it is won.
    Campaign(Campaign),
    /// The end of a leadership.
    Resign(Resign),
}

/// A get of a key or a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The key, or the first of the range.
    pub key: String,
    /// The first key behind the range.
    #[serde(default, skip_serializing_if = "unset")]
    pub end: Option<String>,
    /// An old revision to read at; 0 for the present.
    #[serde(default, skip_serializing_if = "unset")]
    pub revision: i64,
    /// At most so many keys; 0 for all.
    #[serde(default, skip_serializing_if = "unset")]
    pub limit: i64,
    /// Served by the member that was asked from what it has.
    #[serde(default, skip_serializing_if = "unset")]
    pub serializable: bool,
    /// Without values.
    #[serde(default, skip_serializing_if = "unset")]
    pub keys_only: bool,
    /// Without keys.
    #[serde(default, skip_serializing_if = "unset")]
    pub count_only: bool,
}

/// A put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// The key.
    pub key: String,
    /// Its new value; unique in a run, or the checkers see less.
    pub value: String,
    /// The lease to attach it to; 0 for none.
    #[serde(default, skip_serializing_if = "unset")]
    pub lease: i64,
    /// Whether the answer holds the key as it was before.
    #[serde(default, skip_serializing_if = "unset")]
    pub previous: bool,
}

/// A delete of a key or a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// The key, or the first of the range.
    pub key: String,
    /// The first key behind the range.
    #[serde(default, skip_serializing_if = "unset")]
    pub end: Option<String>,
    /// Whether the answer holds the keys as they were before.
    #[serde(default, skip_serializing_if = "unset")]
    pub previous: bool,
}

/// A transaction; its operations are `range`, `put`, `delete` and `txn`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Txn {
    /// All must hold for `success`.
    #[serde(default, skip_serializing_if = "unset")]
    pub compares: Vec<Compare>,
    /// Done when all compares hold.
    #[serde(default, skip_serializing_if = "unset")]
    pub success: Vec<Request>,
    /// Done when one does not.
    #[serde(default, skip_serializing_if = "unset")]
    pub failure: Vec<Request>,
}

/// One condition of a transaction: `key`'s target `is` … `to`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The key.
    pub key: String,
    /// How the two relate.
    pub is: Relation,
    /// What of the key, and what it is compared with.
    pub to: Target,
}

/// How a target relates to what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// The same.
    Equal,
    /// Greater.
    Greater,
    /// Less.
    Less,
    /// Not the same.
    NotEqual,
}

/// What of a key is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Target {
    /// Its version; 0 when there is no such key.
    Version(i64),
    /// The revision of its creation; 0 when there is no such key.
    Create(i64),
    /// The revision of its last put; 0 when there is no such key.
    Mod(i64),
    /// Its value; never holds when there is no such key.
    Value(String),
    /// Its lease.
    Lease(i64),
}

/// A compaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compact {
    /// Everything older is given up.
    pub revision: i64,
    /// Whether the answer waits for the removal.
    #[serde(default, skip_serializing_if = "unset")]
    pub physical: bool,
}

/// A new lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its id, chosen by the client.
    pub lease: i64,
    /// Its TTL, seconds.
    pub ttl: i64,
}

/// The end of a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The lease.
    pub lease: i64,
}

/// A renewal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepAlive {
    /// The lease.
    pub lease: i64,
}

/// What is left of a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeToLive {
    /// The lease.
    pub lease: i64,
}

/// A lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Its name: the owner keys are `name/…`.
    pub name: String,
    /// The lease that it is held under.
    pub lease: i64,
}

/// The release of a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The owner key.
    pub key: String,
}

/// A candidacy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// The election: the owner keys are `name/…`.
    pub name: String,
    /// The lease that it is led under.
    pub lease: i64,
    /// What the leader proclaims.
    pub value: String,
}

/// The end of a leadership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resign {
    /// The owner key.
    pub key: String,
    /// Its create revision.
    pub token: i64,
}

impl Request {
    /// Whether it can change keys or leases when it succeeds.
    #[must_use]
    pub fn may_write(&self) -> bool {
        match self {
            Request::Range(_) | Request::KeepAlive(_) | Request::TimeToLive(_) => false,
            Request::Txn(txn) => txn.success.iter().chain(&txn.failure).any(Request::may_write),
            _ => true,
        }
    }

    /// Every value it would put, with its key, whichever branch is taken.
    #[must_use]
    pub fn puts(&self) -> Vec<&Put> {
        match self {
            Request::Put(put) => vec![put],
            Request::Txn(txn) => txn.success.iter().chain(&txn.failure).flat_map(Request::puts).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it could delete the key, whichever branch is taken.
    #[must_use]
    pub fn may_delete(&self, key: &str) -> bool {
        match self {
            Request::Delete(delete) => covers(&delete.key, delete.end.as_deref(), key),
            Request::Txn(txn) => txn.success.iter().chain(&txn.failure).any(|op| op.may_delete(key)),
            Request::Unlock(unlock) => unlock.key == key,
            Request::Resign(resign) => resign.key == key,
            _ => false,
        }
    }
}

/// Whether a range holds a key.
#[must_use]
pub(crate) fn covers(first: &str, end: Option<&str>, key: &str) -> bool {
    match end {
        None => first == key,
        Some("\0") => first <= key,
        Some(end) => first <= key && key < end,
    }
}
