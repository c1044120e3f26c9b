//! The log as its users see it, ahead of the disk: state, the newest entries in memory, and what waits to be written.
//!
//! One lock, held briefly by the raft core, the readers and the flusher. Entries stay in memory until they are durable and
//! then as long as they fit `cache_bytes_max`; so what is not in memory can be read from a segment.
//! Does not: touch a disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::index::Table;
use super::segment::Scan;
use super::{Done, Entry, Error, LogId, State, record};

/// Answered when the operation is durable.
pub(super) type Answer = oneshot::Sender<Result<(), Error>>;

/// What the flusher is asked to write, in the order in which it takes effect.
pub(super) enum Op {
    Entries(Vec<Entry>, Done),
    Vote(Bytes, Answer),
    Truncate(Option<LogId>),
    Purge(LogId),
    Reset(LogId, Option<Answer>),
}

/// An operation in the queue.
pub(super) struct Queued {
    pub(super) op: Op,
    /// Bytes it will take on disk.
    pub(super) bytes: usize,
    /// The value of [`Tail::cuts`] once it has taken effect.
    cuts: u64,
}

/// What is written and synced together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) ops: Vec<Queued>,
    pub(super) committed: Option<LogId>,
    pub(super) bytes: usize,
}

/// What the flusher finds when it looks.
pub(super) enum Work {
    Group(Group),
    /// Nothing to write at once; `committed` moved and may be written when idle.
    Idle {
        committed_moved: bool,
    },
    /// Nothing is left and nothing more will come.
    Closing,
}

/// Shared by the doors, the readers and the flusher.
pub(super) struct Shared {
    tail: Mutex<Tail>,
    /// The flusher has work.
    pub(super) wake: Notify,
    /// Bytes have become durable, or never will.
    pub(super) room: Notify,
    /// The log is being closed: what waits for space need not wait longer.
    pub(super) closing: Notify,
    cache_bytes_max: usize,
    /// The walk that the last read from disk left off.
    pub(super) parked: Mutex<Option<Parked>>,
}

/// A walk that the next read may go on with.
pub(super) struct Parked {
    pub(super) scan: Scan,
    /// The index of the next entry it meets.
    pub(super) next: u64,
    /// [`Tail::cuts`] when it left off.
    pub(super) cuts: u64,
}

/// Behind the lock.
pub(super) struct Tail {
    pub(super) state: State,
    pub(super) table: Table,
    /// The newest entries; the last one is `state.last`.
    cache: VecDeque<Entry>,
    cache_bytes: usize,
    /// Indices below it are durable and found through the table.
    located_end: u64,
    /// How often the end has been cut; entries queued before the newest cut may be gone already.
    pub(super) cuts: u64,
    queue: VecDeque<Queued>,
    /// Bytes not yet durable, those of the group under way included.
    pub(super) pending_bytes: usize,
    committed_moved: bool,
    /// The flusher waits without a timer.
    is_parked: bool,
    pub(super) closing: bool,
    pub(super) failed: Option<Arc<Error>>,
}

impl Shared {
    pub(super) fn new(state: State, table: Table, cache_bytes_max: usize) -> Self {
        let located_end = next_index(state.last);
        let tail = Tail {
            state,
            table,
            cache: VecDeque::new(),
            cache_bytes: 0,
            located_end,
            cuts: 0,
            queue: VecDeque::new(),
            pending_bytes: 0,
            committed_moved: false,
            is_parked: false,
            closing: false,
            failed: None,
        };
        Self {
            tail: Mutex::new(tail),
            wake: Notify::new(),
            room: Notify::new(),
            closing: Notify::new(),
            cache_bytes_max,
            parked: Mutex::new(None),
        }
    }

    /// The lock. Nobody who holds it calls out, so a panic under it is a bug that ends the process anyway.
    pub(super) fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flusher is going to wait without a timer, and must be woken when the committed mark moves; unless it has moved.
    pub(super) fn park(&self) -> bool {
        let mut tail = self.lock();
        tail.is_parked = !tail.committed_moved;
        tail.is_parked
    }

    /// Takes what has arrived, up to `bytes_max` (but always one operation).
    pub(super) fn take_group(&self, bytes_max: usize) -> Work {
        let mut tail = self.lock();
        tail.is_parked = false;
        if tail.queue.is_empty() {
            return match (tail.closing, tail.committed_moved) {
                (true, _) => Work::Closing,
                (false, committed_moved) => Work::Idle { committed_moved },
            };
        }
        let mut group = Group { committed: tail.take_committed(), ..Group::default() };
        while let Some(next) = tail.queue.front() {
            if !group.ops.is_empty() && group.bytes + next.bytes > bytes_max {
                break;
            }
            group.bytes += next.bytes;
            group.ops.extend(tail.queue.pop_front());
        }
        Work::Group(group)
    }

    /// The operations are durable, up to `end` in the active segment: what they held in memory may go as far as the cache's bound asks.
    pub(super) fn durable(&self, ops: &[Queued], bytes: usize, end: u64) {
        let mut tail = self.lock();
        tail.table.durable(end);
        for queued in ops {
            // An operation older than the newest cut may have placed entries that are gone: the cut's own turn will come.
            if queued.cuts == tail.cuts {
                match &queued.op {
                    Op::Entries(entries, _) => {
                        tail.located_end = entries.last().map_or(tail.located_end, |entry| entry.id.index + 1);
                    }
                    Op::Truncate(kept) => tail.located_end = next_index(*kept),
                    Op::Reset(id, _) => tail.located_end = id.index + 1,
                    Op::Vote(..) | Op::Purge(_) => {}
                }
            }
        }
        tail.pending_bytes -= bytes;
        tail.evict(self.cache_bytes_max);
        drop(tail);
        self.room.notify_waiters();
    }

    /// The walk left off must not hold on to a segment that goes.
    pub(super) fn forget_walk_below(&self, segment: u64) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        *parked = parked.take().filter(|walk| walk.scan.segment().number >= segment);
    }

    /// A group that could not be written waits again, before what came later.
    pub(super) fn put_back(&self, group: Group) {
        let mut tail = self.lock();
        for queued in group.ops.into_iter().rev() {
            tail.queue.push_front(queued);
        }
    }

    /// Nothing more is accepted. Returns what waited.
    pub(super) fn fail(&self, error: &Arc<Error>) -> VecDeque<Queued> {
        let mut tail = self.lock();
        tail.failed = Some(Arc::clone(error));
        self.room.notify_waiters();
        std::mem::take(&mut tail.queue)
    }

    /// Nothing more is accepted; what was is still written.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
        self.closing.notify_one();
    }
}

/// Answers operations that did not become durable.
pub(super) fn refuse(ops: impl IntoIterator<Item = Queued>, error: &Arc<Error>) {
    for queued in ops {
        match queued.op {
            Op::Entries(_, done) => done(Err(Arc::clone(error))),
            Op::Vote(_, answer) | Op::Reset(_, Some(answer)) => reply(answer, Err(Error::Failed(Arc::clone(error)))),
            Op::Truncate(_) | Op::Purge(_) | Op::Reset(_, None) => {}
        }
    }
}

/// Answers; that nobody waits any more is no error.
pub(super) fn reply(answer: Answer, result: Result<(), Error>) {
    drop(answer.send(result));
}

/// The index after `last`.
pub(super) fn next_index(last: Option<LogId>) -> u64 {
    last.map_or(0, |last| last.index.saturating_add(1))
}

impl Tail {
    /// Refuses once failed or closing.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.failed {
            Some(error) => Err(Error::Failed(Arc::clone(error))),
            None if self.closing => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// The lowest index there is, or would be.
    pub(super) fn first_index(&self) -> u64 {
        next_index(self.state.purged)
    }

    /// The index the next entry must have.
    pub(super) fn next_index(&self) -> u64 {
        next_index(self.state.last)
    }

    /// The lowest index in memory.
    pub(super) fn cache_first(&self) -> u64 {
        self.next_index() - self.cache.len() as u64
    }

    /// Entries in memory from `index` on.
    pub(super) fn cached_from(&self, index: u64) -> impl Iterator<Item = &Entry> {
        let skipped = usize::try_from(index - self.cache_first()).expect("the cache fits memory");
        self.cache.range(skipped..)
    }

    /// Entries become the log's newest and are queued.
    pub(super) fn append(&mut self, entries: Vec<Entry>, done: Done) {
        let bytes = entries.iter().map(|entry| record::size(entry.payload.len())).sum();
        for entry in &entries {
            self.cache_bytes += cached_bytes(entry);
            self.cache.push_back(entry.clone());
            self.state.last = Some(entry.id);
        }
        self.enqueue(Op::Entries(entries, done), bytes);
    }

    /// The end is cut after `kept`, which is not below what has been purged.
    pub(super) fn truncate(&mut self, kept: Option<LogId>) {
        let end = next_index(kept);
        while self.cache.back().is_some_and(|entry| entry.id.index >= end) {
            self.cache_bytes -= self.cache.pop_back().as_ref().map_or(0, cached_bytes);
        }
        self.state.last = kept;
        self.located_end = self.located_end.min(end);
        self.cuts += 1;
        self.enqueue(Op::Truncate(kept), record::HEADER_BYTES);
    }

    /// Entries up to `upto`, which is below the last one, go.
    pub(super) fn purge(&mut self, upto: LogId) {
        while self.cache.front().is_some_and(|entry| entry.id.index <= upto.index) {
            self.cache_bytes -= self.cache.pop_front().as_ref().map_or(0, cached_bytes);
        }
        self.state.purged = Some(upto);
        self.enqueue(Op::Purge(upto), record::size(8));
    }

    /// All entries go; the log stands at `id`.
    pub(super) fn reset(&mut self, id: LogId, answer: Option<Answer>) {
        self.cache.clear();
        self.cache_bytes = 0;
        self.state.purged = Some(id);
        self.state.last = Some(id);
        self.located_end = id.index + 1;
        self.cuts += 1;
        self.enqueue(Op::Reset(id, answer), record::size(8));
    }

    /// The vote is queued.
    pub(super) fn vote(&mut self, vote: Bytes, answer: Answer) {
        self.state.vote = Some(vote.clone());
        let bytes = record::size(vote.len());
        self.enqueue(Op::Vote(vote, answer), bytes);
    }

    /// The committed mark moves; it is written with the next group, or when the flusher is idle. Returns whether the
    /// flusher must be woken for that: it need not if it has a group or a timer.
    pub(super) fn commit(&mut self, id: LogId) -> bool {
        let moved = self.state.committed != Some(id);
        self.state.committed = Some(id);
        self.committed_moved |= moved;
        moved && std::mem::take(&mut self.is_parked)
    }

    /// The committed mark, if it moved since it was taken last.
    pub(super) fn take_committed(&mut self) -> Option<LogId> {
        std::mem::take(&mut self.committed_moved).then_some(self.state.committed).flatten()
    }

    fn enqueue(&mut self, op: Op, bytes: usize) {
        self.pending_bytes += bytes;
        self.queue.push_back(Queued { op, bytes, cuts: self.cuts });
    }

    fn evict(&mut self, bytes_max: usize) {
        while self.cache_bytes > bytes_max {
            let Some(entry) = self.cache.front().filter(|entry| entry.id.index < self.located_end) else { break };
            self.cache_bytes -= cached_bytes(entry);
            self.cache.pop_front();
        }
    }
}

/// What an entry counts in memory.
fn cached_bytes(entry: &Entry) -> usize {
    entry.payload.len() + size_of::<Entry>()
}
