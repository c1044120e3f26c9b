//! Snapshot files: the whole state at one applied log id, as one file that proves itself.
//!
//! Written from an engine snapshot, so beside apply and without stopping it; used by raft for a member that lags, by
//! `Maintenance.Snapshot` for a backup, and by `fairlead snapshot`. The form is in `docs/design/disk-format.md`:
//!
//! ```text
//! magic 16 | version u32                                                    integers big-endian
//! frame*  = kind u8 | length u32 | CRC32C u32 (over kind, length, file offset, body) | body
//!           Header, then per family: Family (its name), Records*; then Footer (counts, content hash)
//! zeros up to a multiple of 512 | SHA-256 of all before it
//! ```
//! Promises: no byte is trusted before its checksum has been seen; memory is bounded by one block, whatever the size of the
//! state; garbage gives an error that names file and offset, never a panic; families this binary does not know are refused.
//! Does not: know what records mean, choose when to write one, or read etcd's form. All calls block.
//! The size modulo 512 is 32, which `etcdctl snapshot save` demands (etcd: `client/v3/snapshot/v3_snapshot.go`).

mod create;
mod error;
mod frame;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod header;
mod load;
mod read;
mod write;

pub use create::create;
pub use error::Error;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;
pub use header::{AppliedId, FamilyCount, Header, Summary};
pub use load::load;
pub use read::{Block, Reader, read_header, verify};
pub use write::write;

#[cfg(test)]
mod snapshot_file_test;

/// The form's version; a higher one is refused.
pub const VERSION: u32 = 1;

/// A block of records is closed once it has this many bytes.
pub const BLOCK_BYTES_TARGET: usize = 256 * 1024;

/// The largest frame body, so the largest record, that a file may hold: far above any `request_bytes_max` in use, and what
/// bounds a reader's memory.
pub const FRAME_BYTES_MAX: usize = 1 << 30;

const MAGIC: [u8; 16] = *b"fairlead-snap\r\n\x1a";
const DIGEST_BYTES: usize = 32;
const SECTOR_BYTES: u64 = 512;
