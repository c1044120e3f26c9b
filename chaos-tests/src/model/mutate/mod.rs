//! Spoils a history in one fact, as a fault in a store or in its clients' world would: what a net that holds has to catch.
//!
//! Each mutation has a name, and the guarantee that it breaks with the checker that has to say so. It picks its place by
//! itself, the first that fits from a point drawn from the seed on; where none fits, there is no spoiled history.

mod answers;
mod cluster;
mod watches;

use super::random::Random;
use crate::check::InvariantId;
use crate::history::{
    Answer, Answered, Batch, Change, Entry, Event, History, KeyValue, MemberStep, Open, Outcome, Phase, Range, Record,
    Request, Return, WatchStep,
};

/// One way to spoil a history.
pub struct Mutation {
    /// What it does.
    pub name: &'static str,
    /// The guarantee that it breaks.
    pub breaks: InvariantId,
    /// The checker that has to see it.
    pub checker: &'static str,
    spoil: fn(&mut Spoiled) -> Option<()>,
}

impl Mutation {
    /// The history, spoiled; `None` where it has no place for this.
    #[must_use]
    pub fn apply(&self, history: &History, seed: u64) -> Option<History> {
        let start = Random::new(seed).below(history.records().len() as u64 / 2);
        let mut spoiled = Spoiled { records: history.records().to_vec(), start: usize::try_from(start).ok()? };
        (self.spoil)(&mut spoiled)?;
        History::new(history.header().clone(), spoiled.records).ok()
    }
}

const fn mutation(
    name: &'static str,
    breaks: u8,
    checker: &'static str,
    spoil: fn(&mut Spoiled) -> Option<()>,
) -> Mutation {
    Mutation { name, breaks: InvariantId(breaks), checker, spoil }
}

/// Every mutation.
pub const MUTATIONS: &[Mutation] = &[
    mutation("a read shows the value before the last", 1, "revision order", answers::stale_read),
    mutation("a read shows a value that nobody wrote", 1, "values", answers::invented_value),
    mutation("a read shows nothing where there is a key", 1, "revision order", answers::read_nothing),
    mutation("a transaction takes the other branch's word", 1, "revision order", answers::branch_flipped),
    mutation("the log has a put that nobody asked for", 1, "revision order", cluster::unasked_entry),
    mutation("a list loses its last element in a read", 1, "cycles", answers::shorter_list),
    mutation("a list has its last elements turned around in a read", 1, "cycles", answers::turned_list),
    mutation("two puts are acknowledged at one revision", 2, "revisions", answers::shared_revision),
    mutation("a read's revision steps back", 2, "revisions", answers::revision_back),
    mutation("an answer's revision is above the log's end", 2, "revisions", answers::revision_above),
    mutation("a key's version is one too high", 3, "key versions", answers::version_high),
    mutation("an acknowledged put is not in the log", 4, "durable", cluster::lost_entry),
    mutation("the final read misses a key", 4, "durable", answers::final_read_misses),
    mutation("a put is acknowledged faster than a sync", 5, "ack floor", answers::fast_ack),
    mutation("an old read misses a key", 6, "old reads", answers::old_read_misses),
    mutation("a compacted revision is served", 7, "compacted", answers::compacted_served),
    mutation("a serializable read steps back", 8, "serializable", answers::serializable_back),
    mutation("a member's hash differs", 9, "hash", cluster::hash_differs),
    mutation("a member's log has another term", 9, "hash", cluster::log_differs),
    mutation("a put with an unknown result is in the log twice", 10, "unknown once", cluster::unknown_twice),
    mutation("an acknowledged put is in the log twice", 11, "acknowledged once", cluster::acknowledged_twice),
    mutation("a member stays behind", 12, "liveness", cluster::member_behind),
    mutation("a member panics", 13, "panics", cluster::panics),
    mutation("a member ends by itself", 13, "panics", cluster::ends_by_itself),
    mutation("two responses of a watch change places", 20, "ordered", watches::responses_swapped),
    mutation("an event comes twice", 21, "unique", watches::event_twice),
    mutation("a watch that goes on repeats its last event", 21, "unique", watches::resumed_repeats),
    mutation("a revision is split over two responses", 22, "atomic", watches::revision_split),
    mutation("an event is missing", 23, "reliable", watches::event_missing),
    mutation("an event has another value", 23, "reliable", watches::event_value),
    mutation("a previous value is another", 23, "reliable", watches::event_previous),
    mutation("a watch from a revision misses the first", 24, "resumable", watches::first_missing),
    mutation("a watch is cancelled as compacted, but is not", 24, "resumable", watches::canceled_wrongly),
    mutation("progress comes before its events", 25, "bookmarkable", watches::progress_early),
    mutation("progress is above what there is", 25, "bookmarkable", watches::progress_above),
    mutation("a watch in the future gets progress below it", 26, "future start", watches::future_progress),
    mutation("an open watch never gets the end", 27, "completion", watches::end_missing),
    mutation("a watch is cancelled without a reason", 28, "cancel", watches::cancel_silent),
    mutation("a watch outlives its member", 28, "cancel", watches::outlives_member),
    mutation("a watch repeats after a snapshot install", 29, "snapshot install", watches::install_repeats),
    mutation("a lease runs out before its TTL", 30, "lease kept", cluster::lease_early),
    mutation("a key outlives its lease", 31, "lease atomic", cluster::key_outlives),
    mutation("a revoked lease is renewed", 32, "lease renewal", cluster::revoked_renewed),
    mutation("a lease is ended in another term", 33, "lease term", cluster::other_term),
    mutation("a lower token is accepted", 34, "fencing", cluster::lower_token),
    mutation("a lock's token is not its key's", 34, "fencing", cluster::token_wrong),
    mutation("a member's term steps back", 47, "terms", cluster::term_back),
];

/// A history being spoiled.
struct Spoiled {
    records: Vec<Record>,
    start: usize,
}

impl Spoiled {
    /// The places of all records, from the start on and around.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        (self.start..self.records.len()).chain(0..self.start)
    }

    fn request(&self, op: u64) -> Option<&Request> {
        self.records.iter().find_map(|record| match &record.event {
            Event::Invoke(invoke) if invoke.op == op => Some(&invoke.request),
            _ => None,
        })
    }

    fn invoked_at(&self, op: u64) -> Option<u64> {
        let invoked = |record: &&Record| matches!(&record.event, Event::Invoke(invoke) if invoke.op == op);
        self.records.iter().find(invoked).map(|record| record.at)
    }

    fn phase(&self, wanted: Phase) -> Option<u64> {
        self.records.iter().find(|record| record.event == Event::Phase(wanted)).map(|record| record.at)
    }

    /// The first answer that the change fits.
    fn answer(&mut self, change: impl Fn(&Spoiled, u64, &Request, &mut Answered) -> bool) -> Option<()> {
        for at in self.places() {
            let Event::Return(Return { op, outcome: Outcome::Ok(answered) }) = &self.records[at].event else {
                continue;
            };
            let (op, mut answered) = (*op, answered.clone());
            let Some(request) = self.request(op).cloned() else { continue };
            if change(self, self.records[at].at, &request, &mut answered) {
                self.records[at].event = Event::Return(Return { op, outcome: Outcome::Ok(answered) });
                return Some(());
            }
        }
        None
    }

    /// The first linearizable read of one key by itself that the change fits.
    fn single_read(&mut self, change: impl Fn(&Spoiled, &mut KeyValue) -> bool) -> Option<()> {
        self.answer(|spoiled, _, request, answered| {
            let Answer::Range(ranged) = &mut answered.answer else { return false };
            is_single_read(request)
                && ranged.kvs.first().is_some_and(|kv| kv.key.starts_with("key/"))
                && ranged.kvs.first_mut().is_some_and(|kv| change(spoiled, kv))
        })
    }

    /// The first step of a watch that the change fits.
    fn step(&mut self, change: impl Fn(&Spoiled, usize, u64, &mut WatchStep) -> bool) -> Option<()> {
        for at in self.places() {
            let Event::Watch(mut watch) = self.records[at].event.clone() else { continue };
            if change(self, at, watch.watch, &mut watch.step) {
                self.records[at].event = Event::Watch(watch);
                return Some(());
            }
        }
        None
    }

    /// The first response of a watch that the change fits.
    fn batch(&mut self, change: impl Fn(&Spoiled, usize, u64, &mut Batch) -> bool) -> Option<()> {
        self.step(
            |spoiled, at, watch, step| {
                if let WatchStep::Events(batch) = step { change(spoiled, at, watch, batch) } else { false }
            },
        )
    }

    fn watch_steps(&self, watch: u64) -> impl Iterator<Item = (usize, &WatchStep)> {
        self.records.iter().enumerate().filter_map(move |(at, record)| match &record.event {
            Event::Watch(of) if of.watch == watch => Some((at, &of.step)),
            _ => None,
        })
    }

    fn open(&self, watch: u64) -> Option<&Open> {
        self.watch_steps(watch).find_map(|(_, step)| if let WatchStep::Open(open) = step { Some(open) } else { None })
    }

    /// Whether the watch is told of something later than a place.
    fn told_after(&self, watch: u64, place: usize) -> bool {
        self.watch_steps(watch).any(|(at, step)| at > place && matches!(step, WatchStep::Events(_)))
    }

    fn add(&mut self, at: u64, event: Event) {
        let line = self.records.iter().map(|record| record.line).max().unwrap_or(1) + 1;
        self.records.push(Record { at, line, event });
    }

    fn entries(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.records
            .iter_mut()
            .filter_map(|record| if let Event::Entry(entry) = &mut record.event { Some(entry) } else { None })
    }

    fn member_steps(&mut self) -> impl DoubleEndedIterator<Item = &mut MemberStep> {
        let records = self.records.iter_mut();
        records.filter_map(
            |record| if let Event::Member(member) = &mut record.event { Some(&mut member.step) } else { None },
        )
    }

    /// Adds an entry behind the end of the first member's log.
    fn append_entry(&mut self, changes: Vec<Change>) -> Option<()> {
        let last = self.entries().filter(|entry| entry.member == 1).max_by_key(|entry| entry.index)?.clone();
        let at = self.records.last()?.at;
        self.add(at, Event::Entry(Entry { index: last.index + 1, revision: None, changes, ..last }));
        Some(())
    }
}

fn is_single_read(request: &Request) -> bool {
    matches!(request, Request::Range(Range { end: None, revision: 0, serializable: false, .. }))
}
