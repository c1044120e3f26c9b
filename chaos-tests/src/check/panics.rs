//! I-13: no member panics, and none ends that was not told to.

use super::evidence::Evidence;
use super::verdict::{Findings, Verdict};
use crate::history::MemberStep;

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    for (mark, panic) in &evidence.panics {
        findings.judged();
        if !panic.expected {
            findings.broken(*mark, &[], || format!("member {} panicked: {}", panic.member, panic.text));
        }
    }
    for (mark, member) in &evidence.members {
        findings.judged();
        if let MemberStep::Ended { expected: false, status } = &member.step {
            findings.broken(*mark, &[], || format!("member {} ended by itself: {status}", member.id));
        }
    }
    findings.verdict()
}
