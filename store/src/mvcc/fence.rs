//! Fences: how many keys lie in a range, without walking it.
//!
//! ```text
//! keys    a b c d │ e f g │ h i j k l │ m n …
//! fence   "" : 4  │ e : 3 │ h : 5     │ m : …        a count = fences between + two short scans at the ends
//! ```
//! Every page of a Kubernetes list asks how many keys are left; walking them costs 60 ms at 100 k keys. A fence stands about
//! every `fence_keys_max` keys: a byte or two of memory a key. They are built when first missed, by the store's background
//! service, and kept by apply from then on.
//! Promises: published fences never change (apply changes copies of the chunks it touches), and say up to which revision they
//! hold; a reader corrects them by the few events up to its snapshot, or back to an older revision.
//! Does not: outlive the process, or count within a fence.

use std::ops::{ControlFlow, Deref};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;

use super::error::Error;
use super::key_range::KeyRange;
use crate::engine::{self, Direction, Family, Snapshot, schema};
use crate::watch::{Event, Kind};

/// Fences that are copied together when one of them changes.
const CHUNK_FENCES_MAX: usize = 256;

/// Fences as of a revision.
pub(crate) struct Fenced {
    pub fences: Fences,
    /// Up to here no key has come or gone since.
    valid_through: AtomicI64,
}

impl Fenced {
    pub(crate) fn new(fences: Fences, revision: i64) -> Fenced {
        Fenced { fences, valid_through: AtomicI64::new(revision) }
    }

    /// The newest revision that they hold for; read it before the snapshot is taken.
    pub(crate) fn valid_through(&self) -> i64 {
        self.valid_through.load(Ordering::Acquire)
    }

    /// A group up to `revision` has changed no count.
    pub(crate) fn still_valid(&self, revision: i64) {
        self.valid_through.store(revision, Ordering::Release);
    }
}

/// All fences, in order. The first stands before every key.
#[derive(Clone)]
pub(crate) struct Fences {
    chunks: Vec<Arc<Chunk>>,
    keys_max: usize,
}

#[derive(Clone, Default)]
struct Chunk {
    /// Where each fence stands; shared by copies of the chunk until a fence comes or goes.
    starts: Arc<Vec<Bytes>>,
    /// Keys from each fence to the next.
    counts: Vec<i64>,
    total: i64,
}

/// A fence: its chunk, and its place there.
type At = (usize, usize);

impl Fences {
    /// Fences over everything in `snapshot`, `keys_max` keys apart at most.
    pub(crate) fn build(snapshot: &dyn Snapshot, keys_max: usize) -> Result<Fences, engine::Error> {
        let everything = KeyRange::Span(Bytes::new(), None);
        let spans = spans(snapshot, &everything, Bytes::new(), keys_max)?;
        let mut fences = Fences { chunks: Vec::new(), keys_max };
        fences.chunks.extend(spans.chunks(CHUNK_FENCES_MAX / 2).map(|spans| Arc::new(Chunk::of(spans))));
        Ok(fences)
    }

    /// Keys have come and gone.
    /// `snapshot` is of the state after them.
    pub(crate) fn apply<'e, 's, S: Deref<Target = dyn Snapshot + 's>>(
        &mut self,
        events: impl Iterator<Item = &'e Event>,
        snapshot: impl FnOnce() -> S,
    ) -> Result<(), engine::Error> {
        let mut touched: Vec<Bytes> = Vec::new();
        for event in events {
            let Some(by) = count_change(event.kind) else { continue };
            let (chunk, place) = self.locate(&event.key);
            let chunk = Arc::make_mut(&mut self.chunks[chunk]);
            chunk.counts[place] += by;
            chunk.total += by;
            let start = &chunk.starts[place];
            if touched.last() != Some(start) {
                touched.push(start.clone());
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let crowded: Vec<&Bytes> = touched.iter().filter(|start| self.count_at(start) > self.most()).collect();
        if !crowded.is_empty() {
            let snapshot = snapshot();
            for start in crowded {
                self.split(&*snapshot, start)?;
            }
        }
        touched.iter().for_each(|start| self.take_down_if_sparse(start));
        Ok(())
    }

    /// Keys of `range`, which are counted by `scan` where the fences do not tell.
    pub(crate) fn count(
        &self,
        range: &KeyRange,
        mut scan: impl FnMut(&KeyRange) -> Result<i64, Error>,
    ) -> Result<i64, Error> {
        let KeyRange::Span(from, to) = range else { return scan(range) };
        let first = self.locate(from);
        let last = to.as_ref().map(|to| self.locate(to));
        if last == Some(first) {
            return scan(range);
        }
        let mut count = 0;
        let after_first = self.next(first);
        if self.start(first) == from {
            count += self.chunks[first.0].counts[first.1];
        } else {
            let end = after_first.map(|at| self.start(at).clone());
            count += scan(&KeyRange::Span(from.clone(), end))?;
        }
        if let Some(after_first) = after_first {
            count += self.sum(after_first, last);
        }
        if let Some(last) = last {
            count += scan(&KeyRange::Span(self.start(last).clone(), to.clone()))?;
        }
        Ok(count)
    }

    fn most(&self) -> i64 {
        i64::try_from(self.keys_max).unwrap_or(i64::MAX)
    }

    /// Counts of the fences from `from` up to `to`, or to the end.
    fn sum(&self, from: At, to: Option<At>) -> i64 {
        let (last_chunk, last_place) = to.unwrap_or((self.chunks.len(), 0));
        if from.0 == last_chunk {
            return self.chunks[from.0].counts[from.1..last_place].iter().sum();
        }
        let head: i64 = self.chunks[from.0].counts[from.1..].iter().sum();
        let between: i64 = self.chunks[from.0 + 1..last_chunk].iter().map(|chunk| chunk.total).sum();
        let tail: i64 = self.chunks.get(last_chunk).map_or(0, |chunk| chunk.counts[..last_place].iter().sum());
        head + between + tail
    }

    fn start(&self, (chunk, place): At) -> &Bytes {
        &self.chunks[chunk].starts[place]
    }

    fn next(&self, (chunk, place): At) -> Option<At> {
        if place + 1 < self.chunks[chunk].starts.len() {
            Some((chunk, place + 1))
        } else {
            (chunk + 1 < self.chunks.len()).then_some((chunk + 1, 0))
        }
    }

    /// The fence that `key` lies behind.
    fn locate(&self, key: &[u8]) -> At {
        let chunk = self.chunks.partition_point(|chunk| chunk.starts[0] <= key) - 1;
        let place = self.chunks[chunk].starts.partition_point(|start| start <= key) - 1;
        (chunk, place)
    }

    fn count_at(&self, start: &[u8]) -> i64 {
        let (chunk, place) = self.locate(start);
        self.chunks[chunk].counts[place]
    }

    /// Puts fences into a crowded place, from what the engine says is there.
    fn split(&mut self, snapshot: &dyn Snapshot, start: &Bytes) -> Result<(), engine::Error> {
        let at = self.locate(start);
        let end = self.next(at).map(|next| self.start(next).clone());
        let spans = spans(snapshot, &KeyRange::Span(start.clone(), end), start.clone(), self.keys_max.div_ceil(2))?;
        let chunk = Arc::make_mut(&mut self.chunks[at.0]);
        debug_assert_eq!(
            spans.iter().map(|(_, count)| count).sum::<i64>(),
            chunk.counts[at.1],
            "what is kept is what is there"
        );
        let (starts, counts): (Vec<Bytes>, Vec<i64>) = spans.into_iter().unzip();
        Arc::make_mut(&mut chunk.starts).splice(at.1..=at.1, starts);
        chunk.counts.splice(at.1..=at.1, counts);
        if chunk.starts.len() > CHUNK_FENCES_MAX {
            let all: Vec<(Bytes, i64)> = chunk.starts.iter().cloned().zip(chunk.counts.iter().copied()).collect();
            let parts: Vec<Arc<Chunk>> =
                all.chunks(CHUNK_FENCES_MAX / 2).map(|spans| Arc::new(Chunk::of(spans))).collect();
            self.chunks.splice(at.0..=at.0, parts);
        }
        Ok(())
    }

    /// Removes a fence whose keys fit to those before it; the first one stays.
    fn take_down_if_sparse(&mut self, start: &[u8]) {
        let (chunk, place) = self.locate(start);
        let count = self.chunks[chunk].counts[place];
        if count > self.most() / 4 || (chunk, place) == (0, 0) || *self.start((chunk, place)) != *start {
            return;
        }
        let before = if place > 0 { (chunk, place - 1) } else { (chunk - 1, self.chunks[chunk - 1].counts.len() - 1) };
        if self.chunks[before.0].counts[before.1] + count > self.most() / 2 {
            return;
        }
        let from = Arc::make_mut(&mut self.chunks[chunk]);
        Arc::make_mut(&mut from.starts).remove(place);
        from.counts.remove(place);
        from.total -= count;
        let is_empty = from.starts.is_empty();
        let to = Arc::make_mut(&mut self.chunks[before.0]);
        to.counts[before.1] += count;
        to.total += count;
        if is_empty {
            self.chunks.remove(chunk);
        }
    }
}

impl Chunk {
    fn of(spans: &[(Bytes, i64)]) -> Chunk {
        let (starts, counts): (Vec<Bytes>, Vec<i64>) = spans.iter().cloned().unzip();
        Chunk { starts: Arc::new(starts), total: counts.iter().sum(), counts }
    }
}

/// How an event changes the number of keys.
pub(crate) fn count_change(kind: Kind) -> Option<i64> {
    match kind {
        Kind::Put { created: true } => Some(1),
        Kind::Put { created: false } => None,
        Kind::Delete => Some(-1),
    }
}

/// The keys of `range` in lots of `keys_max`: where each begins and how many there are. The first begins at `start`; it may
/// be empty, others are not.
fn spans(
    snapshot: &dyn Snapshot,
    range: &KeyRange,
    start: Bytes,
    keys_max: usize,
) -> Result<Vec<(Bytes, i64)>, engine::Error> {
    let most = i64::try_from(keys_max.max(1)).unwrap_or(i64::MAX);
    let mut spans = vec![(start, 0)];
    let (from, to) = range.rows();
    snapshot.scan(Family::Latest, &from, Some(&to), Direction::Ascending, &mut |row, _| {
        let full = spans.last().is_some_and(|(_, count)| *count >= most);
        if full {
            spans.push((Bytes::copy_from_slice(schema::user_key(row)), 0));
        }
        if let Some((_, count)) = spans.last_mut() {
            *count += 1;
        }
        ControlFlow::Continue(())
    })?;
    Ok(spans)
}
