//! Graves of a range, one after the other, beside a walk over the keys that live.
//!
//! Only those dug after a revision: a key that was deleted before is not there at it. They are fetched in chunks, since there
//! may be millions, and a chunk's end is where the next begins.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::error::Error;
use super::key_range::KeyRange;
use super::live::stop_at_error;
use super::revision::Revision;
use super::view::read_grave;
use crate::engine::{Direction, Family, Snapshot, schema};

/// Graves fetched at a time while an old range is merged.
const GRAVES_CHUNK: usize = 256;

/// Graves of a range that were dug after a revision, fetched in chunks: there may be millions.
pub(crate) struct Graves<'a> {
    snapshot: &'a dyn Snapshot,
    /// What has not been fetched, as rows.
    rest: Option<(Bytes, Bytes)>,
    after: i64,
    direction: Direction,
    /// Fetched, the next one last.
    fetched: Vec<(Bytes, Revision)>,
}

impl<'a> Graves<'a> {
    pub(crate) fn new(snapshot: &'a dyn Snapshot, range: &KeyRange, after: i64, direction: Direction) -> Self {
        Graves { snapshot, rest: Some(range.rows()), after, direction, fetched: Vec::new() }
    }

    /// The next grave, if its key comes before `key` in the direction of the walk.
    pub(crate) fn next_before(&mut self, key: Option<&[u8]>) -> Result<Option<(Bytes, Revision)>, Error> {
        while self.fetched.is_empty() {
            let Some(rest) = self.rest.take() else { return Ok(None) };
            self.fetch(rest)?;
        }
        let comes_before = |grave: &[u8]| match (key, self.direction) {
            (None, _) => true,
            (Some(key), Direction::Ascending) => grave < key,
            (Some(key), Direction::Descending) => grave > key,
        };
        let due = self.fetched.last().is_some_and(|(grave, _)| comes_before(grave));
        Ok(if due { self.fetched.pop() } else { None })
    }

    fn fetch(&mut self, (from, to): (Bytes, Bytes)) -> Result<(), Error> {
        let (mut result, mut seen, mut last) = (Ok(()), 0, Bytes::new());
        let (after, fetched) = (self.after, &mut self.fetched);
        self.snapshot.scan(Family::Graves, &from, Some(&to), self.direction, &mut |row, value| {
            seen += 1;
            let step = read_grave(row, value).map(|revision| {
                if revision.main > after {
                    fetched.push((Bytes::copy_from_slice(schema::user_key(row)), revision));
                }
                if seen < GRAVES_CHUNK {
                    return ControlFlow::Continue(());
                }
                last = Bytes::copy_from_slice(row);
                ControlFlow::Break(())
            });
            stop_at_error(&mut result, step)
        })?;
        result?;
        fetched.reverse();
        if seen == GRAVES_CHUNK {
            self.rest = Some(match self.direction {
                Direction::Ascending => ([&last[..], &[0]].concat().into(), to),
                Direction::Descending => (from, last),
            });
        }
        Ok(())
    }
}
