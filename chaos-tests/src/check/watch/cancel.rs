//! I-28: a watch that is over is told so, with the reason.
//!
//! A cancel and a stream that the server ends name a reason; the watches of a member whose process has ended, and those
//! on a connection that a fault F-25 has made silent for long, end within `half_open_ms`.

use crate::check::evidence::{Evidence, Mark, Run};
use crate::check::verdict::{Findings, Verdict};
use crate::history::{CloseCause, MemberStep, WatchStep};

/// The fault that makes a connection silent without an end.
const HALF_OPEN: &str = "F-25";

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let within = evidence.history.header().limits.half_open_ms * 1_000_000;
    for run in &evidence.watches {
        if let Some((mark, step)) = run.ended() {
            findings.judged();
            let silent = match step {
                WatchStep::Canceled(canceled) => canceled.compact_revision == 0 && canceled.reason.is_empty(),
                WatchStep::Closed(closed) => closed.by == CloseCause::Server && closed.reason.is_empty(),
                _ => false,
            };
            if silent {
                findings.broken(mark, &[run.opened.line], || format!("watch {} was ended without a reason", run.watch));
            }
        }
        for (mark, member) in &evidence.members {
            if member.id == run.open.member && matches!(member.step, MemberStep::Ended { .. }) {
                must_end(&mut findings, evidence, run, *mark, within, None);
            }
        }
        for fault in
            evidence.faults.iter().filter(|fault| fault.kind == HALF_OPEN && fault.members.contains(&run.open.member))
        {
            if let Some(applied) = fault.applied.filter(|_| fault.witnessed.is_some()) {
                must_end(&mut findings, evidence, run, applied, within, fault.healed.map(|healed| healed.at));
            }
        }
    }
    findings.verdict()
}

/// A watch that was open when its connection was lost has to end in time, unless the connection came back before.
fn must_end(
    findings: &mut Findings,
    evidence: &Evidence<'_>,
    run: &Run<'_>,
    lost: Mark,
    within: u64,
    back: Option<u64>,
) {
    let ended = run.ended().map(|(mark, _)| mark.at);
    let deadline = lost.at + within;
    if run.opened > lost
        || ended.is_some_and(|ended| ended < lost.at)
        || back.is_some_and(|back| back < deadline)
        || evidence.end < deadline
    {
        return;
    }
    findings.judged();
    if ended.is_none_or(|ended| ended > deadline) {
        findings.broken(run.ended().map_or(lost, |(mark, _)| mark), &[run.opened.line, lost.line], || {
            format!(
                "watch {} was not told within {} ms that member {} was gone",
                run.watch,
                within / 1_000_000,
                run.open.member
            )
        });
    }
}
