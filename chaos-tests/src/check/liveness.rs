//! I-12: after the heal a write succeeds within three election timeouts, and all members come to have applied the same.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Mark};
use super::verdict::{Findings, Verdict};
use crate::history::{MemberStep, Phase};

/// Election timeouts that a first write may take.
const ELECTIONS_MAX: u64 = 3;

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let Some(healed) = evidence.phase(Phase::Liveness) else {
        return Verdict::Unknown { why: "the run has no phase `liveness`".to_owned() };
    };
    let limits = &evidence.history.header().limits;
    let mut findings = Findings::default();
    let mut writes = evidence.ops.iter().filter(|op| op.invoked >= healed && op.request.may_write()).peekable();
    let Some(first_asked) = writes.peek().map(|op| op.invoked) else {
        return Verdict::Unknown { why: "nobody wrote after the heal".to_owned() };
    };
    findings.judged();
    let within = ELECTIONS_MAX * limits.election_ms * 1_000_000;
    let success = writes.filter_map(|op| op.ok()).map(|(mark, _)| mark).min();
    match success {
        None => findings.broken(first_asked, &[healed.line], || "no write succeeded after the heal".to_owned()),
        Some(first) if first.at > healed.at + within => {
            findings.broken(first, &[healed.line, first_asked.line], || {
                format!(
                    "the first write succeeded {} ms after the heal, three election timeouts are {} ms",
                    (first.at - healed.at) / 1_000_000,
                    within / 1_000_000
                )
            });
        }
        Some(_) => {}
    }
    match converged(evidence, healed, limits.converge_ms * 1_000_000) {
        Ok(()) => findings.judged(),
        Err(Lag::Unseen(why)) if findings.clean() => return Verdict::Unknown { why },
        Err(Lag::Unseen(_)) => {}
        Err(Lag::Behind(mark, what)) => findings.broken(mark, &[healed.line], || what),
    }
    findings.verdict()
}

enum Lag {
    Unseen(String),
    Behind(Mark, String),
}

/// Whether the last word of every member is of one applied index, and came in time after the traffic stopped.
fn converged(evidence: &Evidence<'_>, healed: Mark, within: u64) -> Result<(), Lag> {
    let mut last: BTreeMap<u64, (Mark, u64)> = BTreeMap::new();
    for (mark, member) in evidence.members.iter().filter(|(mark, _)| *mark >= healed) {
        if let MemberStep::Status { applied, .. } = &member.step {
            last.insert(member.id, (*mark, *applied));
        }
    }
    if let Some(silent) = evidence.history.header().members.iter().find(|member| !last.contains_key(member)) {
        return Err(Lag::Unseen(format!("member {silent} gave no status after the heal")));
    }
    let quiet = evidence.phase(Phase::End).map_or(healed.at, |end| end.at);
    let highest = last.values().map(|(_, applied)| *applied).max().unwrap_or(0);
    match last.iter().find(|(_, (_, applied))| *applied < highest) {
        None => Ok(()),
        Some((member, (mark, applied))) if mark.at >= quiet + within => Err(Lag::Behind(
            *mark,
            format!(
                "member {member} is still at index {applied} of {highest}, {} ms after the traffic stopped",
                (mark.at - quiet) / 1_000_000
            ),
        )),
        Some((member, (_, applied))) => Err(Lag::Unseen(format!(
            "member {member} was last seen at index {applied} of {highest}, and not asked again"
        ))),
    }
}
