//! The raft log on disk: entries, votes, committed marks, purges and truncations in one ordered stream of records.
//!
//! ```text
//!  raft core ── append, vote, truncate, purge ──▶ tail (memory) ──▶ flusher ──▶ writer ──▶ segments
//!  readers  ◀── newest entries ───────────────────┘                                          │
//!  readers  ◀── older entries, through a sparse index ───────────────────────────────────────┘
//! ```
//!
//! Promises: what was answered is durable (one sync for all that has arrived); nothing becomes durable before what was asked
//! earlier; what comes back after a crash is the state after some prefix of what was asked, with all that was answered in it; damage to
//! what was durable is refused by file and offset and never taken for a torn tail. Work at start is bounded by one segment.
//! A failed write or sync is fatal and never retried; only a full disk is waited out, and only before a new segment.
//! Does not: know raft's types or rules (payloads and votes are bytes), or delete anything by itself.
//! Two processes must not open one folder: the data dir's lock sees to that. Format: `record`, `segment`.

pub mod disk;
mod error;
mod flusher;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod index;
mod inspect;
mod metrics;
mod reader;
pub mod record;
mod recovery;
mod segment;
mod tail;
mod writer;

#[cfg(test)]
mod log_test;
#[cfg(test)]
mod power_test;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::planted::{self, Bug};

pub use disk::{Disk, MemDisk, RealDisk};
pub use error::Error;
pub use inspect::{Inspection, SegmentReport, committed, inspect};
pub use metrics::Metrics;

/// Where an entry stands in the log: index, and the term in which it was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId {
    /// Raft term.
    pub term: u64,
    /// Raft index; the first is 0.
    pub index: u64,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.term, self.index)
    }
}

/// A log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub id: LogId,
    /// Its bytes, which mean nothing here.
    pub payload: Bytes,
}

/// How the log stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Entries up to it are gone from the front.
    pub purged: Option<LogId>,
    /// The newest entry; `purged` where there is none.
    pub last: Option<LogId>,
    /// The newest committed mark; after opening never beyond `last`.
    pub committed: Option<LogId>,
    /// The vote as it was saved.
    pub vote: Option<Bytes>,
}

/// Called once when an append is durable, or has failed. Of the appends that one sync makes durable only the newest one's is
/// called with `Ok`, for all of them; the older ones' are dropped. With `Err` each is called.
pub type Done = Box<dyn FnOnce(Result<(), Arc<Error>>) + Send>;

/// What carries the flusher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// A thread of its own: syncs block.
    Thread,
    /// A task of the runtime that opens the log, which must have its timer enabled: for simulations, where a disk never blocks.
    Task,
}

/// Settings. The defaults are for a server.
#[derive(Clone)]
pub struct Config {
    /// Size of a segment, in bytes; a larger record gets a segment of its own size. Rounded up to whole blocks.
    pub segment_bytes: u64,
    /// What one sync may cover, in bytes. No bound on the count: a slow disk shall take along all that has come.
    pub log_group_bytes_max: usize,
    /// Durable entries kept in memory for readers, in bytes. Entries not yet durable are kept beyond it.
    pub log_cache_bytes_max: usize,
    /// [`Log::room`] waits while more bytes than this are not yet durable.
    pub log_pending_bytes_max: usize,
    /// Purged segments kept to be used again, in files.
    pub spare_segments_max: usize,
    /// How long nothing must come before marks are written.
    pub idle_mark: Duration,
    /// How often allocating a segment is tried on a full disk.
    pub space_retry: Duration,
    /// What carries the flusher.
    pub drive: Drive,
    /// Told of a failed write or sync, after which nothing is accepted. The default logs and aborts the process.
    pub fatal: Arc<dyn Fn(&Error) + Send + Sync>,
    /// Told `true` when the log begins to wait for disk space, and `false` when it goes on.
    pub no_space: Arc<dyn Fn(bool) + Send + Sync>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            log_group_bytes_max: 16 << 20,
            log_cache_bytes_max: 8 << 20,
            log_pending_bytes_max: 64 << 20,
            spare_segments_max: 2,
            idle_mark: Duration::from_millis(100),
            space_retry: Duration::from_secs(1),
            drive: Drive::Thread,
            fatal: Arc::new(|error| {
                tracing::error!(%error, "the raft log cannot be written; the process ends");
                std::process::abort();
            }),
            no_space: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("segment_bytes", &self.segment_bytes)
            .field("log_group_bytes_max", &self.log_group_bytes_max)
            .field("log_cache_bytes_max", &self.log_cache_bytes_max)
            .field("log_pending_bytes_max", &self.log_pending_bytes_max)
            .field("spare_segments_max", &self.spare_segments_max)
            .field("idle_mark", &self.idle_mark)
            .field("space_retry", &self.space_retry)
            .field("drive", &self.drive)
            .finish_non_exhaustive()
    }
}

/// The log's door; clones share it. When the last one goes, what was asked is still written.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<tail::Shared>,
    pending_bytes_max: usize,
    flusher: Mutex<Option<Flusher>>,
}

/// To wait for the flusher's end.
struct Flusher {
    finished: oneshot::Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Log {
    /// Opens the log in `dir`, which must exist; makes one where there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Missing`], [`Error::Foreign`], [`Error::NewerFormat`] where what is there must not be used;
    /// [`Error::Io`] where the system refuses.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, mut config: Config, metrics: Metrics) -> Result<Log, Error> {
        let blocks = disk::BLOCK_BYTES as u64;
        config.segment_bytes = config.segment_bytes.max(2 * blocks).next_multiple_of(blocks);
        let pending_bytes_max = config.log_pending_bytes_max;
        let (shared, writer) = recovery::open(dir, disk, config, metrics)?;
        let flusher = Mutex::new(Some(flusher::start(writer)?));
        Ok(Log { inner: Arc::new(Inner { shared, pending_bytes_max, flusher }) })
    }

    /// How the log stands, with all that was asked so far.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner.shared.lock().state.clone()
    }

    /// Appends entries, which must follow the last one. They can be read at once; `done` is called when they are durable.
    /// Never blocks: whoever proposes waits for [`Log::room`] first.
    pub fn append(&self, entries: Vec<Entry>, done: Done) {
        let refused = {
            let mut tail = self.inner.shared.lock();
            match tail.check().and_then(|()| check_entries(&entries, tail.next_index())) {
                Ok(()) => {
                    tail.append(entries, done);
                    None
                }
                Err(error) => Some((error, done)),
            }
        };
        match refused {
            None => self.inner.shared.wake.notify_one(),
            Some((error, done)) => done(Err(Arc::new(error))),
        }
    }

    /// Saves the vote; returns when it and everything asked before it are durable.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::Failed`] and [`Error::Closed`] where nothing is accepted any more.
    pub async fn save_vote(&self, vote: Bytes) -> Result<(), Error> {
        if vote.len() > segment::VOTE_BYTES_MAX {
            return Err(Error::TooLarge { bytes: vote.len(), bytes_max: segment::VOTE_BYTES_MAX });
        }
        if planted::is(Bug::VoteNotSynced) {
            self.inner.shared.lock().state.vote = Some(vote);
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.ask(|tail| tail.vote(vote, answer))?;
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// Moves the committed mark. It is written with the next group, or soon after; never waited for.
    pub fn save_committed(&self, id: LogId) {
        let must_wake = self.inner.shared.lock().commit(id);
        if must_wake {
            self.inner.shared.wake.notify_one();
        }
    }

    /// Entries after `last_kept` go; without one, all. Ordered before the next append, which is all that raft asks: returns
    /// before it is durable.
    ///
    /// # Errors
    /// [`Error::Failed`] and [`Error::Closed`] where nothing is accepted any more.
    pub async fn truncate_after(&self, last_kept: Option<LogId>) -> Result<(), Error> {
        self.ask(|tail| {
            let kept = later(last_kept, tail.state.purged);
            if tail::next_index(kept) < tail.next_index() {
                tail.truncate(kept);
            }
        })
    }

    /// Entries up to `upto` go, also beyond the last one. Returns before it is durable; files go only after it is.
    ///
    /// # Errors
    /// [`Error::Failed`] and [`Error::Closed`] where nothing is accepted any more.
    pub async fn purge(&self, upto: LogId) -> Result<(), Error> {
        self.ask(|tail| {
            if upto.index < tail.first_index() {
                return;
            }
            if upto.index + 1 >= tail.next_index() {
                tail.reset(upto, None);
            } else {
                tail.purge(upto);
            }
        })
    }

    /// Up to which entry the log would have to be purged to hold about `bytes_kept`; `None` while it holds no more than
    /// `bytes_max`, or where that would free no segment.
    #[must_use]
    pub fn excess(&self, bytes_max: u64, bytes_kept: u64) -> Option<u64> {
        let tail = self.inner.shared.lock();
        if tail.table.bytes() <= bytes_max {
            return None;
        }
        let first = tail.table.first_within(bytes_kept)?;
        (first > tail.first_index()).then(|| first - 1)
    }

    /// All entries go and the log stands at `purged`, as if it had been purged up to it. Returns when that is durable.
    ///
    /// # Errors
    /// [`Error::Failed`] and [`Error::Closed`] where nothing is accepted any more.
    pub async fn reset(&self, purged: LogId) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.ask(|tail| tail.reset(purged, Some(answer)))?;
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// The same as [`Log::read`], where all of it is in memory: never touches the disk. `None`: ask [`Log::read`], on a
    /// thread that may block.
    pub fn read_cached(&self, from: u64, to_exclusive: u64, bytes_max: usize) -> Option<Vec<Entry>> {
        reader::read_cached(&self.inner.shared, from, to_exclusive, bytes_max)
    }

    /// Entries of [from, `to_exclusive`), as many as fit `bytes_max` of payload, one at least if `from` exists; nothing if it lies
    /// behind the last entry. Blocks where they are no longer in memory.
    ///
    /// # Errors
    /// [`Error::Purged`]; [`Error::Corrupt`] and [`Error::Io`], on which the member must stop; [`Error::Failed`].
    pub fn read(&self, from: u64, to_exclusive: u64, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        reader::read(&self.inner.shared, from, to_exclusive, bytes_max)
    }

    /// Waits until fewer than `log_pending_bytes_max` bytes are not yet durable; at once where the log has failed.
    ///
    /// # Cancel safety
    /// Safe: it takes nothing.
    pub async fn room(&self) {
        loop {
            let changed = self.inner.shared.room.notified();
            {
                let tail = self.inner.shared.lock();
                if tail.failed.is_some() || tail.pending_bytes < self.inner.pending_bytes_max {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Writes and syncs what was asked, and waits for the flusher to end. Other clones are refused from now on.
    pub async fn close(self) {
        self.inner.shared.close();
        let flusher = self.inner.flusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(flusher) = flusher {
            // An error says that the flusher ended without a word, which is an end too.
            flusher.finished.await.unwrap_or_default();
            if flusher.thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("the raft log's flusher has panicked");
            }
        }
    }

    fn ask(&self, queue: impl FnOnce(&mut tail::Tail)) -> Result<(), Error> {
        let mut tail = self.inner.shared.lock();
        tail.check()?;
        queue(&mut tail);
        drop(tail);
        self.inner.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// The later of two places.
fn later(one: Option<LogId>, other: Option<LogId>) -> Option<LogId> {
    if tail::next_index(one) < tail::next_index(other) { other } else { one }
}

/// Refuses entries that would leave a hole or do not fit a record.
fn check_entries(entries: &[Entry], next_index: u64) -> Result<(), Error> {
    for (expected, entry) in (next_index..).zip(entries) {
        if entry.id.index != expected {
            return Err(Error::Hole { expected, found: entry.id.index });
        }
        if entry.payload.len() > record::PAYLOAD_BYTES_MAX {
            return Err(Error::TooLarge { bytes: entry.payload.len(), bytes_max: record::PAYLOAD_BYTES_MAX });
        }
    }
    Ok(())
}
