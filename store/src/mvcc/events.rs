//! Events as history gives them back: what watchers catch up from.
//!
//! Promises: whole revisions, in order, none left out; the bytes are those that were delivered live.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::error::Error;
use super::live::stop_at_error;
use super::record::{KeyValue, kv_offset};
use super::view::View;
use crate::engine::schema::{self, HistoryHeader};
use crate::engine::{Direction, Family};
use crate::watch::{Event, Kind, RevisionEvents};

impl View<'_> {
    /// Revisions from `from` on, in order: at most `revisions_max` of them, and none begun after `bytes_max` is reached, but
    /// at least one where there is one.
    ///
    /// # Errors
    /// [`Error::Compacted`] where `from` is below the compact revision (at it is allowed), or what ends the process.
    pub fn events(&self, from: i64, revisions_max: usize, bytes_max: usize) -> Result<Vec<RevisionEvents>, Error> {
        self.sound()?;
        if from < self.compact_revision() {
            return Err(Error::Compacted);
        }
        let mut all: Vec<RevisionEvents> = Vec::new();
        let mut bytes = 0;
        let from = schema::revision(from.max(0), 0);
        let mut result = Ok(());
        self.snapshot().scan(Family::History, &from, None, Direction::Ascending, &mut |row, value| {
            let step = read_event(row, value).map(|(revision, event)| {
                let continues = all.last().is_some_and(|last| last.revision == revision);
                if !continues && (all.len() >= revisions_max.max(1) || (bytes >= bytes_max && !all.is_empty())) {
                    return ControlFlow::Break(());
                }
                if !continues {
                    all.push(RevisionEvents { revision, events: Vec::new() });
                }
                all.last_mut().expect("one is there or was just added").events.push(event);
                bytes += value.len();
                ControlFlow::Continue(())
            });
            stop_at_error(&mut result, step)
        })?;
        result.map(|()| all)
    }
}

/// A row of History as an event, its bytes copied once.
pub(crate) fn read_event(row: &[u8], value: &[u8]) -> Result<(i64, Event), Error> {
    let damaged = || Error::undecodable(Family::History, row);
    let (main, _) = schema::read_revision(row).ok_or_else(damaged)?;
    let (header, event) = HistoryHeader::decode(value).ok_or_else(damaged)?;
    let encoded = Bytes::copy_from_slice(event);
    let at = kv_offset(&encoded).ok_or_else(damaged)?;
    let key = KeyValue::read(&encoded[at..]).ok_or_else(damaged)?.key;
    let key = encoded.slice_ref(key);
    let kind = if header.delete { Kind::Delete } else { Kind::Put { created: header.created } };
    Ok((main, Event { key, kind, encoded, previous: header.previous }))
}

/// What a row of History did to which key, without copying.
pub(crate) fn read_change<'a>(row: &[u8], value: &'a [u8]) -> Result<(Kind, &'a [u8]), Error> {
    let damaged = || Error::undecodable(Family::History, row);
    let (header, event) = HistoryHeader::decode(value).ok_or_else(damaged)?;
    let kv = &event[kv_offset(event).ok_or_else(damaged)?..];
    let kind = if header.delete { Kind::Delete } else { Kind::Put { created: header.created } };
    Ok((kind, KeyValue::read(kv).ok_or_else(damaged)?.key))
}
