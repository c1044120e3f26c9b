//! One key's change within a group: the rows that it writes.
//!
//! ```text
//!           Latest   Graves        History   Base                                 LeaseKeys
//! put       put      delete if dug put       put of the version before, if it     moved
//! delete    delete   put           put       is at or below the compact revision  deleted
//! ```
//! Promises: what a member writes does not depend on how far it has removed compacted rows: a grave at or below the compact
//! revision counts as gone whether or not it is.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::error::Error;
use super::header_cache::Head;
use super::key_range::KeyRange;
use super::live::Live;
use super::overlay::Version;
use super::record::{Change, KeyValue};
use super::revision::Revision;
use super::size::row_bytes;
use super::view::{read_grave, read_latest};
use super::writer::Group;
use crate::engine::schema::HistoryHeader;
use crate::engine::{Direction, Family, schema};
use crate::watch::{Event, Kind};

/// Keys of one DeleteRange that are deleted in Latest one by one; more are one range tombstone, which costs a read that
/// crosses it about 1 µs, where a hundred thousand point tombstones cost 23 ms.
const POINT_DELETES_MAX: usize = 64;

/// A key before a change.
pub(crate) enum Prior {
    /// It exists; the record is there where it was asked for or has to be kept in Base.
    Live(Head, Option<Bytes>),
    /// It does not; its grave where it has one.
    Dead(Option<Revision>),
}

impl Prior {
    /// The record, where it was read.
    pub(crate) fn kv(&self) -> Option<&Bytes> {
        match self {
            Prior::Live(_, kv) => kv.as_ref(),
            Prior::Dead(_) => None,
        }
    }
}

/// A key on its way out.
struct Doomed {
    key: Bytes,
    head: Head,
    kv: Option<Bytes>,
}

impl Group<'_> {
    /// What is known of `key` before it changes; read from the engine only where the cache does not do.
    pub(crate) fn prior(&mut self, key: &Bytes, with_kv: bool) -> Result<Prior, Error> {
        if let Some(version) = self.group.overlay.last(key) {
            return Ok(match &version.live {
                Some((head, kv)) => Prior::Live(*head, Some(kv.clone())),
                None => Prior::Dead(Some(version.revision)),
            });
        }
        let compact = self.compact_revision();
        if !with_kv
            && let Some(head) = self.headers.get(key)
            && head.revision.main > compact
        {
            return Ok(Prior::Live(head, None));
        }
        let row = schema::key(key);
        if let Some(value) = self.engine.get(Family::Latest, &row)? {
            let found = read_latest(&row, &value)?;
            return Ok(Prior::Live(head_of(&found.read()?, found.revision, found.kv), Some(value.slice_ref(found.kv))));
        }
        let grave = self.engine.get(Family::Graves, &row)?;
        Ok(Prior::Dead(grave.map(|value| read_grave(&row, &value)).transpose()?))
    }

    /// Writes a put of a key that was `prior`.
    pub(crate) fn write_put(&mut self, key: &Bytes, value: &[u8], lease: i64, prior: Prior) {
        let at = self.next_revision();
        let (previous, created, version) = match &prior {
            Prior::Live(head, _) => (Some(head.revision), head.create_revision, head.version + 1),
            Prior::Dead(grave) => (self.readable(*grave), at.main, 1),
        };
        let kv = KeyValue { key, create_revision: created, mod_revision: at.main, version, value, lease };
        let row = row_bytes(kv.encoded_len());
        let (replaced, lease_before) = match &prior {
            Prior::Live(head, _) => (head.row_bytes, head.lease),
            Prior::Dead(_) => (0, 0),
        };
        let account = &mut self.state_mut().account;
        account.put(row, replaced);
        let (written, live) = (account.written, account.live);
        let is_new = matches!(prior, Prior::Dead(_));
        self.state_mut().count(i64::from(is_new));
        let header =
            HistoryHeader { delete: false, created: is_new, previous: previous.map(Into::into), written, live };
        let change = Change::new(&kv, at, header);
        match prior {
            Prior::Live(head, before) => self.keep_in_base(&head, before),
            Prior::Dead(Some(_)) => self.group.batch.delete(Family::Graves, change.key_row.clone()),
            Prior::Dead(None) => {}
        }
        self.group.batch.put(Family::Latest, change.key_row.clone(), change.key_value.clone());
        self.group.batch.put(Family::History, change.history_key.clone(), change.history_value.clone());
        self.move_lease(key, lease_before, lease);
        let head = Head { revision: at, create_revision: created, version, lease, row_bytes: row };
        self.headers_are_ahead = true;
        self.headers.put(key, head);
        self.record(change, at, Kind::Put { created: is_new }, previous, Some(head));
    }

    /// Deletes one key if it exists; the record before it where asked for.
    pub(crate) fn delete_one(&mut self, key: &Bytes, with_kv: bool) -> Result<Option<Option<Bytes>>, Error> {
        match self.prior(key, with_kv)? {
            Prior::Dead(_) => Ok(None),
            Prior::Live(head, kv) => {
                let before = kv.clone().filter(|_| with_kv);
                self.group.batch.delete(Family::Latest, schema::key(key));
                self.write_tombstone(Doomed { key: key.clone(), head, kv });
                Ok(Some(before))
            }
        }
    }

    /// Deletes every key of a range; the records before it where asked for.
    pub(crate) fn delete_span(&mut self, keys: &KeyRange, with_kv: bool) -> Result<Vec<Option<Bytes>>, Error> {
        let compact = self.compact_revision();
        let mut doomed = Vec::new();
        let before = self.overlaid();
        before.visit(keys, before.revision(), Direction::Ascending, &mut |row| {
            let head = head_of(&row.read()?, row.revision, row.kv);
            let kept = with_kv || row.revision.main <= compact;
            let kv = kept.then(|| Bytes::copy_from_slice(row.kv));
            doomed.push(Doomed { key: Bytes::copy_from_slice(row.key), head, kv });
            Ok(ControlFlow::Continue(()))
        })?;
        if doomed.len() > POINT_DELETES_MAX {
            let (from, to) = keys.rows();
            self.group.batch.delete_range(Family::Latest, from, to);
        } else {
            doomed.iter().for_each(|gone| self.group.batch.delete(Family::Latest, schema::key(&gone.key)));
        }
        let mut removed = Vec::with_capacity(doomed.len());
        for gone in doomed {
            removed.push(gone.kv.clone().filter(|_| with_kv));
            self.write_tombstone(gone);
        }
        Ok(removed)
    }

    /// Everything about a delete but the row of Latest.
    fn write_tombstone(&mut self, gone: Doomed) {
        let at = self.next_revision();
        let Doomed { key, head, kv } = gone;
        let tombstone = KeyValue { key: &key, mod_revision: at.main, ..KeyValue::default() };
        let account = &mut self.state_mut().account;
        account.delete(row_bytes(tombstone.encoded_len()), head.row_bytes);
        let (written, live) = (account.written, account.live);
        self.state_mut().count(-1);
        let previous = Some(head.revision);
        let header = HistoryHeader { delete: true, created: false, previous: previous.map(Into::into), written, live };
        let change = Change::new(&tombstone, at, header);
        self.keep_in_base(&head, kv);
        self.group.batch.put(Family::Graves, change.key_row.clone(), change.key_value.clone());
        self.group.batch.put(Family::History, change.history_key.clone(), change.history_value.clone());
        self.move_lease(&key, head.lease, 0);
        self.headers_are_ahead = true;
        self.headers.delete(&key);
        self.record(change, at, Kind::Delete, previous, None);
    }

    fn next_revision(&self) -> Revision {
        let sub = i64::try_from(self.group.open.len()).expect("a transaction changes fewer than 2^63 keys");
        Revision { main: self.revision() + 1, sub }
    }

    /// A grave as a pointer of History: none where no readable revision lies before it.
    fn readable(&self, grave: Option<Revision>) -> Option<Revision> {
        grave.filter(|grave| grave.main > self.compact_revision())
    }

    /// A version at or below the compact revision is in nobody's way until its key changes: then Base keeps it.
    fn keep_in_base(&mut self, head: &Head, kv: Option<Bytes>) {
        if head.revision.main <= self.compact_revision() {
            let kv = kv.expect("a version at or below the compact revision is read before it is replaced");
            let row = schema::revision(head.revision.main, head.revision.sub);
            self.group.batch.put(Family::Base, Bytes::copy_from_slice(&row), kv);
        }
    }

    fn move_lease(&mut self, key: &[u8], from: i64, to: i64) {
        if from == to {
            return;
        }
        if from != 0 {
            self.group.batch.delete(Family::LeaseKeys, schema::lease_key(from, key));
        }
        if to != 0 {
            self.group.batch.put(Family::LeaseKeys, schema::lease_key(to, key), Bytes::new());
        }
    }

    fn record(&mut self, change: Change, at: Revision, kind: Kind, previous: Option<Revision>, head: Option<Head>) {
        let key = change.key();
        let live = head.map(|head| (head, change.kv));
        self.group.overlay.push(key.clone(), Version { revision: at, live });
        let previous = previous.map(Into::into);
        self.group.open.push(Event { key, kind, encoded: change.event, previous });
    }
}

fn head_of(kv: &KeyValue<'_>, revision: Revision, bytes: &[u8]) -> Head {
    Head {
        revision,
        create_revision: kv.create_revision,
        version: kv.version,
        lease: kv.lease,
        row_bytes: row_bytes(bytes.len()),
    }
}
