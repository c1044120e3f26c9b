//! Keys that exist at a revision: what every read is made of.
//!
//! [`Live`] is implemented by a view (an engine snapshot) and by a group being applied (a snapshot under its own changes), so
//! that ranges and transactions are one code for both.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::error::Error;
use super::key_range::KeyRange;
use super::record::KeyValue;
use super::revision::Revision;
use crate::engine::{Direction, Family};

/// A key that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its encoded `KeyValue`.
    pub kv: &'a [u8],
    /// Its change.
    pub revision: Revision,
}

impl<'a> Row<'a> {
    /// The record's fields.
    pub(crate) fn read(&self) -> Result<KeyValue<'a>, Error> {
        KeyValue::read(self.kv).ok_or_else(|| Error::undecodable(Family::Latest, self.key))
    }
}

/// Called for each key; `Break` ends the walk.
pub(crate) type VisitRow<'a> = dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, Error> + 'a;

/// A store that can be read at its current revision and older ones.
pub(crate) trait Live {
    /// The current revision, its own changes included.
    fn revision(&self) -> i64;

    /// The compact revision.
    fn compact_revision(&self) -> i64;

    /// Visits the keys of `range` that exist at revision `at`, compact ≤ `at` ≤ current, in key order or against it.
    fn visit(&self, range: &KeyRange, at: i64, direction: Direction, visit: &mut VisitRow<'_>) -> Result<(), Error>;

    /// The record of one key at the current revision.
    fn current(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// How many keys of `range` exist at `at`.
    fn count(&self, range: &KeyRange, at: i64) -> Result<i64, Error> {
        let mut count = 0;
        self.visit(range, at, Direction::Ascending, &mut |_| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// How many keys of `range` exist at `at`, where an earlier page of the same list has left that.
    fn known_remaining(&self, range: &KeyRange, at: i64) -> Option<i64> {
        let (_, _) = (range, at);
        None
    }

    /// Leaves it for the next page.
    fn remember_remaining(&self, range: KeyRange, at: i64, count: i64) {
        let (_, _, _) = (range, at, count);
    }
}

/// Carries an error out of a walk that only knows to stop.
pub(crate) fn stop_at_error(kept: &mut Result<(), Error>, step: Result<ControlFlow<()>, Error>) -> ControlFlow<()> {
    step.unwrap_or_else(|error| {
        *kept = Err(error);
        ControlFlow::Break(())
    })
}
