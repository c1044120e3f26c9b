//! I-06: a read at an old revision shows exactly the state at it; it is refused only when the revision is compacted, or
//! has not been yet.

use super::agree::{Agreement, read_agreement};
use super::evidence::Evidence;
use super::verdict::{Findings, Verdict};
use crate::history::{Code, Request};

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let settled = &evidence.settled;
    let mut findings = Findings::default();
    for (at, op) in evidence.ops.iter().enumerate() {
        let Request::Range(range) = op.request else { continue };
        if range.revision <= 0 {
            continue;
        }
        if let Some((mark, answered)) = op.ok() {
            findings.judged();
            if range.revision > answered.revision {
                findings.broken(mark, &[op.invoked.line], || {
                    format!("revision {} was served at revision {}", range.revision, answered.revision)
                });
                continue;
            }
            if let Agreement::Differs(how) = read_agreement(settled, op.request, range.revision, &answered.answer) {
                findings.broken(mark, &[op.invoked.line], || how);
            }
        }
        if let Some((mark, failure)) = op.refused() {
            findings.judged();
            let wrong = match failure.code {
                Code::Compacted => !evidence.compaction_asked(range.revision, mark.at),
                Code::FutureRevision => !range.serializable && range.revision <= settled.floors[at],
                _ => false,
            };
            if wrong {
                let what = if failure.code == Code::Compacted {
                    "compacted, which nobody asked for"
                } else {
                    "in the future, though it had been answered before"
                };
                findings
                    .broken(mark, &[op.invoked.line], || format!("revision {} is said to be {what}", range.revision));
            }
        }
    }
    findings.verdict()
}
