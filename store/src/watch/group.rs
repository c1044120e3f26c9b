//! The three groups of watchers and every move between them. The hub's pure heart.
//!
//! ```text
//!            create, next > published ──▶ SYNCED ──── stream full ────▶ VICTIM
//!                                          ▲   │                          │ stream has room: what was refused goes first
//!               caught up: next > published│   │rebase                    │
//!                                          │   ▼                          ▼
//!            create, next ≤ published ──▶ UNSYNCED ◀── next ≤ published ──┘
//!                                          └─ stream full ──▶ VICTIM      next < compact revision: cancelled
//! ```
//! Promises, per watcher: revision order; all of a revision in one batch; no gap, no repeat. A watcher is synced if and
//! only if everything below its `next`, and everything up to the published revision, was handed over; both sides are
//! compared under the hub's lock, so catching up and live delivery neither overlap nor leave a gap.
//! Does not: read the engine (a [`Pass`] does), wait, or know a clock. Pure but for `try_send`.
//! Source: etcd `server/storage/mvcc/watchable_store.go`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::batch::{Addressed, Batch, Output, Recorded, To, WatcherId};
use super::config::Config;
use super::index::Index;
use super::pass::{Found, Pass, Read};
use super::pipe::Pipe;
use super::recent::{HandOver, Recent};
use super::stats::Stats;
use super::watcher::{Place, Spec, Watcher};
use crate::planted::{self, Bug};

/// One gRPC stream, as the groups see it.
#[derive(Debug)]
struct StreamState {
    pipe: Arc<Pipe>,
    watchers: BTreeSet<WatcherId>,
    /// In the order in which they became victims.
    victims: VecDeque<WatcherId>,
}

/// All watchers and streams.
#[derive(Debug)]
pub(super) struct Groups {
    config: Config,
    published: i64,
    watchers: HashMap<WatcherId, Watcher>,
    streams: HashMap<u64, StreamState>,
    synced: Index,
    /// Unsynced watchers by what they need next.
    unsynced: BTreeSet<(i64, WatcherId)>,
    /// The same ones in the order in which they are served.
    turns: BTreeMap<u64, WatcherId>,
    /// Ends at `published`.
    recent: Recent,
    /// The last watcher, stream and turn given out.
    ids: u64,
}

impl Groups {
    /// Empty, with everything up to `published` in the engine.
    pub(super) fn new(published: i64, config: Config) -> Groups {
        Groups {
            config,
            published,
            watchers: HashMap::new(),
            streams: HashMap::new(),
            synced: Index::default(),
            unsynced: BTreeSet::new(),
            turns: BTreeMap::new(),
            recent: Recent::default(),
            ids: 0,
        }
    }

    /// Adds a stream.
    pub(super) fn open(&mut self, pipe: Pipe) -> u64 {
        let id = self.next_id();
        let state = StreamState { pipe: Arc::new(pipe), watchers: BTreeSet::new(), victims: VecDeque::new() };
        self.streams.insert(id, state);
        id
    }

    /// Removes a stream and its watchers.
    pub(super) fn close(&mut self, stream: u64) {
        let watchers = std::mem::take(&mut self.stream(stream).watchers);
        watchers.into_iter().for_each(|id| self.remove(id));
        self.streams.remove(&stream);
    }

    /// Adds a watcher, and says which revision was current. `committed` is what the engine holds: it may be ahead of what
    /// was published, and a watcher that starts "now" must not be told what a read before it has shown already. One that
    /// starts below `compact_revision` is made and ends at once.
    pub(super) fn create(
        &mut self,
        stream: u64,
        watch_id: i64,
        spec: Spec,
        committed: i64,
        compact_revision: i64,
    ) -> (WatcherId, i64) {
        let current = self.published.max(committed);
        let next = if spec.start_revision == 0 { current + 1 } else { spec.start_revision };
        let id = WatcherId(self.next_id());
        let state = self.stream(stream);
        state.watchers.insert(id);
        let pipe = Arc::clone(&state.pipe);
        let place = Place::Victim { refused: None };
        let watcher = Watcher { id, stream, watch_id, spec: Arc::new(spec), next, quiet: true, pipe, place };
        self.watchers.insert(id, watcher);
        if next < compact_revision {
            self.end_compacted(id, compact_revision)
        } else {
            self.settle(id)
        }
        (id, current)
    }

    /// Removes a watcher; nothing more is handed over for it. Without effect where it has ended by itself.
    pub(super) fn cancel(&mut self, id: WatcherId) {
        if let Some(watcher) = self.watchers.get(&id) {
            let stream = watcher.stream;
            self.stream(stream).watchers.remove(&id);
            self.remove(id);
        }
    }

    /// Hands one chunk of whole revisions to the synced watchers. It follows what was published before without a gap.
    pub(super) fn publish(&mut self, chunk: &[Recorded]) {
        let Some(last) = chunk.last() else { return };
        let through = last.revision;
        let mut matched: BTreeMap<u64, (&BTreeSet<WatcherId>, Batch)> = BTreeMap::new();
        for recorded in chunk {
            assert_eq!(recorded.revision, self.published + 1, "a published revision follows the one before");
            self.published = recorded.revision;
            if planted::is(Bug::EventDropped) && recorded.revision % 100 == 0 {
                continue;
            }
            for cell in recorded.cells.iter() {
                self.synced.matching(&cell.event, |class| {
                    let (_, batch) = matched.entry(class.id).or_insert_with(|| (&class.watchers, Batch::default()));
                    batch.push(recorded.revision, cell);
                });
            }
        }
        let mut refused = Vec::new();
        for (watchers, batch) in matched.into_values() {
            let batch = Arc::new(batch);
            for id in watchers {
                let watcher = self.watchers.get_mut(id).expect("an indexed watcher exists");
                if let Err(output) = watcher.deliver(&batch, through) {
                    refused.push((*id, output));
                }
            }
        }
        for (id, output) in refused {
            let watcher = self.watchers.get_mut(&id).expect("an indexed watcher exists");
            self.synced.remove(&watcher.spec.range, watcher.spec.filters, id);
            watcher.next = through + 1;
            self.victimise(id, Some(output));
        }
        self.recent.remember(chunk, &self.config);
    }

    /// The engine now holds everything up to `revision`, from elsewhere: synced watchers read what they missed.
    pub(super) fn rebase(&mut self, revision: i64) {
        let before = self.published;
        self.published = before.max(revision);
        self.recent = Recent::default();
        if planted::is(Bug::WatchersNotRebased) {
            return;
        }
        for id in self.synced.drain() {
            let watcher = self.watchers.get_mut(&id).expect("an indexed watcher exists");
            watcher.next = watcher.next.max(before + 1);
            self.settle(id);
        }
    }

    /// The next read for watchers that catch up. `None`: nobody does.
    pub(super) fn plan(&mut self) -> Option<Pass> {
        loop {
            let (_, &front) = self.turns.first_key_value()?;
            let watcher = &self.watchers[&front];
            let (from, stuck) = (watcher.next, watcher.pipe.is_stuck());
            if stuck {
                self.leave_unsynced(front);
                self.victimise(front, None);
                continue;
            }
            let end = from.saturating_add_unsigned(self.config.catchup_revisions_max as u64);
            let mut pass = Pass::new(from, &self.config);
            // Those that start lower are not served by this read, and get their own turn.
            for (next, id) in
                self.unsynced.range((from, front)..(end, WatcherId(0))).take(self.config.catchup_watchers_max)
            {
                pass.add(*id, *next, &self.watchers[id].spec);
            }
            return Some(pass);
        }
    }

    /// Takes in what a pass has read.
    pub(super) fn finish(&mut self, read: Read) {
        match read {
            Read::Compacted { compact_revision } => self.end_all_compacted(compact_revision),
            Read::Events { through, found } => found.into_iter().for_each(|found| self.caught_up(found, through)),
        }
    }

    /// The stream has room again: hands over what was refused, in order, and lets its victims catch up.
    pub(super) fn resume(&mut self, stream: u64) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.pipe.unmark_slow();
        for id in std::mem::take(&mut state.victims) {
            let watcher = self.watchers.get_mut(&id).expect("a victim exists");
            let Place::Victim { refused } = &mut watcher.place else { panic!("a victim is nothing else") };
            let Some(output) = refused.take() else {
                self.settle(id);
                continue;
            };
            let ends = matches!(output.output, Output::Compacted { .. });
            match watcher.pipe.offer(output) {
                Err(output) => self.victimise(id, Some(output)),
                Ok(()) if ends => self.end(id),
                Ok(()) => {
                    watcher.quiet = false;
                    self.settle(id);
                }
            }
        }
    }

    /// Answers a client that asks how far its whole stream is, unless a watcher of it is behind. Queued behind its events.
    pub(super) fn request_progress(&mut self, stream: u64, creations: u64) {
        let revision = self.progress();
        let state = &self.streams[&stream];
        let up_to_date = state.watchers.iter().all(|id| self.watchers[id].may_progress(revision));
        if up_to_date && !state.watchers.is_empty() {
            // Where the stream is full the answer is dropped, as for a watcher that is behind.
            state.pipe.offer_or_drop(Addressed {
                to: To::Stream { creations },
                output: Output::Progress { watch_id: -1, revision },
            });
        }
    }

    /// Tells each watcher of the stream that asked for it, and got nothing since the last tick, how far it is.
    pub(super) fn tick(&mut self, stream: u64) {
        let revision = self.progress();
        for id in &self.streams[&stream].watchers {
            let watcher = self.watchers.get_mut(id).expect("a stream's watcher exists");
            if watcher.spec.progress_notify && watcher.quiet && watcher.may_progress(revision) {
                let output = Output::Progress { watch_id: watcher.watch_id, revision };
                watcher.pipe.offer_or_drop(Addressed { to: To::Watcher(*id), output });
            }
            watcher.quiet = true;
        }
    }

    /// What may be told as progress to watchers that have it all.
    fn progress(&self) -> i64 {
        self.published + i64::from(planted::is(Bug::ProgressTooFar))
    }

    /// Whether somebody waits for a pass.
    pub(super) fn has_unsynced(&self) -> bool {
        !self.turns.is_empty()
    }

    /// What is there now.
    pub(super) fn stats(&self) -> Stats {
        Stats {
            streams: self.streams.len(),
            watchers: self.watchers.len(),
            slow_watchers: self.watchers.values().filter(|watcher| !matches!(watcher.place, Place::Synced)).count(),
            pending_responses: self.streams.values().map(|stream| stream.pipe.len()).sum(),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn stream(&mut self, stream: u64) -> &mut StreamState {
        self.streams.get_mut(&stream).expect("a stream is there until it is closed")
    }

    /// Puts a watcher that is in no group, its refused output gone, where its `next` says.
    fn settle(&mut self, id: WatcherId) {
        let watcher = self.watchers.get_mut(&id).expect("the caller has it");
        if watcher.next <= self.published {
            match self.recent.hand_over(watcher) {
                HandOver::Done => {}
                HandOver::Full => return self.victimise(id, None),
                HandOver::TooFar => {
                    let next = watcher.next;
                    let turn = self.next_id();
                    self.unsynced.insert((next, id));
                    self.turns.insert(turn, id);
                    return self.place(id, Place::Unsynced { turn });
                }
            }
        }
        let watcher = &self.watchers[&id];
        self.synced.insert(&watcher.spec.range, watcher.spec.filters, id);
        self.place(id, Place::Synced);
    }

    fn place(&mut self, id: WatcherId, place: Place) {
        self.watchers.get_mut(&id).expect("the caller has it").place = place;
    }

    /// The watcher's stream is full, and marked slow. It is in no other group.
    fn victimise(&mut self, id: WatcherId, refused: Option<Addressed>) {
        let stream = self.watchers[&id].stream;
        self.stream(stream).victims.push_back(id);
        self.place(id, Place::Victim { refused });
    }

    fn leave_unsynced(&mut self, id: WatcherId) {
        let watcher = &self.watchers[&id];
        let Place::Unsynced { turn } = watcher.place else { panic!("an unsynced watcher is nothing else") };
        assert!(self.unsynced.remove(&(watcher.next, id)), "an unsynced watcher is queued");
        self.turns.remove(&turn);
    }

    /// One watcher of a pass that has read up to `through`. It may have been cancelled meanwhile.
    fn caught_up(&mut self, found: Found, through: i64) {
        let Some(watcher) = self.watchers.get(&found.id) else { return };
        // A pass is the only one at a time, and only a pass moves an unsynced watcher on.
        assert!(matches!(watcher.place, Place::Unsynced { .. }) && watcher.next == found.next, "one pass at a time");
        self.leave_unsynced(found.id);
        let watcher = self.watchers.get_mut(&found.id).expect("just seen");
        let delivered = found.batch.is_none_or(|batch| watcher.deliver(&batch, through).is_ok());
        if delivered {
            watcher.next = watcher.next.max(through + 1);
            self.settle(found.id);
        } else {
            // What was refused can be read again, and is worth no memory until then.
            self.victimise(found.id, None);
        }
    }

    fn end_all_compacted(&mut self, compact_revision: i64) {
        let lost: Vec<_> = self.unsynced.range(..(compact_revision, WatcherId(0))).map(|(_, id)| *id).collect();
        for id in lost {
            self.leave_unsynced(id);
            self.end_compacted(id, compact_revision);
        }
    }

    /// Tells a watcher that is in no group that it ends.
    fn end_compacted(&mut self, id: WatcherId, compact_revision: i64) {
        let watcher = &self.watchers[&id];
        let output = Output::Compacted { watch_id: watcher.watch_id, compact_revision };
        match watcher.pipe.offer(Addressed { to: To::Watcher(id), output }) {
            Ok(()) => self.end(id),
            Err(output) => self.victimise(id, Some(output)),
        }
    }

    /// Forgets a watcher that is in no group any more.
    fn end(&mut self, id: WatcherId) {
        let watcher = self.watchers.remove(&id).expect("the caller has it");
        self.stream(watcher.stream).watchers.remove(&id);
    }

    /// Forgets a watcher and takes it out of its group; its stream's list is the caller's matter.
    fn remove(&mut self, id: WatcherId) {
        let watcher = &self.watchers[&id];
        match watcher.place {
            Place::Synced => self.synced.remove(&watcher.spec.range, watcher.spec.filters, id),
            Place::Unsynced { .. } => self.leave_unsynced(id),
            Place::Victim { .. } => {
                let stream = watcher.stream;
                self.stream(stream).victims.retain(|victim| *victim != id);
            }
        }
        self.watchers.remove(&id);
    }
}

#[cfg(test)]
impl Groups {
    /// That each watcher is in exactly one group, and in the right one.
    pub(super) fn check(&mut self) {
        let mut synced = self.synced.drain();
        for (id, watcher) in &self.watchers {
            let queued = self.unsynced.contains(&(watcher.next, *id));
            let victim = self.streams[&watcher.stream].victims.iter().filter(|victim| *victim == id).count();
            let in_index = synced.remove(id);
            match watcher.place {
                Place::Synced => assert!(in_index && !queued && victim == 0),
                Place::Unsynced { turn } => {
                    assert!(!in_index && queued && victim == 0 && self.turns[&turn] == *id);
                    assert!(watcher.next <= self.published);
                }
                Place::Victim { .. } => assert!(!in_index && !queued && victim == 1),
            }
            if in_index {
                self.synced.insert(&watcher.spec.range, watcher.spec.filters, *id);
            }
            assert!(self.streams[&watcher.stream].watchers.contains(id));
        }
        assert!(synced.is_empty() && self.unsynced.len() == self.turns.len());
        assert!(self.recent.last().is_none_or(|last| last == self.published));
    }
}
