//! HashKV: etcd's checksum over what counts at a revision.
//!
//! CRC-32C over the bucket's name `key`, then over each record in revision order: its revision as etcd writes it as a key
//! (main, `_`, sub, and `t` behind a tombstone's), and the record. At revision R with compact revision C these count:
//!
//! - every change in (C, R];
//! - the changes up to C that are their key's newest up to R and no tombstone.
//!
//! The first lie in History in order. The second are those rows of Latest, and those versions before the first change after R,
//! whose revision is at most C: they lie in the order of keys, so they are sorted, a bounded number of bytes at a time: each
//! pass keeps the smallest revisions above the last pass's.
//! Promises: the same at every stage of removal, on every member, and as etcd's, but where no key is live at the revision
//! while changes before the compacted one are kept: there etcd counts those, too. Memory is `hash_buffer_bytes_max`.
//! Source: etcd `server/storage/mvcc/hash.go`.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::error::Error;
use super::live::stop_at_error;
use super::record::{KeyValue, kv_offset};
use super::revision::Revision;
use super::view::{View, read_latest};
use crate::engine::schema::{self, HistoryHeader};
use crate::engine::{Direction, Family};

/// What one record held for sorting costs beside its bytes.
const HELD_BYTES: usize = 64;

/// A hash and what it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// CRC-32C.
    pub hash: u32,
    /// The compact revision it was computed at.
    pub compact_revision: i64,
    /// The revision it covers.
    pub hash_revision: i64,
}

impl View<'_> {
    /// The hash at `revision`; 0 is the current one.
    ///
    /// # Errors
    /// [`Error::Compacted`], [`Error::FutureRevision`], or what ends the process.
    pub fn hash_kv(&self, revision: i64) -> Result<Hashed, Error> {
        self.sound()?;
        let compact = self.compact_revision();
        if revision > 0 && revision < compact {
            return Err(Error::Compacted);
        }
        if revision > self.revision() {
            return Err(Error::FutureRevision);
        }
        let at = if revision <= 0 { self.revision() } else { revision };
        let mut crc = crc32c::crc32c(b"key");
        let mut after = Revision { main: -1, sub: 0 };
        loop {
            let pass = self.oldest_kept(after, at)?;
            let Some(last) = pass.last() else { break };
            after = last.revision;
            for kept in &pass {
                crc = append(crc, kept.revision, false, &kept.kv);
            }
        }
        let hash = self.hash_history(crc, compact, at)?;
        Ok(Hashed { hash, compact_revision: compact, hash_revision: at })
    }

    /// Changes in (compact, at].
    fn hash_history(&self, mut crc: u32, compact: i64, at: i64) -> Result<u32, Error> {
        let (from, to) = (schema::revision(compact.max(0) + 1, 0), schema::revision(at + 1, 0));
        let mut result = Ok(());
        self.snapshot().scan(Family::History, &from, Some(&to), Direction::Ascending, &mut |row, value| {
            let damaged = || Error::undecodable(Family::History, row);
            let mut add = || {
                let revision = schema::read_revision(row).ok_or_else(damaged)?;
                let (header, event) = HistoryHeader::decode(value).ok_or_else(damaged)?;
                let kv = &event[kv_offset(event).ok_or_else(damaged)?..];
                crc = if header.delete {
                    // etcd's tombstone has the key alone, where the event has the revision too.
                    let key = KeyValue::read(kv).ok_or_else(damaged)?.key;
                    append(crc, revision.into(), true, &KeyValue { key, ..KeyValue::default() }.encode())
                } else {
                    append(crc, revision.into(), false, kv)
                };
                Ok(ControlFlow::Continue(()))
            };
            stop_at_error(&mut result, add())
        })?;
        result.map(|()| crc)
    }

    /// Of the versions up to the compact revision that count, those above `after` with the smallest revisions, as many as
    /// the buffer holds, in order.
    fn oldest_kept(&self, after: Revision, at: i64) -> Result<Vec<Kept>, Error> {
        let compact = self.compact_revision();
        let mut oldest =
            Oldest { kept: BinaryHeap::new(), bytes: 0, bytes_max: self.hash_buffer_bytes_max(), ceiling: None };
        let mut result = Ok(());
        let prefix = [schema::KEY_PREFIX];
        self.snapshot().scan(
            Family::Latest,
            &prefix,
            Some(schema::KEYS_END),
            Direction::Ascending,
            &mut |row, value| {
                let step = read_latest(row, value).map(|row| {
                    if row.revision.main <= compact && row.revision > after {
                        oldest.offer(row.revision, row.kv);
                    }
                    ControlFlow::Continue(())
                });
                stop_at_error(&mut result, step)
            },
        )?;
        result?;
        let mut result = Ok(());
        let from = schema::revision(at + 1, 0);
        self.snapshot().scan(Family::History, &from, None, Direction::Ascending, &mut |row, value| {
            let mut offer = || {
                let (header, _) =
                    HistoryHeader::decode(value).ok_or_else(|| Error::undecodable(Family::History, row))?;
                let previous = header.previous.map(Revision::from);
                if let Some(previous) = previous.filter(|p| p.main <= compact && *p > after)
                    && oldest.has_room_for(previous)
                    && let Some(kv) = self.version(previous)?
                {
                    oldest.offer(previous, &kv);
                }
                Ok(ControlFlow::Continue(()))
            };
            stop_at_error(&mut result, offer())
        })?;
        result?;
        Ok(oldest.kept.into_sorted_vec())
    }
}

fn append(crc: u32, revision: Revision, tombstone: bool, kv: &[u8]) -> u32 {
    let mut key = [0; 18];
    key[..8].copy_from_slice(&revision.main.to_be_bytes());
    key[8] = b'_';
    key[9..17].copy_from_slice(&revision.sub.to_be_bytes());
    key[17] = b't';
    let crc = crc32c::crc32c_append(crc, &key[..if tombstone { 18 } else { 17 }]);
    crc32c::crc32c_append(crc, kv)
}

/// A version that counts, held for its turn.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    revision: Revision,
    kv: Bytes,
}

/// The smallest revisions that fit: the largest goes when there is no room.
struct Oldest {
    kept: BinaryHeap<Kept>,
    bytes: usize,
    bytes_max: usize,
    /// The smallest that had to go: nothing from there on is held, or the next pass would begin above a gap.
    ceiling: Option<Revision>,
}

impl Oldest {
    fn has_room_for(&self, revision: Revision) -> bool {
        self.ceiling.is_none_or(|ceiling| revision < ceiling)
    }

    fn offer(&mut self, revision: Revision, kv: &[u8]) {
        if !self.has_room_for(revision) {
            return;
        }
        self.bytes += kv.len() + HELD_BYTES;
        self.kept.push(Kept { revision, kv: Bytes::copy_from_slice(kv) });
        // One stays, however large, so that each pass gets on.
        while self.bytes > self.bytes_max && self.kept.len() > 1 {
            let gone = self.kept.pop().expect("more than one is held");
            self.bytes -= gone.kv.len() + HELD_BYTES;
            self.ceiling = Some(gone.revision);
        }
    }
}
