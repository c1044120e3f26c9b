//! Spoils a history in one fact, as a fault in a store or in its clients' world would: what a net that holds has to catch.
//!
//! Each mutation has a name, and the guarantee that it breaks with the checker that has to say so. It picks its place by
//! itself, the first that fits from a point drawn from the seed on; where none fits, there is no spoiled history.

use super::random::Random;
use crate::check::InvariantId;
use crate::history::{
    Answer, Answered, Batch, Change, Entry, Event, Failure, FaultStep, History, KeyValue, MemberStep, Outcome, Panic,
    Phase, Put, Range, Record, Request, Return, WatchEvent, WatchStep,
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
    mutation("a read shows the value before the last", 1, "revision order", stale_read),
    mutation("a read shows a value that nobody wrote", 1, "values", invented_value),
    mutation("a read shows nothing where there is a key", 1, "revision order", read_nothing),
    mutation("a transaction takes the other branch's word", 1, "revision order", branch_flipped),
    mutation("the log has a put that nobody asked for", 1, "revision order", unasked_entry),
    mutation("a list loses its last element in a read", 1, "cycles", shorter_list),
    mutation("a list has its last elements turned around in a read", 1, "cycles", turned_list),
    mutation("two puts are acknowledged at one revision", 2, "revisions", shared_revision),
    mutation("a read's revision steps back", 2, "revisions", revision_back),
    mutation("an answer's revision is above the log's end", 2, "revisions", revision_above),
    mutation("a key's version is one too high", 3, "key versions", version_high),
    mutation("an acknowledged put is not in the log", 4, "durable", lost_entry),
    mutation("the final read misses a key", 4, "durable", final_read_misses),
    mutation("a put is acknowledged faster than a sync", 5, "ack floor", fast_ack),
    mutation("an old read misses a key", 6, "old reads", old_read_misses),
    mutation("a compacted revision is served", 7, "compacted", compacted_served),
    mutation("a serializable read steps back", 8, "serializable", serializable_back),
    mutation("a member's hash differs", 9, "hash", hash_differs),
    mutation("a member's log has another term", 9, "hash", log_differs),
    mutation("a put with an unknown result is in the log twice", 10, "unknown once", unknown_twice),
    mutation("an acknowledged put is in the log twice", 11, "acknowledged once", acknowledged_twice),
    mutation("a member stays behind", 12, "liveness", member_behind),
    mutation("a member panics", 13, "panics", panics),
    mutation("a member ends by itself", 13, "panics", ends_by_itself),
    mutation("two responses of a watch change places", 20, "ordered", responses_swapped),
    mutation("an event comes twice", 21, "unique", event_twice),
    mutation("a watch that goes on repeats its last event", 21, "unique", resumed_repeats),
    mutation("a revision is split over two responses", 22, "atomic", revision_split),
    mutation("an event is missing", 23, "reliable", event_missing),
    mutation("an event has another value", 23, "reliable", event_value),
    mutation("a previous value is another", 23, "reliable", event_previous),
    mutation("a watch from a revision misses the first", 24, "resumable", first_missing),
    mutation("a watch is cancelled as compacted, but is not", 24, "resumable", canceled_wrongly),
    mutation("progress comes before its events", 25, "bookmarkable", progress_early),
    mutation("progress is above what there is", 25, "bookmarkable", progress_above),
    mutation("a watch in the future gets progress below it", 26, "future start", future_progress),
    mutation("an open watch never gets the end", 27, "completion", end_missing),
    mutation("a watch is cancelled without a reason", 28, "cancel", cancel_silent),
    mutation("a watch outlives its member", 28, "cancel", outlives_member),
    mutation("a watch repeats after a snapshot install", 29, "snapshot install", install_repeats),
    mutation("a lease runs out before its TTL", 30, "lease kept", lease_early),
    mutation("a key outlives its lease", 31, "lease atomic", key_outlives),
    mutation("a revoked lease is renewed", 32, "lease renewal", revoked_renewed),
    mutation("a lease is ended in another term", 33, "lease term", other_term),
    mutation("a lower token is accepted", 34, "fencing", lower_token),
    mutation("a lock's token is not its key's", 34, "fencing", token_wrong),
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

    fn open(&self, watch: u64) -> Option<&crate::history::Open> {
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

fn stale_read(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.single_read(|spoiled, kv| {
        let older = spoiled.records.iter().find_map(|record| match &record.event {
            Event::Watch(watch) => match &watch.step {
                WatchStep::Events(batch) => batch.events.iter().find_map(|event| match event {
                    WatchEvent::Put { kv: older, .. }
                        if older.key == kv.key && older.mod_revision < kv.mod_revision =>
                    {
                        Some(older.clone())
                    }
                    _ => None,
                }),
                _ => None,
            },
            _ => None,
        });
        older.map(|older| *kv = older).is_some()
    })
}

fn invented_value(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.single_read(|_, kv| {
        kv.value = "never".to_owned();
        true
    })
}

fn read_nothing(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        let fits = is_single_read(request) && ranged.kvs.first().is_some_and(|kv| kv.key.starts_with("key/"));
        if fits {
            *ranged = crate::history::Ranged::default();
        }
        fits
    })
}

fn branch_flipped(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let (Request::Txn(txn), Answer::Txn(told)) = (request, &mut answered.answer) else { return false };
        let fits = !told.succeeded && txn.success.iter().all(|op| matches!(op, Request::Put(_)));
        if fits {
            told.succeeded = true;
            told.answers = txn.success.iter().map(|_| Answer::Put(crate::history::PutDone::default())).collect();
        }
        fits
    })
}

fn unasked_entry(spoiled: &mut Spoiled) -> Option<()> {
    let put = Put { key: "key/00".to_owned(), value: "nobody".to_owned(), ..Put::default() };
    spoiled.append_entry(vec![Change::Apply(Request::Put(put))])
}

/// A read of a list with several elements, of one key.
fn list_read(spoiled: &mut Spoiled, change: impl Fn(&mut Vec<&str>)) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        let Some(kv) = ranged.kvs.first_mut().filter(|kv| kv.key.starts_with("list/") && is_single_read(request))
        else {
            return false;
        };
        let value = kv.value.clone();
        let mut elements: Vec<&str> = value.split(',').collect();
        if elements.len() < 4 {
            return false;
        }
        change(&mut elements);
        kv.value = elements.join(",");
        true
    })
}

fn shorter_list(spoiled: &mut Spoiled) -> Option<()> {
    // Several, so that the first of them was surely appended before the read began.
    list_read(spoiled, |elements| elements.truncate(elements.len() - 3))
}

fn turned_list(spoiled: &mut Spoiled) -> Option<()> {
    list_read(spoiled, |elements| {
        let last = elements.len() - 1;
        elements.swap(last, last - 1);
    })
}

fn shared_revision(spoiled: &mut Spoiled) -> Option<()> {
    let mut puts = spoiled.places().filter_map(|at| match &spoiled.records[at].event {
        Event::Return(Return { op, outcome: Outcome::Ok(Answered { revision, answer: Answer::Put(_), .. }) }) => {
            Some((at, *op, *revision))
        }
        _ => None,
    });
    let ((_, _, first), (at, ..)) = (puts.next()?, puts.next()?);
    drop(puts);
    if let Event::Return(Return { outcome: Outcome::Ok(answered), .. }) = &mut spoiled.records[at].event {
        answered.revision = first;
    }
    // The log would tell that the second is lost: that it shares a revision is seen without it.
    spoiled.records.retain(|record| !matches!(record.event, Event::Entry(_)));
    Some(())
}

fn revision_back(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let fits = is_single_read(request) && answered.revision > 100;
        if fits {
            answered.revision -= 60;
        }
        fits
    })
}

fn revision_above(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        answered.revision += 1_000_000;
        is_single_read(request)
    })
}

fn version_high(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.single_read(|_, kv| {
        kv.version += 1;
        true
    })
}

/// A put that was acknowledged or not, as `open` says, and is in the log; of no lease, which may be over later.
fn logged_put(spoiled: &mut Spoiled, open: bool) -> Option<Request> {
    let logged: Vec<Request> = spoiled
        .entries()
        .flat_map(|entry| entry.changes.clone())
        .filter_map(|change| if let Change::Apply(Request::Put(put)) = change { Some(put) } else { None })
        .filter(|put| put.lease == 0)
        .map(Request::Put)
        .collect();
    spoiled.places().find_map(|at| {
        let Event::Return(Return { op, outcome }) = &spoiled.records[at].event else { return None };
        let fits = if open { matches!(outcome, Outcome::Unknown(_)) } else { matches!(outcome, Outcome::Ok(_)) };
        spoiled.request(*op).filter(|request| fits && logged.contains(request)).cloned()
    })
}

fn lost_entry(spoiled: &mut Spoiled) -> Option<()> {
    let put = logged_put(spoiled, false)?;
    for entry in spoiled.entries() {
        entry.revision = None;
        if entry.changes == [Change::Apply(put.clone())] {
            entry.changes = vec![Change::Other("nothing".to_owned())];
        }
    }
    Some(())
}

fn final_read_misses(spoiled: &mut Spoiled) -> Option<()> {
    let end = spoiled.phase(Phase::End)?;
    spoiled.answer(|_, at, _, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        at >= end
            && ranged.kvs.iter().position(|kv| kv.key.starts_with("key/")).map(|kv| ranged.kvs.remove(kv)).is_some()
    })
}

fn fast_ack(spoiled: &mut Spoiled) -> Option<()> {
    let of_fault = |wanted: fn(&FaultStep) -> bool| {
        spoiled
            .records
            .iter()
            .find(|record| matches!(&record.event, Event::Fault(fault) if fault.id == 1 && wanted(&fault.step)))
            .map(|record| record.at)
    };
    let (from, to) = (
        of_fault(|step| matches!(step, FaultStep::Applied { .. }))?,
        of_fault(|step| matches!(step, FaultStep::Healed { .. }))?,
    );
    for at in spoiled.places() {
        let Event::Return(Return { op, outcome: Outcome::Ok(Answered { answer: Answer::Put(_), .. }) }) =
            &spoiled.records[at].event
        else {
            continue;
        };
        let Some(invoked) = spoiled.invoked_at(*op).filter(|invoked| *invoked > from && spoiled.records[at].at < to)
        else {
            continue;
        };
        spoiled.records[at].at = invoked + 5_000_000;
        return Some(());
    }
    None
}

fn old_read_misses(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        let fits = matches!(request, Request::Range(range) if range.revision > 0) && !ranged.kvs.is_empty();
        if fits {
            ranged.kvs.remove(0);
            ranged.count -= 1;
        }
        fits
    })
}

fn compacted_served(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Return(Return {
            op,
            outcome: Outcome::Failed(Failure { code: crate::history::Code::Compacted, .. }),
        }) = &spoiled.records[at].event
        else {
            continue;
        };
        let op = *op;
        if !matches!(spoiled.request(op), Some(Request::Range(_))) {
            continue;
        }
        let answered = Answered { revision: 1_000, term: 1, answer: Answer::Range(crate::history::Ranged::default()) };
        spoiled.records[at].event = Event::Return(Return { op, outcome: Outcome::Ok(answered) });
        return Some(());
    }
    None
}

fn serializable_back(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, request, answered| {
        let fits = matches!(request, Request::Range(range) if range.serializable) && answered.revision > 100;
        if fits {
            answered.revision = 3;
        }
        fits
    })
}

fn hash_differs(spoiled: &mut Spoiled) -> Option<()> {
    spoiled
        .records
        .iter_mut()
        .rev()
        .find_map(|record| if let Event::HashKv(hash) = &mut record.event { Some(hash.hash ^= 1) } else { None })
}

fn log_differs(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.entries().filter(|entry| entry.member == 2).nth(20).map(|entry| entry.term += 1)
}

fn unknown_twice(spoiled: &mut Spoiled) -> Option<()> {
    let put = logged_put(spoiled, true)?;
    spoiled.append_entry(vec![Change::Apply(put)])
}

fn acknowledged_twice(spoiled: &mut Spoiled) -> Option<()> {
    let put = logged_put(spoiled, false)?;
    spoiled.append_entry(vec![Change::Apply(put)])
}

fn member_behind(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.records.iter_mut().rev().find_map(|record| match &mut record.event {
        Event::Member(member) => match &mut member.step {
            MemberStep::Status { applied, .. } => Some(*applied -= 1),
            _ => None,
        },
        _ => None,
    })
}

fn panics(spoiled: &mut Spoiled) -> Option<()> {
    let at = spoiled.records[spoiled.start].at;
    spoiled.add(at, Event::Panic(Panic { member: 2, expected: false, text: "panicked at apply".to_owned() }));
    Some(())
}

fn ends_by_itself(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.records.iter_mut().find_map(|record| match &mut record.event {
        Event::Member(member) => match &mut member.step {
            MemberStep::Ended { expected, .. } => Some(*expected = false),
            _ => None,
        },
        _ => None,
    })
}

fn responses_swapped(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(watch) = &spoiled.records[at].event else { continue };
        if !matches!(watch.step, WatchStep::Events(_)) {
            continue;
        }
        let next = spoiled
            .watch_steps(watch.watch)
            .find(|(place, step)| *place > at && matches!(step, WatchStep::Events(_)))
            .map(|(place, _)| place);
        let Some(next) = next else { continue };
        let first = spoiled.records[at].event.clone();
        spoiled.records[at].event = std::mem::replace(&mut spoiled.records[next].event, first);
        return Some(());
    }
    None
}

fn event_twice(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|_, _, _, batch| {
        let last = batch.events.last().cloned();
        batch.events.extend(last);
        true
    })
}

fn resumed_repeats(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|spoiled, at, watch, batch| {
        let Some(open) = spoiled.open(watch).filter(|open| open.resumes.is_some()) else { return false };
        let before = open.resumes.and_then(|before| {
            spoiled
                .watch_steps(before)
                .filter_map(
                    |(_, step)| if let WatchStep::Events(batch) = step { batch.events.last().cloned() } else { None },
                )
                .last()
        });
        let first = spoiled
            .watch_steps(watch)
            .find(|(_, step)| matches!(step, WatchStep::Events(_)))
            .is_some_and(|(first, _)| first == at);
        match before {
            Some(event) if first => {
                batch.events.insert(0, event);
                true
            }
            _ => false,
        }
    })
}

fn revision_split(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(watch) = &spoiled.records[at].event else { continue };
        let WatchStep::Events(batch) = &watch.step else { continue };
        let pair = batch.events.windows(2).position(|pair| pair[0].revision() == pair[1].revision());
        let Some(split) = pair.map(|pair| pair + 1) else { continue };
        let (mut first, mut second) = (watch.clone(), watch.clone());
        first.step = WatchStep::Events(Batch { events: batch.events[..split].to_vec(), ..batch.clone() });
        second.step = WatchStep::Events(Batch { events: batch.events[split..].to_vec(), ..batch.clone() });
        let when = spoiled.records[at].at;
        spoiled.records[at].event = Event::Watch(first);
        spoiled.add(when, Event::Watch(second));
        return Some(());
    }
    None
}

fn event_missing(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|spoiled, at, watch, batch| {
        let fits = batch.events.len() > 1 && spoiled.told_after(watch, at);
        if fits {
            batch.events.remove(1);
        }
        fits
    })
}

fn event_value(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|_, _, _, batch| {
        let put = batch
            .events
            .iter_mut()
            .find_map(|event| if let WatchEvent::Put { kv, .. } = event { Some(kv) } else { None });
        put.map(|kv| kv.value.push('!')).is_some()
    })
}

fn event_previous(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|_, _, _, batch| {
        let previous = batch.events.iter_mut().find_map(|event| match event {
            WatchEvent::Put { previous, .. } | WatchEvent::Delete { previous, .. } => previous.as_mut(),
        });
        previous.map(|kv| kv.value.push('!')).is_some()
    })
}

fn first_missing(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.batch(|spoiled, at, watch, batch| {
        let from = spoiled.open(watch).is_some_and(|open| open.from > 0);
        let first = spoiled
            .watch_steps(watch)
            .find(|(_, step)| matches!(step, WatchStep::Events(_)))
            .is_some_and(|(first, _)| first == at);
        let later = batch
            .events
            .first()
            .zip(batch.events.last())
            .is_some_and(|(first, last)| first.revision() < last.revision());
        if from && first && later {
            let revision = batch.events[0].revision();
            batch.events.retain(|event| event.revision() > revision);
        }
        from && first && later
    })
}

fn canceled_wrongly(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.step(|spoiled, _, watch, step| {
        let WatchStep::Canceled(canceled) = step else { return false };
        let from = spoiled.open(watch).map_or(0, |open| open.from);
        canceled.compact_revision = from;
        from > 0
    })
}

fn progress_early(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(watch) = &spoiled.records[at].event else { continue };
        if !matches!(watch.step, WatchStep::Progress(_)) {
            continue;
        }
        let before = spoiled
            .watch_steps(watch.watch)
            .filter(|(place, step)| *place < at && matches!(step, WatchStep::Events(_)))
            .map(|(place, _)| place)
            .last();
        let Some(before) = before else { continue };
        let progress = spoiled.records[at].event.clone();
        spoiled.records[at].event = std::mem::replace(&mut spoiled.records[before].event, progress);
        return Some(());
    }
    None
}

fn progress_above(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.step(|_, _, _, step| {
        if let WatchStep::Progress(progress) = step {
            progress.revision += 1_000_000;
            true
        } else {
            false
        }
    })
}

fn future_progress(spoiled: &mut Spoiled) -> Option<()> {
    for at in spoiled.places() {
        let Event::Watch(mut watch) = spoiled.records[at].event.clone() else { continue };
        let (WatchStep::Created(created), Some(open)) = (&watch.step, spoiled.open(watch.watch)) else { continue };
        if open.from <= created.revision {
            continue;
        }
        watch.step = WatchStep::Progress(crate::history::Progress { revision: created.revision });
        let when = spoiled.records[at].at + 1;
        spoiled.add(when, Event::Watch(watch));
        return Some(());
    }
    None
}

fn end_missing(spoiled: &mut Spoiled) -> Option<()> {
    let end = spoiled.phase(Phase::End)?;
    let safety = spoiled.phase(Phase::Heal)?;
    // A watch that is open to the end, and is told something after the heal.
    let watch = spoiled.records.iter().rev().find_map(|record| match &record.event {
        Event::Watch(watch) if record.at > safety && matches!(watch.step, WatchStep::Events(_)) => {
            let ended = spoiled
                .watch_steps(watch.watch)
                .any(|(_, step)| matches!(step, WatchStep::Canceled(_) | WatchStep::Closed(_)));
            let early = spoiled.watch_steps(watch.watch).filter(|(at, _)| spoiled.records[*at].at < end).count() > 4;
            (!ended && early).then_some(watch.watch)
        }
        _ => None,
    })?;
    let mut kept = 0;
    spoiled.records.retain(|record| match &record.event {
        Event::Watch(of) if of.watch == watch => {
            kept += 1;
            kept <= 3
        }
        _ => true,
    });
    Some(())
}

fn cancel_silent(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.step(|_, _, _, step| match step {
        WatchStep::Canceled(canceled) => {
            canceled.compact_revision = 0;
            canceled.reason.clear();
            true
        }
        _ => false,
    })
}

fn outlives_member(spoiled: &mut Spoiled) -> Option<()> {
    let ended = spoiled.records.iter().find_map(|record| match &record.event {
        Event::Member(member) if matches!(member.step, MemberStep::Ended { .. }) => Some((record.at, member.id)),
        _ => None,
    })?;
    let closed = spoiled.records.iter().position(|record| match &record.event {
        Event::Watch(watch) => {
            record.at == ended.0
                && matches!(watch.step, WatchStep::Closed(_))
                && spoiled.open(watch.watch).is_some_and(|open| open.member == ended.1)
        }
        _ => false,
    })?;
    spoiled.records.remove(closed);
    Some(())
}

fn install_repeats(spoiled: &mut Spoiled) -> Option<()> {
    let install = spoiled.records.iter().position(
        |record| matches!(&record.event, Event::Member(member) if matches!(member.step, MemberStep::Installed { .. })),
    )?;
    spoiled.start = install;
    spoiled.batch(|spoiled, at, watch, batch| {
        let before = spoiled.watch_steps(watch).find_map(|(place, step)| match step {
            WatchStep::Events(batch) if place < install => batch.events.first().cloned(),
            _ => None,
        });
        match before.filter(|_| at > install && spoiled.open(watch).is_some_and(|open| open.member == 2)) {
            Some(event) => {
                batch.events.insert(0, event);
                true
            }
            None => false,
        }
    })
}

fn lease_early(spoiled: &mut Spoiled) -> Option<()> {
    let expired: Vec<i64> = spoiled
        .entries()
        .flat_map(|entry| entry.changes.clone())
        .filter_map(|change| if let Change::Expire { lease, .. } = change { Some(lease) } else { None })
        .collect();
    spoiled.answer(|_, _, request, answered| {
        let (Request::Grant(grant), Answer::Granted(granted)) = (request, &mut answered.answer) else { return false };
        granted.ttl = 3_600;
        expired.contains(&grant.lease)
    })
}

fn key_outlives(spoiled: &mut Spoiled) -> Option<()> {
    let end = spoiled.phase(Phase::End)?;
    let leased = spoiled.records.iter().find_map(|record| match &record.event {
        Event::Watch(watch) => match &watch.step {
            WatchStep::Events(batch) => batch.events.iter().find_map(|event| match event {
                WatchEvent::Put { kv, .. } if kv.key.starts_with("leased/") => Some(kv.clone()),
                _ => None,
            }),
            _ => None,
        },
        _ => None,
    })?;
    spoiled.answer(|_, at, _, answered| {
        let Answer::Range(ranged) = &mut answered.answer else { return false };
        if at < end {
            return false;
        }
        ranged.kvs.push(leased.clone());
        ranged.kvs.sort_by(|a, b| a.key.cmp(&b.key));
        ranged.count += 1;
        true
    })
}

fn revoked_renewed(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, _, answered| match &mut answered.answer {
        Answer::KeptAlive(kept) if kept.ttl == 0 => {
            kept.ttl = 1;
            true
        }
        _ => false,
    })
}

fn other_term(spoiled: &mut Spoiled) -> Option<()> {
    let keys: Vec<i64> = spoiled
        .entries()
        .flat_map(|entry| entry.changes.clone())
        .filter_map(|change| if let Change::Apply(Request::Put(put)) = change { Some(put.lease) } else { None })
        .collect();
    let index = spoiled
        .entries()
        .find(|entry| matches!(entry.changes.first(), Some(Change::Expire { lease, .. }) if keys.contains(lease)))
        .map(|entry| entry.index)?;
    for entry in spoiled.entries().filter(|entry| entry.index == index) {
        if let Some(Change::Expire { term, .. }) = entry.changes.first_mut() {
            *term = 0;
        }
    }
    Some(())
}

fn lower_token(spoiled: &mut Spoiled) -> Option<()> {
    // The token of an accepted write, everywhere it stands: a client that came back with an old one.
    let accepted: Vec<String> = spoiled
        .places()
        .filter_map(|at| match &spoiled.records[at].event {
            Event::Return(Return { op, outcome: Outcome::Ok(Answered { answer: Answer::Txn(told), .. }) })
                if told.succeeded =>
            {
                let put = spoiled.request(*op)?.puts().first().copied()?;
                put.key.starts_with("fenced/0").then(|| put.value.clone())
            }
            _ => None,
        })
        .collect();
    let latest = accepted
        .iter()
        .max_by_key(|value| value.split(':').next().and_then(|token| token.parse::<i64>().ok()))?
        .clone();
    let old = format!("1:{latest}");
    for record in &mut spoiled.records {
        let text = serde_json::to_string(&record.event).ok()?;
        if text.contains(&latest) {
            record.event = serde_json::from_str(&text.replace(&format!("\"{latest}\""), &format!("\"{old}\""))).ok()?;
        }
    }
    Some(())
}

fn token_wrong(spoiled: &mut Spoiled) -> Option<()> {
    spoiled.answer(|_, _, _, answered| {
        if let Answer::Held(held) = &mut answered.answer {
            held.token += 1;
            true
        } else {
            false
        }
    })
}
