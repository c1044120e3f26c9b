//! The store's two halves: `Mvcc`, which everybody may clone and read, and the writer's.
//!
//! Promises: a read takes rows, revision and compact revision from one engine snapshot, and waits for nobody. The atomics say
//! what apply has committed.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Notify, watch};

use super::compact::{Generation, Progress};
use super::count::{Counting, Remaining};
use super::error::Error;
use super::fence::Fenced;
use super::header_cache::HeaderCache;
use super::metrics::Metrics;
use super::revision::State;
use super::size::Sizes;
use super::view::{HASH_BUFFER_BYTES, View};
use super::writer::Writer;
use crate::engine::{self, Direction, Engine, Family, schema};

/// Bounds of this room.
#[derive(Clone, Debug)]
pub struct Config {
    /// What apply remembers of keys, bytes. Default 64 MiB: about 400 k keys of 60 bytes.
    pub header_cache_bytes_max: usize,
    /// Rows of history that one step of a compaction looks at. Default 1000, as etcd's compaction batch.
    pub compact_step_rows_max: usize,
    /// Pause between two steps, so that apply has the disk and the core in between. Default 2 ms; etcd's is 10 ms.
    pub compact_step_pause: std::time::Duration,
    /// Keys between two fences, at most. Default 256: a count's two ends cost about 0.1 ms.
    pub fence_keys_max: usize,
    /// Records held at a time while a hash sorts them, bytes. Default 64 MiB; what does not fit costs further passes.
    pub hash_buffer_bytes_max: usize,
    /// What commits and compactions move. Default: handles that nobody reads.
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            header_cache_bytes_max: 64 << 20,
            compact_step_rows_max: 1000,
            compact_step_pause: std::time::Duration::from_millis(2),
            fence_keys_max: 256,
            hash_buffer_bytes_max: HASH_BUFFER_BYTES,
            metrics: Metrics::default(),
        }
    }
}

/// What readers take hold of: as long as one is held, no file is dropped that its snapshot needs.
pub(crate) struct Published {
    pub engine: Arc<dyn Engine>,
    pub generation: Arc<Generation>,
    /// Where they have been built.
    pub fenced: Option<Arc<Fenced>>,
}

/// What both halves and the compactor share.
pub(crate) struct Shared {
    pub config: Config,
    published: RwLock<Arc<Published>>,
    revision: AtomicI64,
    compact_revision: AtomicI64,
    keys: AtomicI64,
    sizes: Mutex<LocalSizes>,
    /// Held while a batch is written, while a compaction step checks graves and removes them, and while fences are put in
    /// place.
    pub gate: Mutex<()>,
    /// A compaction was recorded, the engine replaced, or fences are wanted.
    pub work_due: Notify,
    /// Somebody walked a long range to count it.
    pub fences_wanted: AtomicBool,
    pub remaining: Remaining,
    /// The revision below which no row is left.
    pub removed: watch::Sender<i64>,
}

struct LocalSizes {
    sizes: Sizes,
    /// A defragment was asked for that the state does not know yet.
    defragmented: bool,
}

impl Shared {
    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in its place; the one before lives until its last reader has ended.
    pub(crate) fn update_published(&self, next: impl FnOnce(&Published) -> Published) {
        let mut current = self.published.write().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(next(&current));
        let before = std::mem::replace(&mut *current, next);
        drop(current);
        drop(before);
    }

    /// Says what has been committed.
    pub(crate) fn publish(&self, state: &State, compacted: bool) {
        self.revision.store(state.revision, Ordering::Release);
        self.compact_revision.store(state.compaction.revision, Ordering::Release);
        self.keys.store(state.keys.unwrap_or(0), Ordering::Release);
        let mut local = self.lock_sizes();
        local.sizes = state.account.sizes();
        if local.defragmented {
            local.sizes.total = local.sizes.in_use;
        }
        drop(local);
        if compacted {
            self.work_due.notify_one();
        }
    }

    pub(crate) fn take_defragmented(&self) -> bool {
        std::mem::take(&mut self.lock_sizes().defragmented)
    }

    fn lock_sizes(&self) -> MutexGuard<'_, LocalSizes> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store as readers know it. Cheap to clone.
#[derive(Clone)]
pub struct Mvcc {
    pub(crate) shared: Arc<Shared>,
}

impl Mvcc {
    /// The store in `engine`, and its writer's half.
    ///
    /// # Errors
    /// What ends the process.
    pub fn open(engine: Arc<dyn Engine>, config: Config) -> Result<(Mvcc, Writer), Error> {
        let state = load_state(&*engine)?;
        let removed = Progress::load(|key| engine.get(Family::Meta, key))?.removed;
        let published = Arc::new(Published { engine: engine.clone(), generation: Generation::new(), fenced: None });
        let headers = HeaderCache::new(config.header_cache_bytes_max);
        let shared = Arc::new(Shared {
            config,
            published: RwLock::new(published),
            revision: AtomicI64::new(state.revision),
            compact_revision: AtomicI64::new(state.compaction.revision),
            keys: AtomicI64::new(state.keys.unwrap_or(0)),
            sizes: Mutex::new(LocalSizes { sizes: state.account.sizes(), defragmented: false }),
            gate: Mutex::new(()),
            work_due: Notify::new(),
            fences_wanted: AtomicBool::new(false),
            remaining: Remaining::default(),
            removed: watch::Sender::new(removed),
        });
        let writer = Writer { shared: shared.clone(), engine, state, headers };
        Ok((Mvcc { shared }, writer))
    }

    /// Calls `f` with a view of now. Compacted rows are not removed from under it, so `f` should not tarry.
    pub fn read<T>(&self, f: impl FnOnce(&View<'_>) -> T) -> T {
        // The hold on the files comes before the snapshot (see `compact`), and so does the fences' revision (see `fence`).
        let published = self.shared.published();
        let fenced = published.fenced.clone().map(|fenced| (fenced.valid_through(), fenced));
        let snapshot = published.engine.snapshot();
        let counting = Counting { shared: &self.shared, fenced };
        let view = View::at(&*snapshot).counting_with(counting);
        f(&view)
    }

    /// The newest revision that apply has committed.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.shared.revision.load(Ordering::Acquire)
    }

    /// The newest compact revision that apply has committed; -1 where there was none.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.shared.compact_revision.load(Ordering::Acquire)
    }

    /// How many keys exist, as of the newest revision that apply has committed.
    #[must_use]
    pub fn keys(&self) -> i64 {
        self.shared.keys.load(Ordering::Acquire)
    }

    /// The size of the database, as etcd means it.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.shared.lock_sizes().sizes
    }

    /// Gives back what is not in use, in the account: on this member only, and without blocking anything.
    pub fn defragmented(&self) {
        let mut local = self.shared.lock_sizes();
        local.sizes.total = local.sizes.in_use;
        local.defragmented = true;
    }

    /// Puts another state in place, after a snapshot install: caches and counters are those of the new one. Readers that
    /// have begun end on the old one.
    ///
    /// # Errors
    /// What ends the process.
    pub fn replace_engine(&self, writer: &mut Writer, engine: Arc<dyn Engine>) -> Result<(), Error> {
        let state = load_state(&*engine)?;
        let removed = Progress::load(|key| engine.get(Family::Meta, key))?.removed;
        let _gate = self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
        writer.engine = engine.clone();
        writer.state = state;
        writer.headers.clear();
        self.shared.remaining.clear();
        self.shared.update_published(|_| Published { engine, generation: Generation::new(), fenced: None });
        self.shared.publish(&state, true);
        self.shared.removed.send_replace(removed);
        Ok(())
    }
}

fn load_state(engine: &dyn Engine) -> Result<State, Error> {
    let mut state = read_state(|key| engine.get(Family::Meta, key))?;
    if state.keys.is_none() {
        // Once in the life of a state: its next commit records them.
        let mut keys = 0;
        engine.snapshot().scan(Family::Latest, &[], None, Direction::Ascending, &mut |_, _| {
            keys += 1;
            ControlFlow::Continue(())
        })?;
        state.keys = Some(keys);
    }
    Ok(state)
}

/// The record of where the store is; an empty store has none.
pub(crate) fn read_state(
    get: impl FnOnce(&[u8]) -> Result<Option<bytes::Bytes>, engine::Error>,
) -> Result<State, Error> {
    match get(schema::META_MVCC)? {
        None => Ok(State::EMPTY),
        Some(record) => State::decode(record).ok_or_else(|| Error::undecodable(Family::Meta, schema::META_MVCC)),
    }
}
