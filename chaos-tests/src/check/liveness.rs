//! I-12: after the heal a write succeeds within three election timeouts, and all members come to have applied the same; a
//! member that was cut off and comes back does not cost the others their leader (chaos catalogue S-20).

use std::collections::BTreeMap;

use super::evidence::{Evidence, Injected, Mark};
use super::verdict::{Findings, Verdict};
use crate::history::{Member, MemberStep, Phase};

/// Election timeouts that a first write may take.
const ELECTIONS_MAX: u64 = 3;
/// A symmetric partition.
const PARTITION: &str = "F-20";
/// How long before and after a partition nothing else may have happened, nanoseconds.
const RETURN_NS: u64 = 1_500_000_000;

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
    returns(evidence, &mut findings);
    match converged(evidence, healed, limits.converge_ms * 1_000_000) {
        Ok(()) => findings.judged(),
        Err(Lag::Unseen(why)) if findings.clean() => return Verdict::Unknown { why },
        Err(Lag::Unseen(_)) => {}
        Err(Lag::Behind(mark, what)) => findings.broken(mark, &[healed.line], || what),
    }
    findings.verdict()
}

/// Whether a member that was cut off by itself, and did not lead, has cost the others their leader when it came back.
fn returns(evidence: &Evidence<'_>, findings: &mut Findings) {
    let most = evidence.history.header().limits.return_gap_ms * 1_000_000;
    for (fault, applied, healed) in evidence.faults.iter().filter_map(alone(evidence)).filter(|_| most > 0) {
        let leader =
            |(mark, member): &&(Mark, &Member)| *mark < applied && matches!(member.step, MemberStep::Leader { .. });
        let led = evidence.members.iter().rev().find(leader).map(|(_, member)| member.id);
        if led.is_none_or(|led| fault.members.contains(&led)) {
            continue;
        }
        findings.judged();
        let until = healed.at + RETURN_NS;
        let writes = evidence.ops.iter().filter(|op| op.request.may_write()).filter_map(|op| op.ok());
        let mut at: Vec<u64> = writes.map(|(mark, _)| mark.at).filter(|at| (healed.at..until).contains(at)).collect();
        at.extend([healed.at, until]);
        at.sort_unstable();
        let gap = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        if gap > most {
            findings.broken(healed, &[applied.line], || {
                let (id, gap) = (fault.id, gap / 1_000_000);
                format!("no write succeeded for {gap} ms when the member that fault {id} had cut off came back")
            });
        }
    }
}

/// A partition of one member that was in force and undone, with no other fault near it.
fn alone<'e, 'h>(evidence: &'e Evidence<'h>) -> impl Fn(&'e Injected<'h>) -> Option<(&'e Injected<'h>, Mark, Mark)> {
    move |fault| {
        let (applied, healed) = (fault.applied?, fault.healed?);
        let (from, to) = (applied.at.saturating_sub(RETURN_NS), healed.at + RETURN_NS);
        let near = |other: &&Injected<'_>| {
            let begins = other.applied.map_or(u64::MAX, |mark| mark.at);
            let ends = other.healed.map_or(u64::MAX, |mark| mark.at);
            other.id != fault.id && begins < to && ends > from
        };
        let is_alone =
            fault.kind == PARTITION && fault.members.len() == 1 && !evidence.faults.iter().any(|it| near(&it));
        (is_alone && to < evidence.phase(Phase::End)?.at).then_some((fault, applied, healed))
    }
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
