//! I-10 and I-11: an operation takes effect once at most, whether its client was told or not.
//!
//! Seen in the log (more of a request than clients have asked), or in what is shown (one put's value at two revisions).

use super::evidence::{Disagreement, Evidence};
use super::verdict::{Findings, Verdict};

/// I-10: a timeout is not a failure, and no excuse for a second effect.
pub(super) fn unknown(evidence: &Evidence<'_>) -> Verdict {
    once(evidence, Disagreement::TwiceUnknown, true)
}

/// I-11: nothing between client and log sends a write again that took effect.
pub(super) fn acknowledged(evidence: &Evidence<'_>) -> Verdict {
    once(evidence, Disagreement::TwiceAcknowledged, false)
}

fn once(evidence: &Evidence<'_>, how: Disagreement, open: bool) -> Verdict {
    let mut findings = Findings::default();
    for op in evidence.ops.iter().filter(|op| op.request.may_write() && op.open() == open) {
        if open || op.ok().is_some() {
            findings.judged();
        }
    }
    for contradiction in evidence.settled.contradictions.iter().filter(|it| it.how == how) {
        findings.broken(contradiction.mark, &contradiction.others, || contradiction.what.clone());
    }
    findings.verdict()
}
