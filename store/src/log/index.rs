//! Where entries stand: a sparse index, one point per so many bytes of log.
//!
//! A point says that the entry with its index stands at its offset, and that the entries after it follow one another from there
//! up to the next point's index. A truncation takes away the points above it, and the first entry after one always gets a point:
//! so a walk from one point to the next never meets an entry that was truncated.
//! Does not: read files. Memory: a point of 16 bytes for every [`SPACING_BYTES`] of log, and none for sealed segments of an
//! earlier run until they are read.

use std::collections::VecDeque;
use std::sync::Arc;

use super::record::Kind;
use super::segment::{Met, Segment};
use super::tail::next_index;

/// Bytes of log from one point to the next.
const SPACING_BYTES: u64 = 64 << 10;

/// The entry at `index` stands at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) index: u64,
    pub(super) offset: u64,
}

/// The points of one segment while it grows.
#[derive(Debug, Default)]
pub(super) struct Points {
    list: Vec<Point>,
    /// Whether the next entry does not follow the last point.
    broken: bool,
}

impl Points {
    /// An entry was written.
    pub(super) fn entry(&mut self, index: u64, offset: u64) {
        if self.broken || self.list.last().is_none_or(|last| offset - last.offset >= SPACING_BYTES) {
            self.list.push(Point { index, offset });
            self.broken = false;
        }
    }

    /// Entries from `index` on are gone.
    pub(super) fn truncate(&mut self, index: u64) {
        let kept = self.list.partition_point(|point| point.index < index);
        self.list.truncate(kept);
        self.broken = true;
    }

    /// A record was met on a walk over a segment.
    pub(super) fn record(&mut self, met: &Met) {
        match (met.header.kind, met.header.id) {
            (Kind::Entry, Some(id)) => self.entry(id.index, met.offset),
            (Kind::Truncate, kept) => self.truncate(next_index(kept)),
            (Kind::Reset, _) => self.truncate(0),
            _ => {}
        }
    }

    /// The lowest index that is there.
    pub(super) fn first(&self) -> Option<u64> {
        self.list.first().map(|point| point.index)
    }

    /// The points so far, in order of index.
    pub(super) fn into_list(self) -> Vec<Point> {
        self.list
    }
}

/// Where to read an entry, and up to which index one may go on from there.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) segment: Arc<Segment>,
    /// `None`: the segment's points must be loaded first.
    pub(super) offset: Option<u64>,
    /// Index of the entry at `offset`.
    pub(super) first: u64,
    /// First index that does not follow from there.
    pub(super) end: u64,
    /// Where the segment's readable records end.
    pub(super) limit: u64,
}

/// The live segments, and which of them holds which indices.
#[derive(Debug)]
pub(super) struct Table {
    /// By number, without gaps; the last one is being written.
    segments: VecDeque<Arc<Segment>>,
    /// (first index, segment number), both rising: a segment's entries end where the next one's begin.
    firsts: VecDeque<(u64, u64)>,
    active: Points,
    /// Records of the active segment below it are durable.
    active_end: u64,
}

impl Table {
    /// A table of a log that has one segment.
    pub(super) fn new(segment: Arc<Segment>) -> Self {
        Self { segments: VecDeque::from([segment]), firsts: VecDeque::new(), active: Points::default(), active_end: 0 }
    }

    /// A table of segments that were there; `firsts` as of when each was sealed, oldest first.
    pub(super) fn restore(
        segments: VecDeque<Arc<Segment>>,
        firsts: Vec<(u64, u64)>,
        active: Points,
        active_end: u64,
    ) -> Self {
        let mut table = Self { segments, firsts: VecDeque::new(), active, active_end };
        for (first, number) in firsts {
            table.drop_firsts_from(first);
            table.firsts.push_back((first, number));
        }
        table
    }

    /// The segment being written.
    pub(super) fn active(&self) -> &Arc<Segment> {
        self.segments.back().expect("there is always one")
    }

    /// The lowest index held by the segment being written.
    pub(super) fn active_first(&self) -> Option<u64> {
        self.firsts.back().filter(|(_, number)| *number == self.active().number).map(|(first, _)| *first)
    }

    /// The lowest index held at all.
    pub(super) fn first(&self) -> Option<u64> {
        self.firsts.front().map(|(first, _)| *first)
    }

    /// The oldest segment.
    pub(super) fn first_segment(&self) -> u64 {
        self.segments.front().expect("there is always one").number
    }

    /// The active segment ends at `end`; `next` is written from now on.
    pub(super) fn roll(&mut self, end: u64, next: Arc<Segment>) {
        let points = std::mem::take(&mut self.active).into_list();
        let sealed = self.active();
        debug_assert!(next.number == sealed.number + 1, "segments are numbered without gaps");
        sealed.end.set(end).expect("a segment is sealed once");
        sealed.points.set(points).expect("only a sealed segment's points are loaded");
        self.segments.push_back(next);
        self.active_end = 0;
    }

    /// Records of the active segment below `end` are durable.
    pub(super) fn durable(&mut self, end: u64) {
        self.active_end = end;
    }

    /// An entry was put into the active segment.
    pub(super) fn entry(&mut self, index: u64, offset: u64) {
        if self.active_first().is_none() {
            self.firsts.push_back((index, self.active().number));
        }
        self.active.entry(index, offset);
    }

    /// Entries from `index` on are gone.
    pub(super) fn truncate(&mut self, index: u64) {
        self.drop_firsts_from(index);
        self.active.truncate(index);
    }

    /// Bytes of records in all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| self.bytes_of(segment)).sum()
    }

    /// The lowest index in the newest segments that together hold no more than `bytes_max`; of the one being written alone
    /// where that holds more. `None`: no entry is in them.
    pub(super) fn first_within(&self, bytes_max: u64) -> Option<u64> {
        let mut bytes = 0;
        let within = self.segments.iter().rev().take_while(|segment| {
            bytes += self.bytes_of(segment);
            bytes <= bytes_max
        });
        let oldest = within.last().unwrap_or(self.active()).number;
        self.firsts.iter().find(|(_, number)| *number >= oldest).map(|(first, _)| *first)
    }

    fn bytes_of(&self, segment: &Segment) -> u64 {
        segment.end.get().copied().unwrap_or(self.active_end)
    }

    /// The oldest segment needed once entries below `index` are gone.
    pub(super) fn first_needed(&self, index: u64) -> u64 {
        let holding = self.firsts.partition_point(|(first, _)| *first <= index);
        match holding.checked_sub(1).or(Some(0)).and_then(|at| self.firsts.get(at)) {
            Some((_, number)) => *number,
            None => self.active().number,
        }
    }

    /// Takes out the segments below `number`.
    pub(super) fn drop_segments_below(&mut self, number: u64) -> Vec<Arc<Segment>> {
        while self.firsts.front().is_some_and(|(_, holder)| *holder < number) {
            self.firsts.pop_front();
        }
        let count = self.segments.iter().take_while(|segment| segment.number < number).count();
        self.segments.drain(..count).collect()
    }

    /// Where the entry at `index` stands, if it is on disk at all.
    pub(super) fn locate(&self, index: u64) -> Option<Span> {
        let after = self.firsts.partition_point(|(first, _)| *first <= index);
        let (_, number) = self.firsts.get(after.checked_sub(1)?)?;
        let next_first = self.firsts.get(after).map_or(u64::MAX, |(first, _)| *first);
        let at = usize::try_from(number - self.first_segment()).ok()?;
        let segment = Arc::clone(self.segments.get(at)?);
        let (points, limit) = match segment.end.get() {
            None => (Some(&self.active.list), self.active_end),
            Some(end) => (segment.points.get(), *end),
        };
        let Some(points) = points else {
            return Some(Span { segment, offset: None, first: index, end: next_first, limit });
        };
        let point_after = points.partition_point(|point| point.index <= index);
        let Point { index: first, offset } = *points.get(point_after.checked_sub(1)?)?;
        let end = points.get(point_after).map_or(u64::MAX, |point| point.index).min(next_first);
        Some(Span { segment, offset: Some(offset), first, end, limit })
    }

    fn drop_firsts_from(&mut self, index: u64) {
        while self.firsts.back().is_some_and(|(first, _)| *first >= index) {
            self.firsts.pop_back();
        }
    }
}
