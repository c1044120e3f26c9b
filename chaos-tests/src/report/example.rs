//! The counter-example of a violation: the records that the checker names, each operation with both its ends, and the few
//! that touch the same key just before and after.
//!
//! Small by construction ([`SHOWN_MAX`]). A smaller history that still shows the violation is another thing: that is
//! [`crate::shrink`]'s.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::facts::Facts;
use super::words;
use crate::check::{Op, Violation};
use crate::history::{Event, Line, Record, Request, WatchStep, covers};

/// Records of one counter-example.
pub(super) const SHOWN_MAX: usize = 48;
/// Operations on the same key that are shown before the violating record, and behind it.
const BEFORE: usize = 3;
const AFTER: usize = 2;
/// Characters of a record's words.
const WORDS_MAX: usize = 700;

/// What a record is in a counter-example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The first that breaks the guarantee.
    First,
    /// It is needed to see that.
    Evidence,
    /// It touches the same key about that time.
    Around,
}

/// A record of a counter-example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its line in the history.
    pub line: Line,
    /// When, nanoseconds.
    pub at: u64,
    /// What it is here.
    pub part: Part,
    /// What it says.
    pub words: String,
}

/// The counter-example, in the order of time.
pub(super) fn example(facts: &Facts<'_>, by_op: &ByOp, violation: &Violation) -> Vec<Shown> {
    let history = facts.history;
    let mut parts: BTreeMap<Line, Part> = BTreeMap::new();
    let mut add = |line: Line, part: Part| {
        let known = parts.entry(line).or_insert(part);
        *known = (*known).min(part);
    };
    add(violation.first, Part::First);
    violation.counter_example.iter().for_each(|line| add(*line, Part::Evidence));
    for line in violation.counter_example.iter().chain([&violation.first]) {
        let Some(op) = history.line(*line).and_then(|record| by_op.of(facts, record)) else { continue };
        both(op).for_each(|line| add(line, Part::Evidence));
    }
    if let Some(first) = history.line(violation.first)
        && let Some(key) = key_of(facts, by_op, first)
    {
        around(facts, first.at, &key).into_iter().flat_map(both).for_each(|line| add(line, Part::Around));
    }
    let shown = |(line, part): (Line, Part)| {
        let record = history.line(line)?;
        Some(Shown { line, at: record.at, part, words: cut(&words::record(record)) })
    };
    let mut shown: Vec<Shown> = parts.into_iter().filter_map(shown).collect();
    // What is only around gives way first.
    while shown.len() > SHOWN_MAX {
        let last = shown.iter().rposition(|it| it.part == Part::Around).unwrap_or(shown.len() - 1);
        shown.remove(last);
    }
    shown.sort_by_key(|it| (it.at, it.line));
    shown
}

/// Places of operations by their ids.
pub(super) struct ByOp(HashMap<u64, usize>);

impl ByOp {
    /// Of a history whose operations are in the order of their invocations, as they are.
    pub(super) fn of_facts(facts: &Facts<'_>) -> Self {
        let asked = facts.history.records().iter().filter_map(|record| match &record.event {
            Event::Invoke(invoke) => Some(invoke.op),
            _ => None,
        });
        ByOp(asked.enumerate().map(|(place, op)| (op, place)).collect())
    }

    fn of<'f, 'h>(&self, facts: &'f Facts<'h>, record: &Record) -> Option<&'f Op<'h>> {
        let op = match &record.event {
            Event::Invoke(it) => it.op,
            Event::Return(it) => it.op,
            _ => return None,
        };
        facts.ops.get(*self.0.get(&op)?)
    }
}

fn both<'o>(op: &'o Op<'_>) -> impl Iterator<Item = Line> + use<'o> {
    [Some(op.invoked.line), op.returned.map(|(mark, _)| mark.line)].into_iter().flatten()
}

/// The key that a record is about.
fn key_of(facts: &Facts<'_>, by_op: &ByOp, record: &Record) -> Option<String> {
    if let Some(op) = by_op.of(facts, record) {
        return first_key(op.request).map(str::to_owned);
    }
    match &record.event {
        Event::Watch(watch) => match &watch.step {
            WatchStep::Events(batch) => batch.events.first().map(|event| event.key().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

fn first_key(request: &Request) -> Option<&str> {
    match request {
        Request::Range(it) => Some(&it.key),
        Request::Put(it) => Some(&it.key),
        Request::Delete(it) => Some(&it.key),
        Request::Txn(it) => {
            let writes = it.success.iter().chain(&it.failure);
            it.compares.first().map(|compare| compare.key.as_str()).or_else(|| writes.filter_map(first_key).next())
        }
        Request::Unlock(it) => Some(&it.key),
        Request::Resign(it) => Some(&it.key),
        _ => None,
    }
}

fn touches(request: &Request, key: &str) -> bool {
    match request {
        Request::Range(it) => covers(&it.key, it.end.as_deref(), key),
        Request::Put(it) => it.key == key,
        Request::Delete(it) => covers(&it.key, it.end.as_deref(), key),
        Request::Txn(it) => it.success.iter().chain(&it.failure).any(|op| touches(op, key)),
        _ => false,
    }
}

/// Operations on a key about a moment: those that had ended, and those that began after it.
fn around<'f, 'h>(facts: &'f Facts<'h>, at: u64, key: &str) -> Vec<&'f Op<'h>> {
    let on_key = || facts.ops.iter().filter(|op| touches(op.request, key));
    let mut before: Vec<&Op<'h>> = on_key().filter(|op| op.shown_at().at < at).collect();
    before.sort_by_key(|op| op.shown_at());
    let kept = before.len().saturating_sub(BEFORE);
    let after = on_key().filter(|op| op.invoked.at > at).take(AFTER);
    before.split_off(kept).into_iter().chain(after).collect()
}

fn cut(words: &str) -> String {
    match words.char_indices().nth(WORDS_MAX) {
        None => words.to_owned(),
        Some((at, _)) => format!("{}…", &words[..at]),
    }
}
