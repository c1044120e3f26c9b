//! Coverage: whether the run has exercised what it planned. If not, nothing it says is worth a pass.
//!
//! A fault that was planned has to have been in force, seen to have an effect, and undone; traffic before the faults and
//! after them has to reach the floors of the header's limits; and what the harness itself failed at is no coverage. What is
//! missing makes the run unknown, not invalid.

use super::evidence::{Evidence, Injected};
use super::verdict::{Findings, Verdict};
use crate::history::{Phase, WatchStep};

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut missing: Vec<String> = evidence.faults.iter().filter_map(unexercised).collect();
    missing.extend(evidence.doubts.iter().map(|why| format!("the harness: {why}")));
    missing.extend([Phase::WarmUp, Phase::Liveness].into_iter().filter_map(|phase| too_thin(evidence, phase)));
    missing.extend(watches_without_events(evidence));
    if !missing.is_empty() {
        return Verdict::Unknown { why: missing.join("; ") };
    }
    let mut findings = Findings::default();
    evidence.faults.iter().for_each(|_| findings.judged());
    findings.verdict_with(Some(format!(
        "{} faults, {} operations, {} watches",
        evidence.faults.len(),
        evidence.ops.len(),
        evidence.watches.len()
    )))
}

fn unexercised(fault: &Injected<'_>) -> Option<String> {
    let what = if fault.planned.is_none() {
        "was not in the plan".to_owned()
    } else if let Some(why) = fault.missed {
        format!("was not exercised: {why}")
    } else if fault.applied.is_none() {
        "was never in force".to_owned()
    } else if fault.witnessed.is_none() {
        "had no effect that was seen".to_owned()
    } else if fault.healed.is_none() {
        "was not undone".to_owned()
    } else {
        return None;
    };
    Some(format!("fault {} ({}) {what}", fault.id, fault.kind))
}

fn too_thin(evidence: &Evidence<'_>, phase: Phase) -> Option<String> {
    let floor = evidence.history.header().limits.rate_floor;
    if floor == 0 {
        return None;
    }
    let (Some(from), Some(to)) = (evidence.phase(phase), evidence.phase_end(phase)) else {
        return Some(format!("there was no phase {phase:?}"));
    };
    let done = evidence.ops.iter().filter_map(|op| op.ok()).filter(|(mark, _)| (from.at..to).contains(&mark.at)).count()
        as u64;
    let rate = done * 1_000_000_000 / (to - from.at).max(1);
    (rate < floor).then(|| format!("{rate} operations a second in phase {phase:?}, the floor is {floor}"))
}

fn watches_without_events(evidence: &Evidence<'_>) -> Option<String> {
    let floor = evidence.history.header().limits.watch_floor_percent;
    let all = evidence.watches.len() as u64;
    let with = evidence
        .watches
        .iter()
        .filter(|run| run.items.iter().any(|(_, step)| matches!(step, WatchStep::Events(_))))
        .count() as u64;
    (with * 100 < all * floor).then(|| format!("{with} of {all} watches had an event, the floor is {floor} %"))
}
