//! I-24: a watch from a revision begins with the first change of its range at or after it; or it is cancelled, because the
//! revision is compacted, with the compacted revision. (Silence is I-27's.)

use super::told_to;
use crate::check::evidence::{Evidence, Run};
use crate::check::verdict::{Findings, Verdict};
use crate::history::WatchStep;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    for run in &evidence.watches {
        if run.open.from > 0 {
            begins(&mut findings, evidence, run);
        }
        for (mark, step) in &run.items {
            let WatchStep::Canceled(canceled) = step else { continue };
            if canceled.compact_revision == 0 {
                continue;
            }
            findings.judged();
            let next = run.from().unwrap_or(run.open.from).max(told_to(run).map_or(0, |(to, _)| to + 1));
            let asked = evidence.compaction_asked(canceled.compact_revision - 1, mark.at);
            if canceled.compact_revision <= next || !asked {
                let why = if asked { format!("it was at {next}") } else { "nobody had compacted that".to_owned() };
                findings.broken(*mark, &[run.opened.line], || {
                    format!(
                        "watch {} was cancelled as compacted at {}, but {why}",
                        run.watch, canceled.compact_revision
                    )
                });
            }
        }
    }
    findings.verdict()
}

fn begins(findings: &mut Findings, evidence: &Evidence<'_>, run: &Run<'_>) {
    let store = &evidence.settled.store;
    let Some((mark, first)) = run.events().next() else { return };
    findings.judged();
    let owed =
        store.changes_from(run.open.from).find(|(revision, keys)| run.owed(store, *revision, keys).next().is_some());
    let expected = owed.map(|(revision, _)| revision);
    if expected.is_some_and(|expected| expected < first.revision()) || first.revision() < run.open.from {
        findings.broken(mark, &[run.opened.line], || {
            let expected = expected.map_or("nothing".to_owned(), |revision| revision.to_string());
            format!(
                "watch {} from revision {} begins at {}, the first change of its range is at {expected}",
                run.watch,
                run.open.from,
                first.revision()
            )
        });
    }
}
