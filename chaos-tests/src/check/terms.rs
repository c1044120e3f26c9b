//! I-47: a member's term never steps back, over restarts and power cuts neither: a vote that it has forgotten it could give
//! again.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Mark};
use super::verdict::{Findings, Verdict};
use crate::history::MemberStep;

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let mut highest: BTreeMap<u64, (u64, Mark)> = BTreeMap::new();
    for (mark, member) in &evidence.members {
        let MemberStep::Status { term, .. } = &member.step else { continue };
        findings.judged();
        let (known, when) = highest.entry(member.id).or_insert((*term, *mark));
        if term < known {
            findings.broken(*mark, &[when.line], || {
                format!("member {} is in term {term}, and has been in term {known}", member.id)
            });
        } else {
            (*known, *when) = (*term, *mark);
        }
    }
    findings.verdict()
}
