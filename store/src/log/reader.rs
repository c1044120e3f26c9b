//! Reading entries: from memory where they are recent, from segments otherwise.
//!
//! Promises: the first entry is exactly the one asked for; no hole; never empty where it exists. A log cut while a read is
//! under way ends the read early, so that entries of before and after the cut never stand side by side.
//! One walk is left parked where a read ended, so that reading on in pieces (replay at start, a follower that lags) reads nothing twice.
//! Does not: hold the lock while it reads a file. Blocks while it does.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use super::index::{Points, Span};
use super::record::Kind;
use super::segment::{PREAMBLE_BYTES, Scan, Segment};
use super::tail::{Parked, Shared};
use super::{Entry, Error, LogId};

/// Entries of [from, to) that are in memory, as many as fit `bytes_max`, and one at least; `None` where `from` is not.
pub(super) fn read_cached(shared: &Shared, from: u64, to: u64, bytes_max: usize) -> Option<Vec<Entry>> {
    let tail = shared.lock();
    let end = to.min(tail.next_index());
    if tail.failed.is_some() || from < tail.cache_first().max(tail.first_index()) || from >= end {
        return None;
    }
    let mut out = Taken { entries: Vec::new(), bytes: 0, bytes_max };
    let count = usize::try_from(end - from).unwrap_or(usize::MAX);
    for entry in tail.cached_from(from).take(count) {
        if !out.take(entry.clone()) {
            break;
        }
    }
    Some(out.entries)
}

/// Entries of [from, to), as many as fit `bytes_max`, and one at least.
pub(super) fn read(shared: &Shared, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Entry>, Error> {
    let mut out = Taken { entries: Vec::new(), bytes: 0, bytes_max };
    let mut cuts = None;
    let mut walk = shared.parked.lock().unwrap_or_else(PoisonError::into_inner).take();
    loop {
        let next = from + out.entries.len() as u64;
        let mut span = {
            let tail = shared.lock();
            if let Some(error) = &tail.failed {
                return Err(Error::Failed(Arc::clone(error)));
            }
            let end = to.min(tail.next_index());
            let is_cut = cuts.replace(tail.cuts).is_some_and(|before| before != tail.cuts);
            if next >= end || (is_cut && next > from) {
                break;
            }
            if next < tail.first_index() {
                if next > from {
                    break;
                }
                return Err(Error::Purged { from, purged: tail.first_index() - 1 });
            }
            if next >= tail.cache_first() {
                let count = usize::try_from(end - next).unwrap_or(usize::MAX);
                for entry in tail.cached_from(next).take(count) {
                    if !out.take(entry.clone()) {
                        break;
                    }
                }
                break;
            }
            let mut span = tail
                .table
                .locate(next)
                .ok_or_else(|| corrupt(tail.table.active(), 0, format!("entry {next} is nowhere in the log")))?;
            span.end = span.end.min(end).min(tail.cache_first());
            span
        };
        match span.offset.take() {
            None => load_points(&span.segment)?,
            Some(offset) => {
                let cuts = cuts.expect("set where the span was found");
                let mut scan = go_on(walk.take(), &span, offset, next, cuts);
                let is_full = !read_span(&mut scan, next..span.end, &mut out)?;
                walk = Some(Parked { scan, next: from + out.entries.len() as u64, cuts });
                if is_full {
                    break;
                }
            }
        }
    }
    *shared.parked.lock().unwrap_or_else(PoisonError::into_inner) = walk;
    Ok(out.entries)
}

/// The walk left off, if it stands right before `next` in this span; a new one from the span's beginning otherwise.
fn go_on(walk: Option<Parked>, span: &Span, offset: u64, next: u64, cuts: u64) -> Scan {
    match walk {
        // At a span's very beginning a walk may stand before entries that were truncated: only the point knows.
        Some(Parked { mut scan, next: at, cuts: then })
            if at == next
                && then == cuts
                && scan.segment().number == span.segment.number
                && (next > span.first || scan.offset() == offset) =>
        {
            scan.extend(span.limit);
            scan
        }
        _ => Scan::new(Arc::clone(&span.segment), offset, span.limit),
    }
}

/// Entries found so far.
struct Taken {
    entries: Vec<Entry>,
    bytes: usize,
    bytes_max: usize,
}

impl Taken {
    /// Whether the entry still fitted.
    fn take(&mut self, entry: Entry) -> bool {
        if !self.entries.is_empty() && self.bytes + entry.payload.len() > self.bytes_max {
            return false;
        }
        self.bytes += entry.payload.len();
        self.entries.push(entry);
        true
    }
}

/// Reads the entries of `indices`, which follow one another from the walk's place on. Returns whether there was room for all.
fn read_span(scan: &mut Scan, indices: Range<u64>, out: &mut Taken) -> Result<bool, Error> {
    let mut next = indices.start;
    while next < indices.end {
        let offset = scan.offset();
        let met = match scan.next()? {
            Ok(met) => met,
            Err(flaw) => return Err(corrupt(scan.segment(), offset, flaw.to_string())),
        };
        match (met.header.kind, met.header.id) {
            (Kind::Entry, Some(id)) if id.index == next => {
                if !out.take(Entry { id, payload: met.payload }) {
                    scan.back_to(offset);
                    return Ok(false);
                }
                next += 1;
            }
            (Kind::Entry, Some(LogId { index, .. })) if index > next => {
                return Err(corrupt(scan.segment(), offset, format!("entry {index} stands where {next} should")));
            }
            _ => {}
        }
    }
    Ok(true)
}

/// Walks a segment of an earlier run once, to know where its entries stand.
fn load_points(segment: &Arc<Segment>) -> Result<(), Error> {
    let mut points = Points::default();
    let end = segment.end.get().copied().unwrap_or(segment.bytes);
    let mut scan = Scan::new(Arc::clone(segment), PREAMBLE_BYTES as u64, end);
    while scan.offset() < end {
        let offset = scan.offset();
        let met = scan.next()?.map_err(|flaw| corrupt(segment, offset, flaw.to_string()))?;
        points.record(&met);
    }
    // Another reader may have been faster; it found the same.
    segment.points.get_or_init(|| points.into_list());
    Ok(())
}

fn corrupt(segment: &Segment, offset: u64, reason: String) -> Error {
    Error::Corrupt { path: segment.path.clone(), offset, reason }
}
