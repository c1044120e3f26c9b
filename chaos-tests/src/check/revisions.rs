//! I-02: a revision belongs to one request, never steps back for anybody in real time, and is never above the true one.

use super::evidence::{Disagreement, Evidence};
use super::revision_order::is_ordered;
use super::verdict::{Findings, Verdict};

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let settled = &evidence.settled;
    let mut findings = Findings::default();
    for contradiction in &settled.contradictions {
        if matches!(contradiction.how, Disagreement::SharedRevision | Disagreement::Revision) {
            findings.broken(contradiction.mark, &contradiction.others, || contradiction.what.clone());
        }
    }
    for (op, floor) in evidence.ops.iter().zip(&settled.floors) {
        let Some((mark, answered)) = op.ok() else { continue };
        findings.judged();
        if settled.exact && answered.revision > settled.store.revision() {
            let highest = settled.store.revision();
            findings.broken(mark, &[op.invoked.line], || {
                format!("answered at revision {}, but the log ends at {highest}", answered.revision)
            });
        }
        let wrote = answered.answer.changed_keys();
        if is_ordered(op) && (answered.revision < *floor || wrote && answered.revision == *floor) {
            findings.broken(mark, &[op.invoked.line], || {
                format!("the revision steps back from {floor} to {}", answered.revision)
            });
        }
    }
    findings.verdict()
}
