//! I-07: after a compaction was acknowledged, nothing below it is served by a linearizable read.
//!
//! That the compacted revision's own tombstone is still seen by a watch from it is I-24's and I-23's.

use super::evidence::Evidence;
use super::verdict::{Findings, Verdict};
use crate::history::Request;

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let mut compactions: Vec<_> = evidence
        .ops
        .iter()
        .filter_map(|op| match op.request {
            Request::Compact(compact) => op.ok().map(|(mark, _)| (mark, compact.revision)),
            _ => None,
        })
        .collect();
    compactions.sort_unstable();
    let (mut next, mut highest) = (0, None);
    for op in &evidence.ops {
        while let Some((mark, revision)) = compactions.get(next).filter(|(mark, _)| mark.at < op.invoked.at) {
            highest = highest.max(Some((*revision, *mark)));
            next += 1;
        }
        let (Request::Range(range), Some((compacted, by))) = (op.request, highest) else { continue };
        let (Some((mark, _)), true) = (op.ok(), range.revision > 0 && !range.serializable) else { continue };
        findings.judged();
        if range.revision < compacted {
            findings.broken(mark, &[by.line, op.invoked.line], || {
                format!("revision {} was served after {compacted} had been compacted", range.revision)
            });
        }
    }
    findings.verdict()
}
