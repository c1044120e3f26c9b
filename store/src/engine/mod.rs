//! Where the state is kept: sorted families of keys, written in atomic batches, read through snapshots.
//!
//! Promises: a batch is seen whole or not at all, also after a crash; what was written last may be lost in a crash until
//! [`Engine::flush`], but never a part of it and never out of order: after a crash all families are as they were after one
//! and the same batch. A [`Snapshot`] never changes. Two implementations, `rocks` and `mem`, and one conformance suite for both.
//! Does not: know what the families hold (`schema` does), or log ahead (`store::log` does).

pub mod mem;
pub mod rocks;
pub mod schema;

#[cfg(test)]
mod conformance_test;

use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;

/// The families of keys, and so the disk contract's table of contents. See `docs/design/disk-format.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Live keys: key → (main, sub) of its last change, encoded `mvccpb.KeyValue`.
    Latest,
    /// Revisions: (main, sub) → the whole event, with the key's previous mod revision.
    History,
    /// Deleted keys: key → (main, sub) of the tombstone.
    Graves,
    /// Versions at the compact revision of keys that have changed since: (main, sub) → encoded `mvccpb.KeyValue`.
    Base,
    /// Lease id → granted and remaining TTL.
    Leases,
    /// (lease id, key) → nothing: the keys attached to a lease.
    LeaseKeys,
    /// Member id → its attributes.
    Members,
    /// (member id, alarm) → nothing.
    Alarms,
    /// Single records: applied log id, raft membership, revisions, sizes, compaction progress.
    Meta,
}

impl Family {
    /// All of them, in the order in which snapshots carry them.
    pub const ALL: [Family; 9] = [
        Family::Latest,
        Family::History,
        Family::Graves,
        Family::Base,
        Family::Leases,
        Family::LeaseKeys,
        Family::Members,
        Family::Alarms,
        Family::Meta,
    ];

    /// Its name on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Latest => "latest",
            Family::History => "history",
            Family::Graves => "graves",
            Family::Base => "base",
            Family::Leases => "leases",
            Family::LeaseKeys => "lease_keys",
            Family::Members => "members",
            Family::Alarms => "alarms",
            Family::Meta => "meta",
        }
    }
}

/// One change in a [`Batch`]. Later ones win over earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Key := value.
    Put(Family, Bytes, Bytes),
    /// Key removed.
    Delete(Family, Bytes),
    /// Every key in [from, to) removed.
    DeleteRange(Family, Bytes, Bytes),
}

/// Changes that take effect together, in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order.
    pub ops: Vec<Op>,
}

impl Batch {
    /// Key := value.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.ops.push(Op::Put(family, key.into(), value.into()));
    }

    /// Key removed.
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        self.ops.push(Op::Delete(family, key.into()));
    }

    /// Every key in [from, to) removed.
    pub fn delete_range(&mut self, family: Family, from: impl Into<Bytes>, to: impl Into<Bytes>) {
        self.ops.push(Op::DeleteRange(family, from.into(), to.into()));
    }
}

/// What went wrong below. All but [`Error::NoSpace`] end the process: a state that cannot be written or read is not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Opening failed; the text names the folder and what to try.
    #[error("cannot open the state in {path}: {reason}")]
    Open {
        /// The folder.
        path: String,
        /// What the library said.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("state {operation} failed: {reason}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the library said.
        reason: String,
    },
    /// The device is full.
    #[error("no space left for the state while {operation}")]
    NoSpace {
        /// What was tried.
        operation: &'static str,
    },
}

/// The walk direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first key on.
    Ascending,
    /// From the last key back.
    Descending,
}

/// Called for each (key, value) of a scan; `Break` ends it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A frozen view of all families.
pub trait Snapshot {
    /// The value at `key`.
    ///
    /// # Errors
    /// [`Error::Io`] where the engine cannot read.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Visits keys in [from, to); `to` `None` is the family's end.
    ///
    /// # Errors
    /// [`Error::Io`] where the engine cannot read.
    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error>;
}

/// Sorted families of keys. All calls block; none is slow but `flush`, `checkpoint` and long scans.
pub trait Engine: Send + Sync + 'static {
    /// A frozen view of now.
    fn snapshot(&self) -> Box<dyn Snapshot + '_>;

    /// The value at `key`, now.
    ///
    /// # Errors
    /// [`Error::Io`] where the engine cannot read.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Values at `keys`, now, in their order: one look-up for many.
    ///
    /// # Errors
    /// [`Error::Io`] where the engine cannot read.
    fn get_many(&self, family: Family, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error>;

    /// Writes all of `batch` or nothing. Not durable until a flush.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]; the state is then unknown and the process must end, or wait for space.
    fn write(&self, batch: Batch) -> Result<(), Error>;

    /// Makes everything written so far durable, all families together. Blocks.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`].
    fn flush(&self) -> Result<(), Error>;

    /// The durable value at `key`: what would be read after a crash now.
    ///
    /// # Errors
    /// [`Error::Io`] where the engine cannot read.
    fn get_durable(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Drops whole files that lie in [from, to). Durable at once, seen by snapshots: only for rows that no reader wants.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn drop_files(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error>;

    /// Asks for background removal of what is deleted in [from, to), and returns at once.
    fn compact_soon(&self, family: Family, from: &[u8], to: &[u8]);

    /// Bytes on disk.
    fn disk_bytes(&self) -> u64;

    /// Writes a copy of the state as of now, durable, that `open` accepts, into `folder`, which must not exist. Blocks.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`].
    fn checkpoint(&self, folder: &Path) -> Result<(), Error>;

    /// Removes the engine's files once its last handle is dropped: it has been replaced, and only readers still hold it. One
    /// without files has nothing to do.
    fn discard(&self) {}

    /// An error that the engine met in the background and that ends the process, if any.
    fn background_error(&self) -> Option<Error>;
}
