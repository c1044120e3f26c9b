//! What storage can answer instead of an object. The mapping to a Status is made elsewhere.

use std::sync::Arc;

use super::{Key, Revision};

/// A cause of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why storage has not done what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such object.
    #[error("{key} not found")]
    NotFound {
        /// Which.
        key: Key,
    },
    /// There already is such an object.
    #[error("{key} already exists")]
    Exists {
        /// Which.
        key: Key,
    },
    /// The object is not, or no longer, the one that was meant.
    #[error("precondition of {key} failed: {what} is {found}, not {expected}")]
    Precondition {
        /// Which.
        key: Key,
        /// `UID` or `ResourceVersion`.
        what: &'static str,
        /// What the caller named.
        expected: String,
        /// What the object has.
        found: String,
    },
    /// That revision is gone.
    #[error("revision {requested} has been compacted")]
    Expired {
        /// What was asked for.
        requested: Revision,
        /// The compacted revision, if the store has said it: what is newer can be read.
        compacted: Option<Revision>,
        /// A token with which the rest of a list can be had at the current revision, at the price of consistency.
        continue_token: Option<String>,
    },
    /// That revision has not been reached, not even after waiting for it.
    #[error("too large resource version: {requested}, current: {current}")]
    TooLargeRevision {
        /// What was asked for.
        requested: Revision,
        /// How far storage is.
        current: Revision,
    },
    /// A continue token that was not made here, or not for this list.
    #[error("continue key is not valid: {reason}")]
    InvalidContinue {
        /// What is wrong with it.
        reason: String,
    },
    /// A name or namespace that would leave its collection.
    #[error("invalid name {segment:?}: {reason}")]
    InvalidName {
        /// As it was given.
        segment: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The object lies in the store but cannot be read.
    #[error("{0}")]
    Undecodable(#[source] Arc<Undecodable>),
    /// The store refuses a request of this size.
    #[error("request is too large for the store")]
    RequestTooLarge,
    /// The store could not be asked, or has refused: nothing has changed.
    #[error("store is unavailable")]
    Unavailable {
        /// What the client said.
        #[source]
        source: Arc<BoxError>,
    },
    /// A write was sent and nobody can tell whether it has taken effect. Reading back tells.
    #[error("outcome unknown, the write may have taken effect")]
    OutcomeUnknown {
        /// What the client said.
        #[source]
        source: Arc<BoxError>,
    },
    /// The cache has not read its resource yet: try again shortly.
    #[error("cache of {prefix} is not ready")]
    NotReady {
        /// Of which collection.
        prefix: Arc<str>,
    },
    /// A watcher has not taken its events in time, and was closed so that others need not wait. Watching again from its last
    /// revision goes on without a gap.
    #[error("watcher was too slow")]
    TooSlow,
    /// The watch's source has ended: the cache begins anew, or the process ends. Watching again from its last revision goes
    /// on without a gap, or says that this revision is gone.
    #[error("watch has ended")]
    Ended,
}

/// An object that lies in the store but cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{key} at revision {revision} cannot be decoded: {source}")]
pub struct Undecodable {
    /// Which.
    pub key: Key,
    /// Since when it is so.
    pub revision: Revision,
    /// What the codec said.
    #[source]
    pub source: BoxError,
}

impl Error {
    /// The store could not be asked.
    pub(crate) fn unavailable(source: impl Into<BoxError>) -> Self {
        Error::Unavailable { source: Arc::new(source.into()) }
    }
}
