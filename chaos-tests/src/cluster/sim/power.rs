//! The plug of one life of a member: an engine in memory that takes nothing any more once power is off.
//!
//! [`Plug::pull`] waits for the call under way and lets no other begin, so that what comes back is the state of one moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use fairlead_store::engine::mem::MemEngine;
use fairlead_store::engine::{Batch, Engine, Error, Family, Op, Snapshot, schema};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::watch;

/// One write in this many makes the engine flush by itself.
const WRITES_PER_FLUSH: u32 = 150;

/// A member's engines by folder, over all its lives. An engine is there as long as its folder is, which is where a member
/// looks for generations.
#[derive(Clone, Default)]
pub(crate) struct Engines {
    all: Arc<Mutex<BTreeMap<PathBuf, Arc<MemEngine>>>>,
}

impl Engines {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<MemEngine>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine in `folder`, made if there is none, as one life sees it.
    pub(crate) fn open(&self, folder: &Path, plug: &Arc<Plug>) -> Result<Arc<dyn Engine>, Error> {
        let _on = plug.on()?;
        let mut all = self.lock();
        if !folder.exists() {
            all.remove(folder);
        }
        let refused =
            |error: std::io::Error| Error::Open { path: folder.display().to_string(), reason: error.to_string() };
        std::fs::create_dir_all(folder).map_err(refused)?;
        let engine = all.entry(folder.to_owned()).or_insert_with(|| Arc::new(MemEngine::new()));
        let (engine, plug, engines) = (Arc::clone(engine), Arc::clone(plug), self.clone());
        Ok(Arc::new(Powered { engine, plug, folder: folder.to_owned(), engines }))
    }

    pub(crate) fn get(&self, folder: &Path) -> Option<Arc<MemEngine>> {
        self.lock().get(folder).cloned()
    }

    /// All go back to their last flush.
    pub(crate) fn crash(&self) {
        self.lock().values().for_each(|engine| engine.crash());
    }
}

/// Whether a life still has power, and what is seen of it from outside.
pub(crate) struct Plug {
    is_in: RwLock<bool>,
    chance: Mutex<StdRng>,
    compaction_steps: watch::Sender<u64>,
}

impl Plug {
    pub(crate) fn new(chance: StdRng) -> Arc<Plug> {
        let compaction_steps = watch::channel(0).0;
        Arc::new(Plug { is_in: RwLock::new(true), chance: Mutex::new(chance), compaction_steps })
    }

    /// Power is off from now on; `then` runs before anybody can notice.
    pub(crate) fn pull<T>(&self, then: impl FnOnce() -> T) -> T {
        let mut is_in = self.is_in.write().unwrap_or_else(PoisonError::into_inner);
        *is_in = false;
        then()
    }

    /// How many steps this life's compactions have taken.
    pub(crate) fn compaction_steps(&self) -> watch::Receiver<u64> {
        self.compaction_steps.subscribe()
    }

    fn on(&self) -> Result<RwLockReadGuard<'_, bool>, Error> {
        let is_in = self.is_in.read().unwrap_or_else(PoisonError::into_inner);
        match *is_in {
            true => Ok(is_in),
            false => Err(Error::Io { operation: "access", reason: "the power was cut".to_owned() }),
        }
    }

    fn flushes_now(&self) -> bool {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).random_ratio(1, WRITES_PER_FLUSH)
    }
}

/// An engine as one life sees it.
struct Powered {
    engine: Arc<MemEngine>,
    plug: Arc<Plug>,
    folder: PathBuf,
    engines: Engines,
}

impl Engine for Powered {
    fn snapshot(&self) -> Box<dyn Snapshot + '_> {
        self.engine.snapshot()
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let _on = self.plug.on()?;
        self.engine.get(family, key)
    }

    fn get_many(&self, family: Family, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        let _on = self.plug.on()?;
        self.engine.get_many(family, keys)
    }

    fn write(&self, batch: Batch) -> Result<(), Error> {
        let is_step = |op: &Op| matches!(op, Op::Put(Family::Meta, key, _) if key[..] == *schema::META_COMPACTION);
        let is_step = batch.ops.iter().any(is_step);
        {
            let _on = self.plug.on()?;
            self.engine.write(batch)?;
            if self.plug.flushes_now() {
                self.engine.flush()?;
            }
        }
        if is_step {
            self.plug.compaction_steps.send_modify(|steps| *steps += 1);
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let _on = self.plug.on()?;
        self.engine.flush()
    }

    fn get_durable(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let _on = self.plug.on()?;
        self.engine.get_durable(family, key)
    }

    fn drop_files(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let _on = self.plug.on()?;
        self.engine.drop_files(family, from, to)
    }

    fn compact_soon(&self, family: Family, from: &[u8], to: &[u8]) {
        self.engine.compact_soon(family, from, to);
    }

    fn disk_bytes(&self) -> u64 {
        self.engine.disk_bytes()
    }

    fn checkpoint(&self, folder: &Path) -> Result<(), Error> {
        let _on = self.plug.on()?;
        self.engine.checkpoint(folder)
    }

    fn discard(&self) {
        self.engines.lock().remove(&self.folder);
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "a generation's folder stays");
        }
    }

    fn background_error(&self) -> Option<Error> {
        None
    }
}
