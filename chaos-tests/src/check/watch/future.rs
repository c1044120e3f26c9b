//! I-26: a watch that starts at a future revision is told nothing below it: no event, no progress (etcd issue 20221).

use crate::check::evidence::Evidence;
use crate::check::verdict::{Findings, Verdict};
use crate::history::WatchStep;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    for run in &evidence.watches {
        let Some((_, created)) = run.created().filter(|(_, created)| run.open.from > *created) else { continue };
        findings.judged();
        for (mark, step) in &run.items {
            let early = match step {
                WatchStep::Events(batch) => {
                    batch.events.iter().map(|event| event.revision()).find(|revision| *revision < run.open.from)
                }
                // Progress says that everything up to it was told: nothing is owed up to the one before the start.
                WatchStep::Progress(progress) => Some(progress.revision).filter(|revision| *revision < run.open.from),
                _ => None,
            };
            if let Some(early) = early {
                findings.broken(*mark, &[run.opened.line], || {
                    format!(
                        "watch {} from {} (created at {created}) was told of revision {early}",
                        run.watch, run.open.from
                    )
                });
            }
        }
    }
    findings.verdict()
}
