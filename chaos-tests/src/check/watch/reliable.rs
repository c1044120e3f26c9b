//! I-23: between the first revision a watch is owed and the last it was told of, its events are exactly the replay's.
//!
//! None missing, none invented, each with the key as it was at that revision; the previous value too, where it was asked
//! and is not compacted. Order and repetition are I-20's and I-21's.

use super::told_to;
use crate::check::agree::told_key;
use crate::check::evidence::{Evidence, Mark, Run, Sort};
use crate::check::verdict::{Findings, Verdict};
use crate::history::{KeyValue, Line, WatchEvent, WatchStep};

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    for run in &evidence.watches {
        let (Some(from), Some((to, _))) = (run.from(), told_to(run)) else { continue };
        let mut told: Vec<(i64, Mark, &WatchEvent)> = Vec::new();
        for (mark, event) in run.events() {
            findings.judged();
            told.push((event.revision(), mark, event));
            invented(&mut findings, evidence, run, from, mark, event);
        }
        // In order but for what I-20 tells; of one revision, the first that was told comes first.
        told.sort_by_key(|(revision, mark, _)| (*revision, *mark));
        let mut next = 0;
        for (revision, keys) in evidence.settled.store.changes_from(from).take_while(|(revision, _)| *revision <= to) {
            next += told[next..].partition_point(|(of, ..)| *of < revision);
            let of_revision = told[next..].iter().take_while(|(of, ..)| *of == revision);
            for key in run.owed(&evidence.settled.store, revision, keys) {
                match of_revision.clone().find(|(.., event)| event.key() == key) {
                    Some((_, mark, event)) => faithful(&mut findings, evidence, run, *mark, event),
                    None => missing(&mut findings, evidence, run, revision, key),
                }
            }
        }
    }
    findings.verdict()
}

fn missing(findings: &mut Findings, evidence: &Evidence<'_>, run: &Run<'_>, revision: i64, key: &str) {
    // The record that shows it is the first word of a later revision.
    let after = run.items.iter().find(|(_, step)| match step {
        WatchStep::Events(batch) => batch.events.iter().any(|event| event.revision() > revision),
        WatchStep::Progress(progress) => progress.revision >= revision,
        _ => false,
    });
    let mark = after.map_or(run.opened, |(mark, _)| *mark);
    let mut others = vec![run.opened.line];
    others.extend(writer(evidence, revision));
    findings.broken(mark, &others, || format!("watch {} was never told of {key:?} at revision {revision}", run.watch));
}

fn invented(
    findings: &mut Findings,
    evidence: &Evidence<'_>,
    run: &Run<'_>,
    from: i64,
    mark: Mark,
    event: &WatchEvent,
) {
    let (key, revision, settled) = (event.key(), event.revision(), &evidence.settled);
    let why = if revision < from {
        "is older than what it asked for"
    } else if !run.covers(key) {
        "is outside of its range"
    } else if settled.store.changed_at(revision).iter().any(|changed| changed == key)
        || settled.may_differ(key, revision - 1, revision)
    {
        return;
    } else {
        "never happened"
    };
    findings.broken(mark, &[run.opened.line], || {
        format!("watch {}: the event of {key:?} at revision {revision} {why}", run.watch)
    });
}

fn faithful(findings: &mut Findings, evidence: &Evidence<'_>, run: &Run<'_>, mark: Mark, event: &WatchEvent) {
    let (key, revision, settled) = (event.key(), event.revision(), &evidence.settled);
    let now = if let WatchEvent::Put { kv, .. } = event { Some(kv) } else { None };
    let expected = settled.store.get(key, revision);
    let same_but_versions = |a: Option<&KeyValue>, b: Option<&KeyValue>| match (a, b) {
        (Some(a), Some(b)) => {
            a.value == b.value && a.mod_revision == b.mod_revision && settled.may_differ(key, 0, revision)
        }
        _ => false,
    };
    if now != expected && !same_but_versions(now, expected) {
        findings.broken(
            mark,
            &[run.opened.line].into_iter().chain(writer(evidence, revision)).collect::<Vec<_>>(),
            || {
                format!(
                    "watch {} was told {}, at revision {revision} there is {}",
                    run.watch,
                    told_key(now, key),
                    told_key(expected, key)
                )
            },
        );
    }
    if !run.open.previous {
        return;
    }
    let before = settled.store.get(key, revision - 1);
    let given_up =
        event.previous().is_none() && before.is_some_and(|kv| evidence.compaction_asked(kv.mod_revision, mark.at));
    if event.previous() != before && !given_up && !settled.may_differ(key, 0, revision) {
        findings.broken(mark, &[run.opened.line], || {
            format!(
                "watch {}: before revision {revision} there was {}, it was told {}",
                run.watch,
                told_key(before, key),
                told_key(event.previous(), key)
            )
        });
    }
}

/// The records of who wrote a revision.
fn writer(evidence: &Evidence<'_>, revision: i64) -> Vec<Line> {
    let Some(cause) = evidence.settled.causes.get(&revision) else { return Vec::new() };
    let op = if let Sort::Op(at) = cause.sort { Some(&evidence.ops[at]) } else { None };
    cause.entry.into_iter().chain(op.into_iter().flat_map(|op| [op.invoked.line, op.shown_at().line])).collect()
}
