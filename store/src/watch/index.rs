//! Which synced watchers want an event: exact keys in a hash map, ranges in an interval tree.
//!
//! Watchers of the same range and filters are one [`Class`]: they are matched once and get one shared batch.
//! Pure.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use super::batch::WatcherId;
use super::event::Event;
use super::interval::IntervalTree;
use super::range::{Filters, KeyRange};

/// Synced watchers with the same range and filters.
#[derive(Debug)]
pub(super) struct Class {
    /// Names it within the index.
    pub(super) id: u64,
    /// In a fixed order, so that a seed replays.
    pub(super) watchers: BTreeSet<WatcherId>,
}

/// The classes of one range, by the number of their filters.
type Classes = [Option<Class>; Filters::COUNT];

/// Synced watchers by what they want.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: HashMap<Bytes, Classes>,
    ranges: IntervalTree<Classes>,
    classes: u64,
}

impl Index {
    /// Adds a watcher that is not there.
    pub(super) fn insert(&mut self, range: &KeyRange, filters: Filters, watcher: WatcherId) {
        let classes = match range {
            KeyRange::Key(key) => self.keys.entry(key.clone()).or_default(),
            KeyRange::Range(first, end) => {
                if self.ranges.get_mut(first, end).is_none() {
                    self.ranges.insert(first.clone(), end.clone(), Classes::default());
                }
                self.ranges.get_mut(first, end).expect("inserted above if it was not there")
            }
        };
        let next_id = &mut self.classes;
        let class = classes[filters.number()].get_or_insert_with(|| {
            *next_id += 1;
            Class { id: *next_id, watchers: BTreeSet::new() }
        });
        assert!(class.watchers.insert(watcher), "a watcher is synced once");
    }

    /// Removes a watcher that is there.
    pub(super) fn remove(&mut self, range: &KeyRange, filters: Filters, watcher: WatcherId) {
        let classes = match range {
            KeyRange::Key(key) => self.keys.get_mut(key),
            KeyRange::Range(first, end) => self.ranges.get_mut(first, end),
        };
        let classes = classes.expect("a synced watcher's range is indexed");
        let slot = &mut classes[filters.number()];
        let class = slot.as_mut().expect("a synced watcher's class is indexed");
        assert!(class.watchers.remove(&watcher), "a synced watcher is in its class");
        if class.watchers.is_empty() {
            *slot = None;
        }
        if classes.iter().all(Option::is_none) {
            match range {
                KeyRange::Key(key) => drop(self.keys.remove(key)),
                KeyRange::Range(first, end) => drop(self.ranges.remove(first, end)),
            }
        }
    }

    /// Calls `visit` with each class that wants `event`.
    pub(super) fn matching<'a>(&'a self, event: &Event, mut visit: impl FnMut(&'a Class)) {
        let mut visit_range = |classes: &'a Classes| {
            for (number, class) in classes.iter().enumerate() {
                if let Some(class) = class.as_ref().filter(|_| Filters::of_number(number).pass(event)) {
                    visit(class);
                }
            }
        };
        if let Some(classes) = self.keys.get(&event.key) {
            visit_range(classes);
        }
        self.ranges.stab(&event.key, &mut visit_range);
    }

    /// Every watcher.
    pub(super) fn drain(&mut self) -> BTreeSet<WatcherId> {
        let mut all = BTreeSet::new();
        let mut take = |classes: Classes| classes.into_iter().flatten().for_each(|class| all.extend(class.watchers));
        std::mem::take(&mut self.keys).into_values().for_each(&mut take);
        std::mem::take(&mut self.ranges).into_values(&mut take);
        all
    }
}
