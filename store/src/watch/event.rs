//! A committed change, as apply hands it to the hub and as history gives it back.

use bytes::Bytes;

/// What kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The key got a value; `created` when it had none before (create_revision = mod_revision).
    Put {
        /// The key did not exist before.
        created: bool,
    },
    /// The key lost its value.
    Delete,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key.
    pub key: Bytes,
    /// Put or delete.
    pub kind: Kind,
    /// The encoded `mvccpb.Event` without `prev_kv`: type and kv. Appending field 3 gives the one with it.
    pub encoded: Bytes,
    /// (main, sub) of the key's change before this one, where there was one; whether it can still be read is another matter.
    pub previous: Option<(i64, i64)>,
}

/// All changes of one revision, in the order of their sub-revisions. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionEvents {
    /// The main revision.
    pub revision: i64,
    /// In sub-revision order.
    pub events: Vec<Event>,
}
