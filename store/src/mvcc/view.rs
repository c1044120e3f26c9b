//! A view: the store frozen at one revision, and at every older one that is not compacted.
//!
//! ```text
//!            compact revision C              revision
//! ───────────────┼──────────────────────────────┤
//!   invisible     readable
//! ```
//! A key's newest version is in Latest, or is a tombstone in Graves. An older version is found by walking the pointers of
//! History back; where a pointer leads to or below the *base revision* (the compact revision up to which rows have been
//! sorted out), the version is in Base, or it was a tombstone and is nowhere. The base revision lags behind C while removal
//! is under way, and is read from the same snapshot as all else, so a read is right at every moment of a removal.
//! Promises: revision and rows are of one instant. Does not: lock, or wait for apply.

use std::cell::OnceCell;
use std::ops::ControlFlow;

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;

use super::compact::Progress;
use super::count::Counting;
use super::error::Error;
use super::graves::Graves;
use super::key_range::KeyRange;
use super::live::{Live, Row, VisitRow, stop_at_error};
use super::range::{self, Ranged, Spliced};
use super::record::{KeyValue, kv_offset};
use super::revision::{Compaction, Revision, State};
use super::store::read_state;
use super::txn;
use crate::engine::{self, Direction, Family, Snapshot, schema};

/// Bytes that a hash holds at a time, where the store's configuration says nothing else.
pub(crate) const HASH_BUFFER_BYTES: usize = 64 << 20;

/// The store at one instant.
pub struct View<'a> {
    snapshot: &'a dyn Snapshot,
    state: State,
    base: OnceCell<i64>,
    /// Why the record of the revision could not be read: then nothing can.
    fault: Option<String>,
    /// How it counts long ranges; one that a group or the compactor makes walks them.
    counting: Option<Counting<'a>>,
}

impl<'a> View<'a> {
    /// Of a snapshot, as of the revision that its record says.
    pub(crate) fn at(snapshot: &'a dyn Snapshot) -> View<'a> {
        match read_state(|key| snapshot.get(Family::Meta, key)) {
            Ok(state) => View::new(snapshot, state),
            Err(error) => View { fault: Some(error.to_string()), ..View::new(snapshot, State::EMPTY) },
        }
    }

    /// Of a snapshot whose record says `state`, or of a group over it that has moved `state` on.
    pub(crate) fn new(snapshot: &'a dyn Snapshot, state: State) -> View<'a> {
        View { snapshot, state, base: OnceCell::new(), fault: None, counting: None }
    }

    /// With what helps to count.
    pub(crate) fn counting_with(self, counting: Counting<'a>) -> View<'a> {
        View { counting: Some(counting), ..self }
    }

    pub(crate) fn counting(&self) -> Option<&Counting<'a>> {
        self.counting.as_ref()
    }

    pub(crate) fn hash_buffer_bytes_max(&self) -> usize {
        self.counting.as_ref().map_or(HASH_BUFFER_BYTES, |with| with.shared.config.hash_buffer_bytes_max)
    }

    /// Whether the view can be read at all; every read asks.
    pub(crate) fn sound(&self) -> Result<(), Error> {
        let Some(fault) = &self.fault else { return Ok(()) };
        Err(Error::Engine(engine::Error::Io { operation: "read of the current revision", reason: fault.clone() }))
    }

    pub(crate) fn compaction(&self) -> Compaction {
        self.state.compaction
    }

    pub(crate) fn snapshot(&self) -> &'a dyn Snapshot {
        self.snapshot
    }

    /// The current revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.state.revision
    }

    /// The compact revision; -1 where nothing was ever compacted.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.state.compaction.revision
    }

    /// Answers a range at the top level: revision 0 and below is the current one.
    ///
    /// # Errors
    /// [`Error::Compacted`], [`Error::FutureRevision`], or what ends the process.
    pub fn range(&self, r: &pb::RangeRequest) -> Result<Ranged, Error> {
        self.sound()?;
        range::range(self, r, range::revision_of(self, r.revision)?)
    }

    /// As [`range`](View::range), for an answer that may be large: the records are in wire form, copied once.
    ///
    /// # Errors
    /// As [`range`](View::range).
    pub fn range_spliced(&self, r: &pb::RangeRequest) -> Result<Spliced, Error> {
        self.sound()?;
        range::spliced(self, r, range::revision_of(self, r.revision)?)
    }

    /// Answers a transaction without writes. Headers within are filled, the outer one is not.
    ///
    /// # Errors
    /// [`Error::Compacted`], [`Error::FutureRevision`], [`Error::WriteInRead`], or what ends the process.
    pub fn txn(&self, r: &pb::TxnRequest) -> Result<pb::TxnResponse, Error> {
        self.sound()?;
        let path = txn::decide(self, r)?;
        txn::check_ranges(self, r, &path)?;
        txn::answer(self, r, &path)
    }

    /// The encoded record of `key` now.
    ///
    /// # Errors
    /// What ends the process.
    pub fn key_value(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.sound()?;
        self.current(key)
    }

    /// The encoded record of `key` as of the change `previous`, which an event names as the one before it; `None` where that
    /// was a delete or is compacted away.
    ///
    /// # Errors
    /// What ends the process.
    pub fn previous(&self, key: &[u8], previous: (i64, i64)) -> Result<Option<Bytes>, Error> {
        self.sound()?;
        // The event's key has changed since, so what is left of its earlier version is in History or in Base.
        let Some(kv) = self.version(previous.into())? else { return Ok(None) };
        let read = KeyValue::read(&kv).filter(|read| read.key == key);
        read.ok_or_else(|| Error::undecodable(Family::History, &schema::revision(previous.0, previous.1)))?;
        Ok(Some(kv))
    }

    /// Keys attached to `lease`, sorted.
    ///
    /// # Errors
    /// What ends the process.
    pub fn lease_keys(&self, lease: i64) -> Result<Vec<Bytes>, Error> {
        self.sound()?;
        let (from, to) = schema::lease_key_range(lease);
        let mut keys = Vec::new();
        let to = to.as_ref().map(|to| &to[..]);
        self.snapshot.scan(Family::LeaseKeys, &from, to, Direction::Ascending, &mut |row, _| {
            keys.push(Bytes::copy_from_slice(&row[from.len()..]));
            ControlFlow::Continue(())
        })?;
        Ok(keys)
    }

    /// The revision up to which old versions are in Base and no longer in History.
    pub(crate) fn base(&self) -> Result<i64, Error> {
        if let Some(base) = self.base.get() {
            return Ok(*base);
        }
        let base = Progress::load(|key| self.snapshot.get(Family::Meta, key))?.base;
        Ok(*self.base.get_or_init(|| base))
    }

    /// Row of Latest: record and revision.
    pub(crate) fn latest(&self, key: &[u8]) -> Result<Option<(Bytes, Revision)>, Error> {
        let row = schema::key(key);
        let Some(value) = self.snapshot.get(Family::Latest, &row)? else { return Ok(None) };
        let (kv, revision) = schema::read_latest(&value).ok_or_else(|| Error::undecodable(Family::Latest, &row))?;
        Ok(Some((value.slice_ref(kv), revision.into())))
    }

    /// Row of Graves.
    pub(crate) fn grave(&self, key: &[u8]) -> Result<Option<Revision>, Error> {
        let row = schema::key(key);
        let Some(value) = self.snapshot.get(Family::Graves, &row)? else { return Ok(None) };
        read_grave(&row, &value).map(Some)
    }

    /// The record that the change at `revision` made, where it is still kept and was no delete.
    pub(crate) fn version(&self, revision: Revision) -> Result<Option<Bytes>, Error> {
        let row = schema::revision(revision.main, revision.sub);
        if revision.main <= self.base()? {
            return Ok(self.snapshot.get(Family::Base, &row)?);
        }
        let (header, event) = self.history(revision)?;
        if header.delete {
            return Ok(None);
        }
        let at = kv_offset(&event).ok_or_else(|| Error::undecodable(Family::History, &row))?;
        Ok(Some(event.slice(at..)))
    }

    /// The record of the key whose newest change is `newest` > `at`, as of `at`.
    pub(crate) fn version_at(&self, newest: Revision, at: i64) -> Result<Option<(Bytes, Revision)>, Error> {
        let mut revision = newest;
        loop {
            let (header, _) = self.history(revision)?;
            let Some(previous) = header.previous.map(Revision::from) else { return Ok(None) };
            if previous.main <= at {
                return Ok(self.version(previous)?.map(|kv| (kv, previous)));
            }
            revision = previous;
        }
    }

    /// (written, live) of the size account after `revision`, which is above the base revision or at it.
    pub(crate) fn account_at(&self, revision: i64) -> Result<(i64, i64), Error> {
        let (from, to) = (schema::revision(revision, 0), schema::revision(revision + 1, 0));
        let mut found = None;
        self.snapshot.scan(Family::History, &from, Some(&to), Direction::Descending, &mut |_, value| {
            found = schema::HistoryHeader::decode(value).map(|(header, _)| (header.written, header.live));
            ControlFlow::Break(())
        })?;
        found.ok_or_else(|| Error::missing(Family::History, &from))
    }

    fn history(&self, revision: Revision) -> Result<(schema::HistoryHeader, Bytes), Error> {
        let row = schema::revision(revision.main, revision.sub);
        let value = self.snapshot.get(Family::History, &row)?.ok_or_else(|| Error::missing(Family::History, &row))?;
        let (header, event) =
            schema::HistoryHeader::decode(&value).ok_or_else(|| Error::undecodable(Family::History, &row))?;
        Ok((header, value.slice_ref(event)))
    }

    fn visit_current(&self, range: &KeyRange, direction: Direction, visit: &mut VisitRow<'_>) -> Result<(), Error> {
        if let KeyRange::One(key) = range {
            if let Some((kv, revision)) = self.latest(key)? {
                let _stop = visit(Row { key, kv: &kv, revision })?;
            }
            return Ok(());
        }
        let (from, to) = range.rows();
        let mut result = Ok(());
        self.snapshot.scan(Family::Latest, &from, Some(&to), direction, &mut |row, value| {
            let step = read_latest(row, value).and_then(&mut *visit);
            stop_at_error(&mut result, step)
        })?;
        result
    }

    fn visit_one_old(&self, key: &[u8], at: i64, visit: &mut VisitRow<'_>) -> Result<(), Error> {
        let found = match self.latest(key)? {
            Some((kv, revision)) if revision.main <= at => Some((kv, revision)),
            Some((_, revision)) => self.version_at(revision, at)?,
            None => match self.grave(key)? {
                Some(revision) if revision.main > at => self.version_at(revision, at)?,
                _ => None,
            },
        };
        if let Some((kv, revision)) = found {
            let _stop = visit(Row { key, kv: &kv, revision })?;
        }
        Ok(())
    }

    /// Latest and Graves merged in key order; a key that changed after `at` is walked back.
    fn visit_old(
        &self,
        range: &KeyRange,
        at: i64,
        direction: Direction,
        visit: &mut VisitRow<'_>,
    ) -> Result<(), Error> {
        let mut graves = Graves::new(self.snapshot, range, at, direction);
        let (from, to) = range.rows();
        let mut result = Ok(());
        let mut stopped = false;
        self.snapshot.scan(Family::Latest, &from, Some(&to), direction, &mut |row, value| {
            let step = read_latest(row, value).and_then(|latest| {
                while let Some((key, newest)) = graves.next_before(Some(latest.key))? {
                    if self.walk_back(&key, newest, at, visit)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                if latest.revision.main <= at {
                    return visit(latest);
                }
                self.walk_back(latest.key, latest.revision, at, visit)
            });
            let flow = stop_at_error(&mut result, step);
            stopped = flow.is_break();
            flow
        })?;
        result?;
        while !stopped && let Some((key, newest)) = graves.next_before(None)? {
            stopped = self.walk_back(&key, newest, at, visit)?.is_break();
        }
        Ok(())
    }

    fn walk_back(
        &self,
        key: &[u8],
        newest: Revision,
        at: i64,
        visit: &mut VisitRow<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        match self.version_at(newest, at)? {
            Some((kv, revision)) => visit(Row { key, kv: &kv, revision }),
            None => Ok(ControlFlow::Continue(())),
        }
    }
}

impl Live for View<'_> {
    fn revision(&self) -> i64 {
        self.state.revision
    }

    fn compact_revision(&self) -> i64 {
        self.state.compaction.revision
    }

    fn visit(&self, range: &KeyRange, at: i64, direction: Direction, visit: &mut VisitRow<'_>) -> Result<(), Error> {
        match range {
            _ if range.is_empty() => Ok(()),
            _ if at >= self.state.revision => self.visit_current(range, direction, visit),
            KeyRange::One(key) => self.visit_one_old(key, at, visit),
            KeyRange::Span(..) => self.visit_old(range, at, direction, visit),
        }
    }

    fn current(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.latest(key)?.map(|(kv, _)| kv))
    }

    fn count(&self, range: &KeyRange, at: i64) -> Result<i64, Error> {
        self.count_keys(range, at)
    }

    fn known_remaining(&self, range: &KeyRange, at: i64) -> Option<i64> {
        self.known_remaining_keys(range, at)
    }

    fn remember_remaining(&self, range: KeyRange, at: i64, count: i64) {
        self.remember_remaining_keys(range, at, count);
    }
}

/// A row of Latest.
pub(crate) fn read_latest<'a>(row: &'a [u8], value: &'a [u8]) -> Result<Row<'a>, Error> {
    let (kv, revision) = schema::read_latest(value).ok_or_else(|| Error::undecodable(Family::Latest, row))?;
    Ok(Row { key: schema::user_key(row), kv, revision: revision.into() })
}

/// A row of Graves.
pub(crate) fn read_grave(row: &[u8], value: &[u8]) -> Result<Revision, Error> {
    schema::read_revision(value).map(Revision::from).ok_or_else(|| Error::undecodable(Family::Graves, row))
}
