//! The seam between the log and a disk, so that tests can cut power, tear writes and count bytes.
//!
//! What the log relies on, and [`MemDisk`] takes away wherever it can: bytes written are durable only after
//! [`File::sync`]; until then any subset of their 512-byte sectors, and a part of one, may survive. Rewriting bytes
//! with the same value never harms them. A created, renamed or unlinked name is durable only after [`Disk::sync_dir`];
//! until then any of these changes may be lost, in any order that the names involved allow.
//! Does not: retry. An error of a write or a sync leaves the file's content unknown.

mod buffer;
mod mem;
mod real;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use buffer::Buffer;
pub use mem::{Counts, MemDisk};
pub use real::RealDisk;

/// Writes start at, and are, a multiple of this many bytes.
pub const BLOCK_BYTES: usize = 4096;

/// A folder's worth of files. Paths are full paths.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Whether `sync` makes anything durable; `false` under `--unsafe-no-fsync`.
    fn syncs(&self) -> bool;

    /// The names of the files in `dir`.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens an existing file.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Creates a file of `bytes` bytes that are allocated already, or an empty nothing: after an error no file is left.
    ///
    /// # Errors
    /// `StorageFull` where there is no room; what the system says otherwise.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn File>>;

    /// Gives `from` the name `to`, which must be free.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name; open handles stay valid.
    ///
    /// # Errors
    /// What the system says.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// What the system says; never to be retried.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file. Handles may be shared between a writer and readers.
pub trait File: Send + Sync + fmt::Debug {
    /// Size in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Reads `bytes` bytes from `offset`; fewer only where the file ends.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Bytes>;

    /// Writes `blocks`, whole blocks in memory aligned to a block, at a multiple of a block.
    ///
    /// # Errors
    /// What the system says; never to be retried.
    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written durable (fdatasync).
    ///
    /// # Errors
    /// What the system says; never to be retried.
    fn sync(&self) -> io::Result<()>;
}
