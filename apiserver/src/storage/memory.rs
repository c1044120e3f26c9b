//! A backend in memory, for tests: an etcd v3 store's behaviour without the store.
//!
//! Keeps all history until it is compacted. Does not: expire what has a time to live, lose connections, persist.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::watch;

use super::backend::{Backend, BackendWatch, Range, Ranged, RawChange, Swapped, Update, Write};
use super::{Error, Key, Record, Revision, Scope};

/// A store in memory; clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Shared>,
    /// What it says of its progress.
    is_progress_trusted: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Moves with every write, compaction and progress request.
    changed: watch::Sender<()>,
    /// Ranges read so far.
    ranges: AtomicUsize,
    /// Watches begun so far.
    watches: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    revision: Revision,
    compacted: Revision,
    /// Every change above the compacted revision, and what is needed to read at any revision above it.
    history: Vec<RawChange>,
    live: BTreeMap<Key, Record>,
}

impl Default for Memory {
    fn default() -> Self {
        let state = State { revision: Revision::new(1), ..Default::default() };
        let shared =
            Shared { state: Mutex::new(state), changed: watch::channel(()).0, ranges: 0.into(), watches: 0.into() };
        Memory { shared: Arc::new(shared), is_progress_trusted: true }
    }
}

impl Memory {
    /// The same store, but it claims to be of a release whose progress cannot be trusted.
    #[must_use]
    pub fn without_trusted_progress(mut self) -> Self {
        self.is_progress_trusted = false;
        self
    }

    /// How many ranges have been read so far, counts included.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.shared.ranges.load(Ordering::Relaxed)
    }

    /// How many watches have been begun so far.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.shared.watches.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("nothing panics under this lock")
    }
}

impl State {
    /// The records of a scope as they were at a revision.
    fn at(&self, scope: &Scope, revision: Revision) -> BTreeMap<Key, Record> {
        let mut records: BTreeMap<_, _> = self
            .live
            .iter()
            .filter(|(key, _)| scope.contains(key.as_str()))
            .map(|(k, r)| (k.clone(), r.clone()))
            .collect();
        for change in self.history.iter().rev().take_while(|change| change.revision > revision) {
            match &change.previous {
                _ if !scope.contains(change.key.as_str()) => {}
                Some(previous) => drop(records.insert(change.key.clone(), previous.clone())),
                None => drop(records.remove(&change.key)),
            }
        }
        records
    }
}

#[async_trait]
impl Backend for Memory {
    async fn range(&self, range: Range<'_>) -> Result<Ranged, Error> {
        self.shared.ranges.fetch_add(1, Ordering::Relaxed);
        let state = self.state();
        let at = range.revision.unwrap_or(state.revision);
        if at > state.revision {
            return Err(Error::TooLargeRevision { requested: at, current: state.revision });
        }
        if at < state.compacted {
            return Err(Error::Expired { requested: at, compacted: None, continue_token: None });
        }
        let start = range.start.unwrap_or_default();
        let records = state.at(range.scope, at).into_values().filter(|record| record.key.as_str() >= start);
        let records: Vec<_> = records.collect();
        let count = records.len();
        let records = records.into_iter().take(range.limit.unwrap_or(usize::MAX)).collect();
        Ok(Ranged { records, count, revision: state.revision })
    }

    async fn count(&self, scope: &Scope) -> Result<usize, Error> {
        self.range(Range { scope, start: None, limit: Some(0), revision: None }).await.map(|ranged| ranged.count)
    }

    async fn swap(&self, key: &Key, expected: Option<Revision>, write: Write) -> Result<Swapped<Record>, Error> {
        let mut state = self.state();
        let previous = state.live.get(key).cloned();
        if previous.as_ref().map(|record| record.revision) != expected {
            return Ok(Swapped::Lost(previous));
        }
        if previous.is_none() && write == Write::Delete {
            return Ok(Swapped::Done(state.revision));
        }
        let revision = state.revision.next();
        state.revision = revision;
        let value = match write {
            Write::Put { value, .. } => {
                let record = Record { key: key.clone(), revision, value: value.clone() };
                state.live.insert(key.clone(), record);
                Some(value)
            }
            Write::Delete => {
                state.live.remove(key);
                None
            }
        };
        let created = value.is_some() && previous.is_none();
        state.history.push(RawChange { key: key.clone(), revision, value, previous, created });
        drop(state);
        self.shared.changed.send_replace(());
        Ok(Swapped::Done(revision))
    }

    fn watch(&self, scope: &Scope, from: Revision) -> Box<dyn BackendWatch> {
        self.shared.watches.fetch_add(1, Ordering::Relaxed);
        let changed = self.shared.changed.subscribe();
        Box::new(MemoryWatch { store: self.clone(), scope: scope.clone(), next: from, asked: false, changed })
    }

    async fn revision(&self) -> Result<Revision, Error> {
        Ok(self.state().revision)
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        let mut state = self.state();
        if revision <= state.compacted {
            return Err(Error::Expired { requested: revision, compacted: Some(state.compacted), continue_token: None });
        }
        if revision > state.revision {
            return Err(Error::TooLargeRevision { requested: revision, current: state.revision });
        }
        state.compacted = revision;
        state.history.retain(|change| change.revision >= revision);
        drop(state);
        self.shared.changed.send_replace(());
        Ok(())
    }

    async fn is_progress_trusted(&self) -> bool {
        self.is_progress_trusted
    }
}

/// A watch of a store in memory.
struct MemoryWatch {
    store: Memory,
    scope: Scope,
    /// The first revision not delivered yet.
    next: Revision,
    /// Whether progress was asked for.
    asked: bool,
    changed: watch::Receiver<()>,
}

impl MemoryWatch {
    fn take(&mut self) -> Result<Option<Update>, Error> {
        self.changed.mark_unchanged();
        let state = self.store.state();
        if self.next < state.compacted {
            let (requested, compacted) = (self.next, Some(state.compacted));
            return Err(Error::Expired { requested, compacted, continue_token: None });
        }
        let due = state.history.iter().filter(|change| change.revision >= self.next);
        let changes: Vec<_> = due.filter(|change| self.scope.contains(change.key.as_str())).cloned().collect();
        self.next = self.next.max(state.revision.next());
        if !changes.is_empty() {
            return Ok(Some(Update::Changes(changes)));
        }
        Ok(std::mem::take(&mut self.asked).then_some(Update::Progress(state.revision)))
    }
}

#[async_trait]
impl BackendWatch for MemoryWatch {
    async fn next(&mut self) -> Result<Update, Error> {
        loop {
            if let Some(update) = self.take()? {
                return Ok(update);
            }
            // The sender lives in the store, which this watch holds.
            self.changed.changed().await.map_err(Error::unavailable)?;
        }
    }

    async fn request_progress(&mut self) -> Result<(), Error> {
        self.asked = true;
        self.changed.mark_changed();
        Ok(())
    }
}
