//! I-27: when writes stop, each open watch is told everything within `watch_ms`.
//!
//! Writes stop with phase `end`. What is owed is every change of its range up to the highest revision answered before that.

use super::told_to;
use crate::check::evidence::{Evidence, Mark, Run};
use crate::check::verdict::{Findings, Verdict};
use crate::history::Phase;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let open: Vec<&Run<'_>> =
        evidence.watches.iter().filter(|run| run.created().is_some() && run.ended().is_none()).collect();
    let mut findings = Findings::default();
    if open.is_empty() {
        return findings.verdict();
    }
    let Some(quiet) = evidence.phase(Phase::End) else {
        return Verdict::Unknown { why: "the run has no phase `end`, so that writes never stopped".to_owned() };
    };
    let within = evidence.history.header().limits.watch_ms * 1_000_000;
    let last = evidence
        .ops
        .iter()
        .filter_map(|op| op.ok())
        .filter(|(mark, _)| *mark < quiet)
        .map(|(_, answered)| answered.revision)
        .max();
    let mut unseen = None;
    for run in open {
        let Some(owed) = last_owed(evidence, run, last.unwrap_or(0)) else { continue };
        findings.judged();
        let told = told_to(run).map_or(0, |(to, _)| to);
        let deadline = run.created().map_or(quiet.at, |(created, _)| created.at.max(quiet.at)) + within;
        if told < owed && evidence.end >= deadline {
            let mark = run.items.last().map_or(run.opened, |(mark, _)| *mark);
            findings.broken(mark, &[run.opened.line, quiet.line], || {
                format!(
                    "watch {} was told up to revision {told} only; {owed} was owed {} ms after the writes had stopped",
                    run.watch,
                    within / 1_000_000
                )
            });
        } else if told < owed {
            unseen = Some(format!(
                "watch {} was at revision {told} of {owed} when the run ended, {} ms after the writes",
                run.watch,
                (evidence.end - quiet.at) / 1_000_000
            ));
        } else if let Some(late) = reached(run, owed).filter(|mark| mark.at > deadline) {
            findings.broken(late, &[run.opened.line, quiet.line], || {
                format!(
                    "watch {} came to revision {owed} {} ms after the writes had stopped",
                    run.watch,
                    (late.at - quiet.at) / 1_000_000
                )
            });
        }
    }
    match unseen {
        Some(why) if findings.clean() => Verdict::Unknown { why },
        _ => findings.verdict(),
    }
}

/// The last revision up to `last` that the watch is owed an event of.
fn last_owed(evidence: &Evidence<'_>, run: &Run<'_>, last: i64) -> Option<i64> {
    let store = &evidence.settled.store;
    let changes = store.changes_from(run.from()?).take_while(|(revision, _)| *revision <= last);
    changes
        .filter(|(revision, keys)| run.owed(store, *revision, keys).next().is_some())
        .map(|(revision, _)| revision)
        .last()
}

/// The record that told of a revision, or of a later one.
fn reached(run: &Run<'_>, revision: i64) -> Option<Mark> {
    run.events().find(|(_, event)| event.revision() >= revision).map(|(mark, _)| mark)
}
