//! The little of an etcd v3 store that storage needs.
//!
//! Everything above works on this trait, so that one suite proves it over our store, over a real etcd, in memory, and over
//! stores that lag or lose events.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Error, Key, Record, Revision, Scope};

/// A range of keys.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    /// Which keys.
    pub scope: &'a Scope,
    /// The first key, if not the scope's.
    pub start: Option<&'a str>,
    /// Records in the answer; `None` for all.
    pub limit: Option<usize>,
    /// As it was at this revision; `None` is linearizable.
    pub revision: Option<Revision>,
}

/// What a range has.
#[derive(Clone, Debug)]
pub struct Ranged {
    /// In key order.
    pub records: Vec<Record>,
    /// Records from the range's start on, those behind the limit included.
    pub count: usize,
    /// The store's revision when it was read.
    pub revision: Revision,
}

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Set it; with a time to live, the store removes it some time after that has passed.
    Put {
        /// The stored object.
        value: Bytes,
        /// How long it lives.
        ttl: Option<Duration>,
    },
    /// Delete it.
    Delete,
}

/// How a write under a precondition has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped<T> {
    /// It is done, at this revision.
    Done(Revision),
    /// The key was something else, namely this, and has not been touched.
    Lost(Option<T>),
}

/// One key's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawChange {
    /// Which key.
    pub key: Key,
    /// When.
    pub revision: Revision,
    /// Its value; `None` when it was deleted.
    pub value: Option<Bytes>,
    /// What it was before, unless that has been compacted away.
    pub previous: Option<Record>,
    /// Whether it did not exist before.
    pub created: bool,
}

/// What a store's watch delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Changes, in revision order; never empty, and a revision's changes are never split.
    Changes(Vec<RawChange>),
    /// Everything up to this revision has been delivered.
    Progress(Revision),
}

/// An etcd v3 store.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// Reads keys.
    ///
    /// # Errors
    /// [`Error::Expired`] and [`Error::TooLargeRevision`] for a revision that is gone or not yet there; that the store cannot
    /// be asked.
    async fn range(&self, range: Range<'_>) -> Result<Ranged, Error>;

    /// How many keys there are.
    ///
    /// # Errors
    /// That the store cannot be asked.
    async fn count(&self, scope: &Scope) -> Result<usize, Error>;

    /// Writes a key if it was last changed at `expected`; `None` expects that there is none.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when nobody can tell whether it has taken effect; else it has not.
    async fn swap(&self, key: &Key, expected: Option<Revision>, write: Write) -> Result<Swapped<Record>, Error>;

    /// Watches keys from this revision's changes on, with their previous state. Nothing is sent until it is awaited.
    fn watch(&self, scope: &Scope, from: Revision) -> Box<dyn BackendWatch>;

    /// The current revision, linearizable.
    ///
    /// # Errors
    /// That the store cannot be asked.
    async fn revision(&self) -> Result<Revision, Error>;

    /// Gives up the history below a revision.
    ///
    /// # Errors
    /// [`Error::Expired`] when it is gone already; that the store cannot be asked, or that nobody can tell.
    async fn compact(&self, revision: Revision) -> Result<(), Error>;

    /// Whether a watch's progress can be believed; some releases of etcd report it before the events that it covers.
    async fn is_progress_trusted(&self) -> bool;
}

/// A store's watch. It survives lost connections without a gap or a repeat.
#[async_trait]
pub trait BackendWatch: Send {
    /// What comes next; waits as long as it takes.
    ///
    /// # Errors
    /// [`Error::Expired`] when the next change has been compacted away; that the store refuses. Awaiting it again tries anew
    /// from the same revision.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn next(&mut self) -> Result<Update, Error>;

    /// Asks for an [`Update::Progress`]. It may not come while changes are on their way, or when the connection is lost.
    ///
    /// # Errors
    /// As for [`BackendWatch::next`].
    async fn request_progress(&mut self) -> Result<(), Error>;
}
