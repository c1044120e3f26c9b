//! I-22: all events of a revision come in one response, unless the client allowed fragments; then up to the last fragment.

use crate::check::evidence::{Evidence, Mark};
use crate::check::verdict::{Findings, Verdict};
use crate::history::WatchStep;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    for run in &evidence.watches {
        let mut last: Option<(i64, bool, Mark)> = None;
        for (mark, step) in &run.items {
            let WatchStep::Events(batch) = step else { continue };
            findings.judged();
            let (Some(first), Some(end)) = (batch.events.first(), batch.events.last()) else { continue };
            if let Some((before, fragment, by)) = last
                && before == first.revision()
                && !(fragment && run.open.fragment)
            {
                findings.broken(*mark, &[run.opened.line, by.line], || {
                    format!("watch {} has revision {before} in two responses", run.watch)
                });
            }
            last = Some((end.revision(), batch.fragment, *mark));
        }
    }
    findings.verdict()
}
