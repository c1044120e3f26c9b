//! The engine in memory, for tests and the simulated cluster: sorted maps, copied on write when a snapshot holds them.
//!
//! It is as unkind as the disk may be: [`MemEngine::crash`] goes back to the last flush, dropped files are durable at once and
//! vanish from snapshots too, and every row of a dropped range goes, where RocksDB drops whole files only.
//! Does not: save memory or time. A write beside an open snapshot copies the family.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Batch, Direction, Engine, Error, Family, Op, Snapshot, Visit, schema};

type Map = Arc<BTreeMap<Bytes, Bytes>>;
type Families = [Map; Family::ALL.len()];

/// The file of a checkpoint.
const CHECKPOINT_FILE: &str = "state.mem";

/// Sorted maps in memory.
pub struct MemEngine {
    state: Mutex<State>,
    dropped: Arc<Mutex<Vec<Dropped>>>,
}

struct State {
    now: Families,
    flushed: Families,
}

/// A range that [`Engine::drop_files`] took.
struct Dropped {
    family: Family,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl MemEngine {
    /// An empty state.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty state carries a stamp: it is made, not defaulted")]
    pub fn new() -> MemEngine {
        let mut families = Families::default();
        Arc::make_mut(&mut families[Family::Meta as usize])
            .insert(Bytes::from_static(schema::META_FORMAT), Bytes::from_static(schema::FORMAT));
        MemEngine::holding(families)
    }

    /// The state that [`Engine::checkpoint`] wrote into `folder`.
    ///
    /// # Errors
    /// [`Error::Open`] where there is none or it ends too early.
    pub fn open(folder: &Path) -> Result<MemEngine, Error> {
        let refused = |reason: String| Error::Open { path: folder.display().to_string(), reason };
        let mut all = Bytes::from(std::fs::read(folder.join(CHECKPOINT_FILE)).map_err(|e| refused(e.to_string()))?);
        let mut families = Families::default();
        while all.has_remaining() {
            let mut take = |bytes: usize| (all.remaining() >= bytes).then(|| all.split_to(bytes));
            let mut row = || {
                let mut head = take(9)?;
                let family = head.get_u8() as usize;
                let (key, value) = (head.get_u32() as usize, head.get_u32() as usize);
                Some((family, take(key)?, take(value)?))
            };
            let (family, key, value) = row()
                .filter(|(family, ..)| *family < Family::ALL.len())
                .ok_or_else(|| refused("the checkpoint ends too early; copy it again".to_owned()))?;
            Arc::make_mut(&mut families[family]).insert(key, value);
        }
        Ok(MemEngine::holding(families))
    }

    fn holding(families: Families) -> MemEngine {
        let state = State { now: families.clone(), flushed: families };
        MemEngine { state: Mutex::new(state), dropped: Arc::default() }
    }

    /// What a power cut does: everything since the last flush is gone, dropped files stay dropped.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.now = state.flushed.clone();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemEngine {
    fn snapshot(&self) -> Box<dyn Snapshot + '_> {
        let families = self.lock().now.clone();
        let dropped_before = self.dropped.lock().unwrap_or_else(PoisonError::into_inner).len();
        Box::new(MemSnapshot { families, dropped: self.dropped.clone(), dropped_before })
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.lock().now[family as usize].get(key).cloned())
    }

    fn get_many(&self, family: Family, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        let state = self.lock();
        Ok(keys.iter().map(|key| state.now[family as usize].get(key).cloned()).collect())
    }

    fn write(&self, batch: Batch) -> Result<(), Error> {
        let mut state = self.lock();
        for op in batch.ops {
            match op {
                // Copied, so that a row does not keep alive the buffer that its bytes came from.
                Op::Put(family, key, value) => {
                    Arc::make_mut(&mut state.now[family as usize])
                        .insert(Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
                }
                Op::Delete(family, key) => {
                    Arc::make_mut(&mut state.now[family as usize]).remove(&key);
                }
                Op::DeleteRange(family, from, to) => remove_range(&mut state.now[family as usize], &from, &to),
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.flushed = state.now.clone();
        Ok(())
    }

    fn get_durable(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.lock().flushed[family as usize].get(key).cloned())
    }

    fn drop_files(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let mut state = self.lock();
        remove_range(&mut state.now[family as usize], from, to);
        remove_range(&mut state.flushed[family as usize], from, to);
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.push(Dropped { family, from: from.to_vec(), to: to.to_vec() });
        Ok(())
    }

    fn compact_soon(&self, _family: Family, _from: &[u8], _to: &[u8]) {}

    fn disk_bytes(&self) -> u64 {
        let state = self.lock();
        let rows = state.flushed.iter().flat_map(|family| family.iter());
        rows.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn checkpoint(&self, folder: &Path) -> Result<(), Error> {
        self.flush()?;
        let families = self.lock().now.clone();
        let mut out = BytesMut::new();
        for (number, family) in families.iter().enumerate() {
            for (key, value) in family.iter() {
                out.put_u8(u8::try_from(number).expect("there are nine families"));
                out.put_u32(u32::try_from(key.len()).expect("keys are far below 4 GiB"));
                out.put_u32(u32::try_from(value.len()).expect("values are far below 4 GiB"));
                out.put_slice(key);
                out.put_slice(value);
            }
        }
        let written = std::fs::create_dir(folder).and_then(|()| std::fs::write(folder.join(CHECKPOINT_FILE), &out));
        written.map_err(|e| Error::Io { operation: "checkpoint", reason: e.to_string() })
    }

    fn background_error(&self) -> Option<Error> {
        None
    }
}

fn remove_range(map: &mut Map, from: &[u8], to: &[u8]) {
    if from < to {
        Arc::make_mut(map).retain(|key, _| !(from <= &key[..] && &key[..] < to));
    }
}

struct MemSnapshot {
    families: Families,
    dropped: Arc<Mutex<Vec<Dropped>>>,
    dropped_before: usize,
}

impl MemSnapshot {
    fn is_dropped(&self, family: Family, key: &[u8]) -> bool {
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let mut since = dropped.iter().skip(self.dropped_before);
        since.any(|d| d.family == family && d.from.as_slice() <= key && key < d.to.as_slice())
    }
}

impl Snapshot for MemSnapshot {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.families[family as usize].get(key).filter(|_| !self.is_dropped(family, key)).cloned())
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let bounds = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        let mut rows = self.families[family as usize].range::<[u8], _>(bounds);
        let mut next = || match direction {
            Direction::Ascending => rows.next(),
            Direction::Descending => rows.next_back(),
        };
        while let Some((key, value)) = next() {
            if !self.is_dropped(family, key)
                && let ControlFlow::Break(()) = visit(key, value)
            {
                break;
            }
        }
        Ok(())
    }
}
