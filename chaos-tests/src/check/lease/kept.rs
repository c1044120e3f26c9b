//! I-30: a lease lives at least its TTL after the last acknowledged renewal, and is gone soon after when nobody renews.
//!
//! The renewal happened at the server not before it was asked: a lease that anybody sees to be over earlier than that plus
//! the TTL has expired too early. Seen are: a keys' delete by expiry (through the revision of any answer), a time-to-live
//! of −1, a keep-alive with TTL 0. In the other direction it is judged after the heal only, with an election and slack on
//! top: a member without a leader cannot expire anything.

use std::collections::{BTreeMap, BTreeSet};

use super::{ends, sightings};
use crate::check::evidence::{Evidence, Mark};
use crate::check::verdict::{Findings, Verdict};
use crate::history::{Answer, MemberStep, Phase, Request};

/// A renewal that was acknowledged, or the grant.
struct Renewed {
    asked: Mark,
    told: Mark,
    ttl: i64,
}

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let (renewals, revoked) = renewals(evidence);
    for (lease, over) in seen_over(evidence) {
        if revoked.get(&lease).is_some_and(|asked| *asked < over) {
            continue;
        }
        for renewed in renewals.get(&lease).into_iter().flatten() {
            findings.judged();
            let until = renewed.asked.at + nanos(renewed.ttl);
            if over.at < until && over.at > renewed.told.at {
                findings.broken(over, &[renewed.asked.line, renewed.told.line], || {
                    format!(
                        "lease {lease} is over {} ms after a renewal was asked, its TTL is {} s",
                        (over.at - renewed.asked.at) / 1_000_000,
                        renewed.ttl
                    )
                });
            }
        }
    }
    too_long(&mut findings, evidence, &renewals);
    findings.verdict()
}

fn nanos(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000)
}

/// Acknowledged renewals by lease, and when the lease was first asked to be revoked.
fn renewals(evidence: &Evidence<'_>) -> (BTreeMap<i64, Vec<Renewed>>, BTreeMap<i64, Mark>) {
    let (mut renewals, mut revoked): (BTreeMap<i64, Vec<Renewed>>, BTreeMap<i64, Mark>) =
        (BTreeMap::new(), BTreeMap::new());
    for op in &evidence.ops {
        let (lease, ttl) = match (op.request, op.ok().map(|(_, answered)| &answered.answer)) {
            (Request::Grant(grant), Some(Answer::Granted(granted))) => (grant.lease, granted.ttl),
            (Request::KeepAlive(keep), Some(Answer::KeptAlive(kept))) if kept.ttl > 0 => (keep.lease, kept.ttl),
            (Request::Revoke(revoke), _) => {
                revoked.entry(revoke.lease).or_insert(op.invoked);
                continue;
            }
            _ => continue,
        };
        renewals.entry(lease).or_default().push(Renewed { asked: op.invoked, told: op.shown_at(), ttl });
    }
    (renewals, revoked)
}

/// The moments at which a lease was seen to be over.
fn seen_over(evidence: &Evidence<'_>) -> Vec<(i64, Mark)> {
    let sightings = sightings(evidence);
    let mut over: Vec<(i64, Mark)> = Vec::new();
    for end in ends(evidence).into_iter().filter(|end| !end.asked) {
        // The first that saw this revision or a later one; revisions ascend with moments.
        let first = sightings.partition_point(|(_, revision)| *revision < end.revision);
        over.extend(sightings.get(first).map(|(mark, _)| (end.lease, *mark)));
    }
    for op in &evidence.ops {
        match (op.request, op.ok().map(|(mark, answered)| (mark, &answered.answer))) {
            (Request::TimeToLive(ask), Some((mark, Answer::TimeToLive(left)))) if left.remaining < 0 => {
                over.push((ask.lease, mark))
            }
            (Request::KeepAlive(ask), Some((mark, Answer::KeptAlive(kept)))) if kept.ttl == 0 => {
                over.push((ask.lease, mark))
            }
            _ => {}
        }
    }
    over
}

/// A lease that is seen alive long after its last possible renewal.
fn too_long(findings: &mut Findings, evidence: &Evidence<'_>, renewals: &BTreeMap<i64, Vec<Renewed>>) {
    let Some(healed) = evidence.phase(Phase::Liveness) else { return };
    let limits = &evidence.history.header().limits;
    let unknown: BTreeSet<i64> = evidence
        .ops
        .iter()
        .filter_map(|op| {
            if let Request::KeepAlive(keep) = op.request { Some(keep.lease).filter(|_| op.open()) } else { None }
        })
        .collect();
    let slack = (limits.election_ms + limits.lease_slack_ms) * 1_000_000;
    for op in &evidence.ops {
        let (Request::TimeToLive(ask), Some((mark, answered))) = (op.request, op.ok()) else { continue };
        let Answer::TimeToLive(left) = &answered.answer else { continue };
        if left.remaining < 0 || op.invoked < healed {
            continue;
        }
        let Some(last) = renewals
            .get(&ask.lease)
            .and_then(|all| all.iter().filter(|renewed| renewed.asked < mark).max_by_key(|renewed| renewed.told))
        else {
            continue;
        };
        // A renewal that nobody was told of may come at any time.
        if unknown.contains(&ask.lease) {
            continue;
        }
        // A new leader gives every lease its full TTL again.
        let leader = evidence
            .members
            .iter()
            .filter(|(at, member)| matches!(member.step, MemberStep::Leader { .. }) && *at < mark)
            .map(|(at, _)| at.at)
            .max();
        let since = last.told.at.max(healed.at).max(leader.unwrap_or(0));
        findings.judged();
        if op.invoked.at > since + nanos(last.ttl) + slack {
            findings.broken(mark, &[last.asked.line, last.told.line, healed.line], || {
                format!(
                    "lease {} lives {} ms after its last renewal, its TTL is {} s",
                    ask.lease,
                    (mark.at - last.told.at) / 1_000_000,
                    last.ttl
                )
            });
        }
    }
}
