//! I-08: serializable reads of one client at one member never step back, and show only what is committed.

use std::collections::HashMap;

use super::agree::{Agreement, read_agreement};
use super::evidence::{Evidence, Mark};
use super::verdict::{Findings, Verdict};
use crate::history::Request;

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let settled = &evidence.settled;
    let mut findings = Findings::default();
    let mut last: HashMap<(u64, u64), (i64, Mark)> = HashMap::new();
    for op in &evidence.ops {
        let Request::Range(range) = op.request else { continue };
        let Some((mark, answered)) = op.ok().filter(|_| range.serializable) else { continue };
        findings.judged();
        let (before, by) = *last.get(&(op.client, op.member)).unwrap_or(&(0, mark));
        if answered.revision < before {
            findings.broken(mark, &[by.line, op.invoked.line], || {
                format!(
                    "member {} steps back from revision {before} to {} for client {}",
                    op.member, answered.revision, op.client
                )
            });
        }
        last.insert((op.client, op.member), (answered.revision, mark));
        if range.revision > 0 {
            continue;
        }
        if settled.exact && answered.revision > settled.store.revision() {
            findings.broken(mark, &[op.invoked.line], || format!("revision {} was never committed", answered.revision));
            continue;
        }
        if let Agreement::Differs(how) = read_agreement(settled, op.request, answered.revision, &answered.answer) {
            findings.broken(mark, &[op.invoked.line], || how);
        }
    }
    findings.verdict()
}
