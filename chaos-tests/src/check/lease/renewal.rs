//! I-32: a lease that was revoked is not renewed (etcd 3.6.5 did), an id in use is not granted again, and what is left only
//! falls between renewals.

use std::collections::BTreeMap;

use crate::check::evidence::{Evidence, Mark};
use crate::check::verdict::{Findings, Verdict};
use crate::history::{Answer, Request};

/// What is known of a lease.
#[derive(Default)]
struct Known {
    granted: Option<Mark>,
    /// The first answer that says it is over.
    over: Option<Mark>,
    /// Whether anybody could have ended it.
    may_be_over: bool,
}

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let over = first_over(evidence);
    let mut known: BTreeMap<i64, Known> = BTreeMap::new();
    for op in &evidence.ops {
        let (lease, answer) = match op.request {
            Request::Grant(grant) => (grant.lease, op.ok()),
            Request::Revoke(revoke) => (revoke.lease, op.ok()),
            Request::KeepAlive(keep) => (keep.lease, op.ok()),
            _ => continue,
        };
        let state = known.entry(lease).or_default();
        state.over = state.over.or_else(|| over.get(&lease).copied());
        let Some((mark, answered)) = answer else {
            state.may_be_over |= matches!(op.request, Request::Revoke(_));
            continue;
        };
        match &answered.answer {
            Answer::Granted(_) => {
                findings.judged();
                let twice =
                    state.granted.filter(|first| *first < op.invoked && state.over.is_none() && !state.may_be_over);
                if let Some(first) = twice {
                    findings.broken(mark, &[first.line, op.invoked.line], || {
                        format!("lease {lease} is granted while it lives")
                    });
                }
                state.granted = Some(mark);
            }
            Answer::KeptAlive(kept) if kept.ttl > 0 => {
                findings.judged();
                if let Some(by) = state.over.filter(|by| *by < op.invoked) {
                    findings.broken(mark, &[by.line, op.invoked.line], || {
                        format!("lease {lease} is renewed after it was over")
                    });
                }
            }
            _ => {}
        }
    }
    falls(&mut findings, evidence);
    findings.verdict()
}

/// When a client was first told that a lease is over.
fn first_over(evidence: &Evidence<'_>) -> BTreeMap<i64, Mark> {
    let mut over: BTreeMap<i64, Mark> = BTreeMap::new();
    for op in &evidence.ops {
        let told = match (op.request, op.ok().map(|(mark, answered)| (mark, &answered.answer))) {
            (Request::Revoke(revoke), Some((mark, _))) => (revoke.lease, mark),
            (Request::TimeToLive(ask), Some((mark, Answer::TimeToLive(left)))) if left.remaining < 0 => {
                (ask.lease, mark)
            }
            (Request::KeepAlive(ask), Some((mark, Answer::KeptAlive(kept)))) if kept.ttl == 0 => (ask.lease, mark),
            _ => continue,
        };
        let first = over.entry(told.0).or_insert(told.1);
        *first = told.1.min(*first);
    }
    over
}

/// What is left of a lease falls from one answer to the next, within one term and without a renewal between.
fn falls(findings: &mut Findings, evidence: &Evidence<'_>) {
    let mut last: BTreeMap<i64, (Mark, u64, i64)> = BTreeMap::new();
    for op in &evidence.ops {
        match op.request {
            // A renewal that is asked may happen at any time from now on, so that the next answer begins anew.
            Request::KeepAlive(keep) => {
                if op.open() {
                    last.insert(keep.lease, (op.invoked, u64::MAX, i64::MAX));
                } else if last.get(&keep.lease).is_none_or(|(_, term, _)| *term != u64::MAX) {
                    last.remove(&keep.lease);
                }
            }
            Request::TimeToLive(ask) => {
                let Some((mark, answered)) = op.ok() else { continue };
                let Answer::TimeToLive(left) = &answered.answer else { continue };
                if let Some((by, _, before)) =
                    last.get(&ask.lease).filter(|(by, term, _)| *term == answered.term && *by < op.invoked)
                {
                    findings.judged();
                    if left.remaining > *before
                        && answered.term != 0
                        && !renewal_overlaps(evidence, ask.lease, *by, mark)
                    {
                        findings.broken(mark, &[by.line], || {
                            format!(
                                "lease {} has {} s left, {before} s before, and nobody renewed it",
                                ask.lease, left.remaining
                            )
                        });
                    }
                }
                if last.get(&ask.lease).is_none_or(|(_, term, _)| *term != u64::MAX) {
                    last.insert(ask.lease, (mark, answered.term, left.remaining));
                }
            }
            _ => {}
        }
    }
}

/// Whether any renewal or grant of a lease could have happened between two answers.
fn renewal_overlaps(evidence: &Evidence<'_>, lease: i64, from: Mark, to: Mark) -> bool {
    evidence.ops.iter().any(|op| {
        let renews = match op.request {
            Request::KeepAlive(keep) => keep.lease == lease,
            Request::Grant(grant) => grant.lease == lease,
            _ => false,
        };
        // The answer before may have been made well before it came: the operation's own span is not known here.
        renews && op.invoked < to && (op.open() || op.shown_at().at + SPAN > from.at)
    })
}

/// How long an answer may have been on its way, nanoseconds.
const SPAN: u64 = 5_000_000_000;
