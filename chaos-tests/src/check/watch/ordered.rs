//! I-20: the revisions of a watch's events never step back (etcd issue 15271: after a snapshot install they did).

use crate::check::evidence::{Evidence, Mark, Run};
use crate::check::verdict::{Findings, Verdict};

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    evidence.watches.iter().for_each(|run| one(&mut findings, run));
    findings.verdict()
}

/// Holds one watch against it.
pub(super) fn one(findings: &mut Findings, run: &Run<'_>) {
    let mut last: Option<(i64, Mark)> = None;
    for (mark, event) in run.events() {
        findings.judged();
        let revision = event.revision();
        match last {
            Some((before, by)) if revision < before => findings.broken(mark, &[run.opened.line, by.line], || {
                format!("watch {} steps back from revision {before} to {revision} at {:?}", run.watch, event.key())
            }),
            _ => last = Some((revision, mark)),
        }
    }
}
