//! Storage: objects of one resource, as encoded bytes, in an etcd v3 store.
//!
//! ```text
//! registry ─▶ update, delete ─▶ dyn Storage ─┬─ Direct ─────────────▶ dyn Backend ─┬─ Etcd (ours or a real one)
//!                                            └─ Cacher ─ one watch ─▶             └─ Memory (tests)
//! ```
//!
//! [`Storage`] is the contract, `conformance` its proof; [`Direct`] asks the store for everything, the cacher answers
//! readers and watchers from memory. Writes are one primitive, a compare and swap by revision; what people know as create,
//! guaranteed update and delete is built on it in [`update`].
//! Does not: know any kind ([`Codec`] and [`Predicate`] are the doors), validate, default or convert.
//! Source: apiserver `storage/interfaces.go`, `storage/etcd3/store.go`.

pub mod backend;
pub(crate) mod bookmark;
pub mod compactor;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod continue_token;
mod direct;
mod error;
pub mod etcd;
mod event;
mod key;
mod lease;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;
mod object;
mod options;
mod paging;
mod revision;
pub mod update;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use backend::{Backend, Swapped, Write};
pub use continue_token::ContinueToken;
pub use direct::Direct;
pub use error::{BoxError, Error, Undecodable};
pub use event::{Change, Decoded, Event};
pub(crate) use event::{current, decode};
pub use key::{Collection, Key, Scope};
pub use object::{Attributes, Codec, Everything, Object, Predicate, Record};
pub use options::{At, ListOptions, Match, Meaningless, WatchFrom, WatchOptions};
pub use revision::Revision;

/// What a get has found.
#[derive(Clone, Debug)]
pub struct Read {
    /// The object, if there is one.
    pub object: Option<Arc<Object>>,
    /// The revision at which this is so.
    pub revision: Revision,
    /// Whether nothing acknowledged before is missing in it: a cache's answer may be old.
    pub is_live: bool,
}

/// What a list has found.
#[derive(Clone, Debug)]
pub struct List {
    /// In key order.
    pub objects: Vec<Arc<Object>>,
    /// The revision at which this is so: a watch from here misses and repeats nothing.
    pub revision: Revision,
    /// For the next page.
    pub continue_token: Option<String>,
    /// How many are left behind this page, unless a selector makes that unknowable.
    pub remaining: Option<usize>,
}

/// The objects of one resource.
///
/// Errors are the same everywhere: [`Error::Unavailable`] when the store cannot be asked, and what the calls name.
#[async_trait]
pub trait Storage: fmt::Debug + Send + Sync {
    /// The object with this key.
    ///
    /// # Errors
    /// [`Error::TooLargeRevision`], [`Error::Undecodable`].
    async fn get(&self, key: &Key, at: At) -> Result<Read, Error>;

    /// Objects in key order, all at one revision. Later pages are at the first one's revision; when that has been compacted,
    /// the error has a token for the rest as it is then.
    ///
    /// # Errors
    /// [`Error::Expired`], [`Error::TooLargeRevision`], [`Error::InvalidContinue`], [`Error::Undecodable`].
    async fn list(&self, options: &ListOptions) -> Result<List, Error>;

    /// How many objects there are.
    ///
    /// # Errors
    /// That the store cannot be asked.
    async fn count(&self, scope: &Scope) -> Result<usize, Error>;

    /// Writes an object if it was last changed at `expected`; `None` expects that there is none. Sees and changes the store,
    /// never a cache.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when nobody can tell whether it has taken effect; else it has not.
    async fn swap(&self, key: &Key, expected: Option<Revision>, write: Write) -> Result<Swapped<Decoded>, Error>;

    /// Watches objects.
    ///
    /// # Errors
    /// [`Error::NotReady`], [`Error::TooLargeRevision`]. That history is gone may also be said by the watch.
    async fn watch(&self, options: WatchOptions) -> Result<Box<dyn Watch>, Error>;

    /// The store's current revision.
    ///
    /// # Errors
    /// That the store cannot be asked.
    async fn revision(&self) -> Result<Revision, Error>;

    /// Gives up the store's history below a revision.
    ///
    /// # Errors
    /// [`Error::Expired`] when it is gone already.
    async fn compact(&self, revision: Revision) -> Result<(), Error>;

    /// How objects of this resource are read.
    fn codec(&self) -> &dyn Codec;
}

/// A watch.
///
/// Promises: revision order, no gap, no repeat; every change of a selected object as one event; bookmarks only of what has been
/// delivered. Does not: merge changes, or outlive an error.
#[async_trait]
pub trait Watch: Send {
    /// What comes next; waits as long as it takes.
    ///
    /// # Errors
    /// Any error ends the watch. [`Error::Expired`]: list again. [`Error::TooSlow`], [`Error::Ended`],
    /// [`Error::Unavailable`]: watch again from the last event's revision.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn next(&mut self) -> Result<Event, Error>;
}
