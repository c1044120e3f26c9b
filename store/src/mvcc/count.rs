//! Counts: how many keys of a range exist at a revision, by the cheapest way that is right.
//!
//! A page of a pinned list knows from the page before; else fences tell what is there now, corrected by the events between
//! their revision and the one asked for; else the range is walked, and fences are asked for if it was long.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Error;
use super::events::read_change;
use super::fence::{Fenced, Fences, count_change};
use super::key_range::KeyRange;
use super::live::{Live, stop_at_error};
use super::store::{Published, Shared};
use super::view::View;
use crate::engine::{Direction, Engine, Family, schema};

/// Lists under way whose remaining count is remembered.
const REMAINING_MAX: usize = 256;
/// Keys that a count must have walked for fences to be worth their building.
const WORTH_FENCES_KEYS: i64 = 2048;
/// Revisions that new fences are brought forward by; further behind, they are built again.
const CATCH_UP_REVISIONS_MAX: i64 = 100_000;

/// What is left of lists under way: (revision, range) → count. A page's answer is the next page's question.
#[derive(Default)]
pub(crate) struct Remaining {
    newest_last: Mutex<VecDeque<(i64, KeyRange, i64)>>,
}

impl Remaining {
    /// What is left of `range`, if a page said so.
    fn get(&self, range: &KeyRange, at: i64) -> Option<i64> {
        let known = self.newest_last.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().rev().find(|(revision, of, _)| *revision == at && of == range).map(|(_, _, count)| *count)
    }

    fn put(&self, range: KeyRange, at: i64, count: i64) {
        let mut known = self.newest_last.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|(revision, of, _)| *revision == at && *of == range) {
            return;
        }
        if known.len() >= REMAINING_MAX {
            known.pop_front();
        }
        known.push_back((at, range, count));
    }

    pub(crate) fn clear(&self) {
        self.newest_last.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What a view counts with: fences, and the revision up to which they held when the snapshot was taken.
#[derive(Clone)]
pub(crate) struct Counting<'a> {
    pub shared: &'a Shared,
    pub fenced: Option<(i64, Arc<Fenced>)>,
}

/// Builds fences and puts them in place, caught up with apply. `false` where apply was too far ahead: try again.
pub(crate) fn build_fences(shared: &Shared) -> Result<bool, Error> {
    let published = shared.published();
    let engine = published.engine.clone();
    if published.fenced.is_some() {
        return Ok(true);
    }
    drop(published);
    let (mut fences, mut at) = {
        let snapshot = engine.snapshot();
        (Fences::build(&*snapshot, shared.config.fence_keys_max)?, View::at(&*snapshot).revision())
    };
    // Most of the way beside apply, the rest while it cannot write.
    catch_up(&mut fences, &mut at, &*engine)?;
    let _gate = shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
    if !catch_up(&mut fences, &mut at, &*engine)? {
        return Ok(false);
    }
    let fenced = Some(Arc::new(Fenced::new(fences, at)));
    shared.update_published(|now| {
        let fenced = if Arc::ptr_eq(&now.engine, &engine) { fenced } else { now.fenced.clone() };
        Published { fenced, engine: now.engine.clone(), generation: now.generation.clone() }
    });
    Ok(true)
}

/// Applies what has changed since `at`; `false` where that is too much, or compacted.
fn catch_up(fences: &mut Fences, at: &mut i64, engine: &dyn Engine) -> Result<bool, Error> {
    let snapshot = engine.snapshot();
    let view = View::at(&*snapshot);
    let now = view.revision();
    if now - *at > CATCH_UP_REVISIONS_MAX || *at + 1 < view.compact_revision() {
        return Ok(false);
    }
    let events = view.events(*at + 1, usize::MAX, usize::MAX)?;
    fences.apply(events.iter().flat_map(|revision| &revision.events), || &*snapshot)?;
    *at = now;
    Ok(true)
}

impl View<'_> {
    pub(crate) fn known_remaining_keys(&self, range: &KeyRange, at: i64) -> Option<i64> {
        self.counting().and_then(|counting| counting.shared.remaining.get(range, at))
    }

    pub(crate) fn remember_remaining_keys(&self, range: KeyRange, at: i64, count: i64) {
        if let Some(counting) = self.counting() {
            counting.shared.remaining.put(range, at, count);
        }
    }

    pub(crate) fn count_keys(&self, range: &KeyRange, at: i64) -> Result<i64, Error> {
        if range.is_empty() {
            return Ok(0);
        }
        if let Some(known) = self.known_remaining_keys(range, at) {
            return Ok(known);
        }
        let Some(counting) = self.counting() else { return self.walk(range, at) };
        let Some((valid_through, fenced)) = &counting.fenced else {
            let count = self.walk(range, at)?;
            if count >= WORTH_FENCES_KEYS {
                counting.shared.fences_wanted.store(true, Ordering::Release);
                counting.shared.work_due.notify_one();
            }
            return Ok(count);
        };
        self.count_by_fences(&fenced.fences, *valid_through, range, at)
    }

    fn count_by_fences(&self, fences: &Fences, valid_through: i64, range: &KeyRange, at: i64) -> Result<i64, Error> {
        // The walks at the ends see the snapshot, which may be newer than the fences: take both at `valid_through`.
        let now = self.revision();
        let scan = |part: &KeyRange| Ok(self.walk(part, now)? - self.changed(part, valid_through, now)?);
        let then = fences.count(range, scan)?;
        if at >= valid_through {
            return Ok(then + self.changed(range, valid_through, at)?);
        }
        // Further back than the range is long, walking it is cheaper.
        if valid_through - at > then.max(WORTH_FENCES_KEYS) {
            return self.walk(range, at);
        }
        Ok(then - self.changed(range, at, valid_through)?)
    }

    /// By how much the number of keys of `range` changed after `from` up to `to`.
    fn changed(&self, range: &KeyRange, from: i64, to: i64) -> Result<i64, Error> {
        if from >= to {
            return Ok(0);
        }
        let (mut by, mut result) = (0, Ok(()));
        let (from, to) = (schema::revision(from + 1, 0), schema::revision(to + 1, 0));
        self.snapshot().scan(Family::History, &from, Some(&to), Direction::Ascending, &mut |row, value| {
            let step = read_change(row, value).map(|(kind, key)| {
                if let Some(change) = count_change(kind)
                    && range.contains(key)
                {
                    by += change;
                }
                ControlFlow::Continue(())
            });
            stop_at_error(&mut result, step)
        })?;
        result.map(|()| by)
    }

    fn walk(&self, range: &KeyRange, at: i64) -> Result<i64, Error> {
        let mut count = 0;
        self.visit(range, at, Direction::Ascending, &mut |_| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }
}
