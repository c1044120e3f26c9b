//! Overlay: what a group has changed and the engine does not show yet, key by key.
//!
//! A group is one engine batch, and a batch does not read itself. The overlay keeps every version that the group made, so that
//! a later command of the same group reads any of its revisions as if each had been written at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;

use super::error::Error;
use super::header_cache::Head;
use super::key_range::KeyRange;
use super::live::{Live, Row, VisitRow};
use super::revision::Revision;
use super::view::View;
use crate::engine::Direction;

/// One change of a key.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub revision: Revision,
    /// What it made of the key; `None` is a tombstone.
    pub live: Option<(Head, Bytes)>,
}

/// Key → its changes, oldest first; never empty.
#[derive(Default)]
pub(crate) struct Overlay {
    keys: BTreeMap<Bytes, Vec<Version>>,
}

impl Overlay {
    pub(crate) fn push(&mut self, key: Bytes, version: Version) {
        self.keys.entry(key).or_default().push(version);
    }

    /// The newest change of `key`, if the group has one.
    pub(crate) fn last(&self, key: &[u8]) -> Option<&Version> {
        self.keys.get(key)?.last()
    }

    /// All keys with their newest changes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Version)> {
        self.keys.iter().filter_map(|(key, versions)| Some((key, versions.last()?)))
    }

    /// Keys of `range` that the group had changed by `at`, with the newest change up to then.
    fn at(&self, range: &KeyRange, at: i64, direction: Direction) -> Changed<'_> {
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = match range {
            KeyRange::One(key) => (Bound::Included(key), Bound::Included(key)),
            KeyRange::Span(from, to) => {
                (Bound::Included(from), to.as_ref().map_or(Bound::Unbounded, |to| Bound::Excluded(&to[..])))
            }
        };
        Changed { keys: self.keys.range::<[u8], _>(bounds), at, direction, next: None }
    }
}

/// A walk over changed keys that can be looked ahead by one.
struct Changed<'a> {
    keys: Range<'a, Bytes, Vec<Version>>,
    at: i64,
    direction: Direction,
    next: Option<(&'a Bytes, &'a Version)>,
}

impl<'a> Changed<'a> {
    fn peek(&mut self) -> Option<(&'a Bytes, &'a Version)> {
        while self.next.is_none() {
            let (key, versions) = match self.direction {
                Direction::Ascending => self.keys.next(),
                Direction::Descending => self.keys.next_back(),
            }?;
            let newest = versions.iter().rev().find(|version| version.revision.main <= self.at);
            self.next = newest.map(|version| (key, version));
        }
        self.next
    }

    /// The next one, where it comes before `key` or is `key`.
    fn next_up_to(&mut self, key: Option<&[u8]>) -> Option<(&'a Bytes, &'a Version)> {
        let (changed, _) = self.peek()?;
        let due = match (key, self.direction) {
            (None, _) => true,
            (Some(key), Direction::Ascending) => changed <= key,
            (Some(key), Direction::Descending) => changed >= key,
        };
        if due { self.next.take() } else { None }
    }
}

fn visit_version(key: &[u8], version: &Version, visit: &mut VisitRow<'_>) -> Result<ControlFlow<()>, Error> {
    match &version.live {
        Some((_, kv)) => visit(Row { key, kv, revision: version.revision }),
        None => Ok(ControlFlow::Continue(())),
    }
}

/// The store as a command of a group sees it: a view of what was committed, under the group's changes.
pub(crate) struct Overlaid<'a> {
    /// What was committed before the group.
    pub below: View<'a>,
    pub overlay: &'a Overlay,
    /// The current revision, a transaction's own included once it has changed something.
    pub revision: i64,
}

impl Live for Overlaid<'_> {
    fn revision(&self) -> i64 {
        self.revision
    }

    fn compact_revision(&self) -> i64 {
        self.below.compact_revision()
    }

    fn visit(&self, range: &KeyRange, at: i64, direction: Direction, visit: &mut VisitRow<'_>) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        if at < self.below.revision() {
            return self.below.visit(range, at, direction, visit);
        }
        let mut changed = self.overlay.at(range, at, direction);
        let mut stopped = false;
        self.below.visit(range, self.below.revision(), direction, &mut |row| {
            let mut flow = ControlFlow::Continue(());
            let mut replaced = false;
            while flow.is_continue()
                && !replaced
                && let Some((key, version)) = changed.next_up_to(Some(row.key))
            {
                replaced = key == row.key;
                flow = visit_version(key, version, visit)?;
            }
            if flow.is_continue() && !replaced {
                flow = visit(row)?;
            }
            stopped = flow.is_break();
            Ok(flow)
        })?;
        while !stopped && let Some((key, version)) = changed.next_up_to(None) {
            stopped = visit_version(key, version, visit)?.is_break();
        }
        Ok(())
    }

    fn current(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.overlay.last(key) {
            Some(version) => Ok(version.live.as_ref().map(|(_, kv)| kv.clone())),
            None => self.below.current(key),
        }
    }
}
