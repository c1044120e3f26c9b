//! I-25: a progress notification at r comes after every event ≤ r, and r is a revision that there is.

use crate::check::evidence::{Evidence, Mark, Sort};
use crate::check::verdict::{Findings, Verdict};
use crate::history::WatchStep;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    for run in &evidence.watches {
        let mut bookmark: Option<(i64, Mark)> = None;
        let mut last: Option<(i64, Mark)> = None;
        for (mark, step) in &run.items {
            match step {
                WatchStep::Progress(progress) => {
                    findings.judged();
                    let revision = progress.revision;
                    if let Some((event, by)) = last.filter(|(event, _)| *event > revision) {
                        findings.broken(*mark, &[by.line], || {
                            format!("watch {}: progress at {revision} after an event at {event}", run.watch)
                        });
                    }
                    if let Some(what) = not_there(evidence, revision, *mark) {
                        findings.broken(*mark, &[run.opened.line], || {
                            format!("watch {}: progress at revision {revision}, {what}", run.watch)
                        });
                    }
                    bookmark = bookmark.max(Some((revision, *mark)));
                }
                WatchStep::Events(batch) => {
                    for event in &batch.events {
                        if let Some((revision, by)) = bookmark.filter(|(revision, _)| event.revision() <= *revision) {
                            findings.broken(*mark, &[run.opened.line, by.line], || {
                                format!(
                                    "watch {}: an event at {} of {:?} after progress at {revision}",
                                    run.watch,
                                    event.revision(),
                                    event.key()
                                )
                            });
                        }
                        last = last.max(Some((event.revision(), *mark)));
                    }
                }
                _ => {}
            }
        }
    }
    findings.verdict()
}

/// Why a revision cannot have been there at a moment.
fn not_there(evidence: &Evidence<'_>, revision: i64, mark: Mark) -> Option<String> {
    let settled = &evidence.settled;
    let last = settled.store.revision();
    if settled.exact && revision > last {
        return Some(format!("but the log ends at {last}"));
    }
    let Sort::Op(writer) = settled.causes.get(&revision)?.sort else { return None };
    (evidence.ops[writer].invoked > mark).then(|| "which was asked for only later".to_owned())
}
