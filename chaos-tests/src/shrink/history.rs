//! A history that breaks a guarantee, cut down to the few records that still show it, with the checker as the judge.
//!
//! Parts are left out whole: what happened at a revision, with the operation that did it and the events that watches had of
//! it; an operation that changed nothing; a watch, later single responses of one; an entry of the log with all members'
//! copies; a fault; a word of a member. What is left has to break the same guarantee at the same record and in the same way
//! (numbers aside). A guarantee about keys may not have others of keys broken that the whole history kept, so that a stale
//! read does not become a read of what nobody wrote; a watch that steps back needs nobody who wrote what it shows. Records
//! keep their lines until they are written.
//! Does not: cut a log in its middle (a replay needs its beginning).

use std::collections::{BTreeMap, BTreeSet};

use super::Delta;
use crate::check::{self, Judged};
use crate::history::{Event, History, Outcome, Record, Request, WatchStep};

/// What a history was cut down to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smaller history.
    pub history: History,
    /// How often a checker was asked.
    pub judgements: u64,
    /// Whether everything was tried; else the bounds ended it, and a smaller one may exist.
    pub complete: bool,
}

/// A part that is left out or kept as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// An operation that is at no revision of its own.
    Op(u64),
    /// What happened at a revision.
    Revision(i64),
    /// A watch.
    Watch(u64),
    /// One word of a watch, by its line.
    Word(u32),
    /// All copies of a log entry.
    Entry(u64),
    /// A fault.
    Fault(u64),
    /// Any other record, by its line.
    Other(u32),
}

/// Cuts a history down while `go_on` says so; `broken` is what it breaks.
///
/// A history that does not break it comes back as it is.
pub fn shrink(history: &History, broken: &Judged, go_on: impl FnMut() -> bool) -> Shrunk {
    let known: BTreeSet<&'static str> =
        check::judge(history).iter().filter(|it| it.verdict.violation().is_some()).map(|it| it.checker).collect();
    let mut search =
        Search { best: history.clone(), broken: broken.clone(), known, go_on, judgements: 0, complete: true };
    if !search.still(history) {
        search.complete = false;
        return search.end();
    }
    search.classes();
    search.parts(|writes, record| Some(part(writes, record)));
    search.parts(|_, record| word(record));
    search.end()
}

struct Search<G> {
    best: History,
    broken: Judged,
    known: BTreeSet<&'static str>,
    go_on: G,
    judgements: u64,
    complete: bool,
}

impl<G: FnMut() -> bool> Search<G> {
    fn end(self) -> Shrunk {
        Shrunk { history: self.best, judgements: self.judgements, complete: self.complete }
    }

    /// Whether a history still breaks it so.
    fn still(&mut self, history: &History) -> bool {
        self.judgements += 1;
        check::breaks_so(history, &self.broken, &self.known)
    }

    /// Takes the history of these records for the best if it still breaks it.
    fn take(&mut self, records: Vec<Record>) -> bool {
        if !(self.go_on)() {
            self.complete = false;
            return false;
        }
        if records == self.best.records() {
            return false;
        }
        // Leaving out parts never makes a history malformed, but for what only looks like a part.
        let Ok(smaller) = History::new(self.best.header().clone(), records) else { return false };
        let still = self.still(&smaller);
        if still {
            self.best = smaller;
        }
        still
    }

    fn take_those(&mut self, keep: impl Fn(&Record) -> bool) -> bool {
        self.take(self.best.records().iter().filter(|record| keep(record)).cloned().collect())
    }

    /// Whole kinds of records first, and what comes after the record that shows it: that is nearly everything at once.
    fn classes(&mut self) {
        let first = self.broken.verdict.violation().map_or(0, |violation| violation.first);
        let at = self.best.line(first).map_or(u64::MAX, |record| record.at);
        self.take_those(|record| !matches!(record.event, Event::Entry(_)));
        let (none, late) = (Writes::new(), late(&self.best, at));
        self.take_those(|record| !late.contains(&part(&none, record)));
        let own = self.best.line(first).map(|record| part(&none, record));
        self.take_those(|it| !matches!(it.event, Event::Watch(_)) || Some(part(&none, it)) == own);
        self.take_those(|record| !matches!(record.event, Event::Fault(_)));
        self.take_those(|record| !matches!(record.event, Event::Member(_) | Event::HashKv(_) | Event::Panic(_)));
    }

    /// Delta debugging over parts; neighbours in the list are of one kind and one key, so that whole keys go at once.
    fn parts(&mut self, part: impl Fn(&Writes, &Record) -> Option<Part>) {
        let writes = writes(&self.best);
        let keys = keys(&self.best, &writes);
        let parts: BTreeSet<Part> =
            self.best.records().iter().filter_map(|record| part(&writes, record)).chain(shown(&self.best)).collect();
        let mut parts: Vec<Part> = parts.into_iter().collect();
        parts.sort_by_cached_key(|it| (keys.get(it).cloned().unwrap_or_default(), it.clone()));
        let mut delta = Delta::new(parts.len());
        while let Some(places) = delta.question() {
            let kept: BTreeSet<&Part> = places.iter().filter_map(|place| parts.get(*place)).collect();
            let is_kept = |it: &Record| part(&writes, it).is_none_or(|part| kept.contains(&part));
            let records = self.best.records().iter().filter(|record| is_kept(record));
            let still = self.take(records.filter_map(|record| without_events(record, &kept)).collect());
            if !self.complete {
                return;
            }
            delta.answer(still);
        }
    }
}

/// The revisions of operations that changed keys.
type Writes = BTreeMap<u64, i64>;

fn writes(history: &History) -> Writes {
    let write = |record: &Record| match &record.event {
        Event::Return(it) => match &it.outcome {
            Outcome::Ok(answered) if answered.answer.changed_keys() => Some((it.op, answered.revision)),
            _ => None,
        },
        _ => None,
    };
    history.records().iter().filter_map(write).collect()
}

fn part(writes: &Writes, record: &Record) -> Part {
    let op = |op| writes.get(&op).map_or(Part::Op(op), |revision| Part::Revision(*revision));
    match &record.event {
        Event::Invoke(it) => op(it.op),
        Event::Return(it) => op(it.op),
        Event::Watch(it) => Part::Watch(it.watch),
        Event::Entry(it) => Part::Entry(it.index),
        Event::Fault(it) => Part::Fault(it.id),
        _ => Part::Other(record.line),
    }
}

/// A word of a watch, but its opening.
fn word(record: &Record) -> Option<Part> {
    match &record.event {
        Event::Watch(watch) if !matches!(watch.step, WatchStep::Open(_)) => Some(Part::Word(record.line)),
        _ => None,
    }
}

/// The revisions that watches had events of.
fn shown(history: &History) -> BTreeSet<Part> {
    let events = history.records().iter().filter_map(|record| match &record.event {
        Event::Watch(watch) => match &watch.step {
            WatchStep::Events(batch) => Some(&batch.events),
            _ => None,
        },
        _ => None,
    });
    events.flatten().map(|event| Part::Revision(event.revision())).collect()
}

/// A record without the events of revisions that are not kept; `None` where nothing is left of it.
fn without_events(record: &Record, kept: &BTreeSet<&Part>) -> Option<Record> {
    let mut record = record.clone();
    if let Event::Watch(watch) = &mut record.event
        && let WatchStep::Events(batch) = &mut watch.step
    {
        batch.events.retain(|event| kept.contains(&Part::Revision(event.revision())));
        if batch.events.is_empty() {
            return None;
        }
    }
    Some(record)
}

/// Parts that begin after a moment.
fn late(history: &History, at: u64) -> BTreeSet<Part> {
    let mut begun: BTreeMap<Part, u64> = BTreeMap::new();
    for record in history.records().iter().filter(|record| !matches!(record.event, Event::Entry(_))) {
        begun.entry(part(&Writes::new(), record)).or_insert(record.at);
    }
    begun.into_iter().filter(|(_, begun)| *begun > at).map(|(part, _)| part).collect()
}

/// A key of each part that has one.
fn keys(history: &History, writes: &Writes) -> BTreeMap<Part, String> {
    let mut keys = BTreeMap::new();
    for record in history.records() {
        let key = match &record.event {
            Event::Invoke(it) => key(&it.request),
            Event::Watch(it) => match &it.step {
                WatchStep::Open(open) => Some(open.key.as_str()),
                _ => None,
            },
            _ => None,
        };
        if let Some(key) = key {
            keys.insert(part(writes, record), key.to_owned());
        }
    }
    keys
}

fn key(request: &Request) -> Option<&str> {
    match request {
        Request::Range(it) => Some(&it.key),
        Request::Put(it) => Some(&it.key),
        Request::Delete(it) => Some(&it.key),
        Request::Txn(it) => it.success.iter().chain(&it.failure).find_map(key),
        Request::Lock(it) => Some(&it.name),
        Request::Campaign(it) => Some(&it.name),
        Request::Unlock(it) => Some(&it.key),
        Request::Resign(it) => Some(&it.key),
        _ => None,
    }
}

#[cfg(test)]
mod history_test;
