//! I-21: no (revision, key) twice in a watch, nor in one that goes on for it from behind what it had seen.

use std::collections::HashMap;

use crate::check::evidence::{Evidence, Mark, Run};
use crate::check::verdict::{Findings, Verdict};

/// The events of a chain of watches.
#[derive(Default)]
pub(super) struct Seen<'h> {
    events: HashMap<(i64, &'h str), Mark>,
    highest: i64,
}

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let mut chains: HashMap<u64, Seen<'_>> = HashMap::new();
    for run in &evidence.watches {
        let mut seen = run.open.resumes.and_then(|earlier| chains.remove(&earlier)).unwrap_or_default();
        // One that starts at what has been seen already gets that again, and rightly.
        if run.open.from <= seen.highest {
            seen.events.retain(|(revision, _), _| *revision < run.open.from);
        }
        one(&mut findings, run, &mut seen);
        chains.insert(run.watch, seen);
    }
    findings.verdict()
}

/// Holds one watch against it, with what its chain has seen.
pub(super) fn one<'h>(findings: &mut Findings, run: &Run<'h>, seen: &mut Seen<'h>) {
    for (mark, event) in run.events() {
        findings.judged();
        seen.highest = seen.highest.max(event.revision());
        if let Some(first) = seen.events.insert((event.revision(), event.key()), mark) {
            findings.broken(mark, &[run.opened.line, first.line], || {
                format!("watch {} has the event of {:?} at revision {} twice", run.watch, event.key(), event.revision())
            });
        }
    }
}
