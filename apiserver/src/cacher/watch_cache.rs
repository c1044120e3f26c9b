//! A resource's current state and its latest changes, at one revision. Pure: no I/O, no clock, no lock.
//!
//! Promises: the state is the store's at `revision`, exactly; each change knows the state before it; changes that are told again
//! change nothing. Source: apiserver `storage/cacher/watch_cache.go`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::history::History;
use crate::storage::{Change, Decoded, Key, Revision, Scope};

/// Bounds of a cache's history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) events_max: usize,
    pub(crate) bytes_max: usize,
}

/// A change as it comes from the store, decoded.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) key: Key,
    pub(crate) revision: Revision,
    pub(crate) current: Option<Decoded>,
    /// What the store says was there before. Only for changes before the list: for later ones the cache knows.
    pub(crate) previous: Option<Decoded>,
    /// Whether the store could not say what was there before, though something was.
    pub(crate) is_previous_lost: bool,
}

#[derive(Debug)]
pub(crate) struct WatchCache {
    objects: BTreeMap<Key, Decoded>,
    bytes: usize,
    history: History,
    bounds: Bounds,
    /// The list's revision: earlier changes are history only.
    listed: Revision,
    revision: Revision,
}

/// What happens to the store's watch when some of its revisions are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Nothing that matters is lost: watch from here.
    Watch(Revision),
    /// Changes are lost: list again.
    List,
}

impl WatchCache {
    pub(crate) fn new(bounds: Bounds) -> Self {
        WatchCache {
            objects: BTreeMap::new(),
            bytes: 0,
            history: History::new(Revision::ZERO, bounds.events_max, bounds.bytes_max),
            bounds,
            listed: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    /// Begins anew with what was listed. The store's watch is to begin at `from`, at the latest just after the list.
    pub(crate) fn replace(&mut self, objects: Vec<(Key, Decoded)>, revision: Revision, from: Revision) {
        self.bytes = objects.iter().map(|(_, object)| size(object)).sum();
        self.objects = objects.into_iter().collect();
        self.history = History::new(revision.next(), self.bounds.events_max, self.bounds.bytes_max);
        self.history.fill_from(from);
        (self.listed, self.revision) = (revision, revision);
    }

    /// Takes changes; returns those that are new, for those who watch.
    pub(crate) fn apply(&mut self, incoming: Vec<Incoming>) -> Vec<Arc<Change>> {
        // Whole revisions come together, so all of them are told again, or none.
        let known = self.revision;
        incoming.into_iter().filter_map(|change| self.apply_one(change, known)).collect()
    }

    fn apply_one(&mut self, incoming: Incoming, known: Revision) -> Option<Arc<Change>> {
        let Incoming { key, revision, current, previous, is_previous_lost } = incoming;
        if revision <= self.listed {
            if is_previous_lost {
                self.history.forget_before(revision.next());
            } else if self.history.is_filling() {
                self.history.push(Arc::new(Change::new(key, revision, current, previous)));
            }
            return None;
        }
        if revision <= known {
            return None;
        }
        self.history.filled();
        let previous = match &current {
            Some(object) => {
                self.bytes += size(object);
                self.objects.insert(key.clone(), object.clone())
            }
            None => self.objects.remove(&key),
        };
        self.bytes -= previous.as_ref().map_or(0, size);
        self.revision = revision;
        let change = Arc::new(Change::new(key, revision, current, previous));
        self.history.push(Arc::clone(&change));
        Some(change)
    }

    /// Everything up to this revision has come.
    pub(crate) fn progress(&mut self, revision: Revision) {
        if revision >= self.listed {
            self.history.filled();
        }
        self.revision = self.revision.max(revision);
    }

    /// What to do now that the store has given up everything up to `compacted`.
    pub(crate) fn recover(&mut self, compacted: Option<Revision>) -> Recovery {
        match compacted {
            // Only history from before the list was asked for.
            Some(compacted) if compacted < self.listed && self.history.is_filling() => {
                self.history.refill_from(compacted.next());
                Recovery::Watch(compacted.next())
            }
            Some(compacted) if compacted <= self.revision => {
                self.history.give_up_filling();
                Recovery::Watch(self.revision.next())
            }
            None if self.history.is_filling() => {
                self.history.give_up_filling();
                Recovery::Watch(self.revision.next())
            }
            _ => Recovery::List,
        }
    }

    /// The objects of a scope, in key order.
    pub(crate) fn list(&self, scope: &Scope) -> Vec<Decoded> {
        let end = scope.end();
        let range = (Bound::Included(scope.as_str()), Bound::Excluded(end.as_str()));
        self.objects.range::<str, _>(range).map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Decoded> {
        self.objects.get(key)
    }

    /// The changes of a scope after this revision; `None` if some are not here any more.
    pub(crate) fn after(&self, revision: Revision, scope: &Scope) -> Option<Vec<Arc<Change>>> {
        let changes = self.history.after(revision)?;
        Some(changes.filter(|change| scope.contains(change.key.as_str())).cloned().collect())
    }

    /// Every key with its revision, in key order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Key, Revision)> {
        self.objects.iter().map(|(key, object)| match object {
            Ok(object) => (key, object.revision),
            Err(undecodable) => (key, undecodable.revision),
        })
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(object: &Decoded) -> usize {
    match object {
        Ok(object) => object.bytes(),
        Err(undecodable) => undecodable.key.as_str().len(),
    }
}

#[cfg(test)]
mod watch_cache_test;
