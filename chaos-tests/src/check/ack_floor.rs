//! I-05: while a quorum's syncs are delayed, no write is acknowledged faster than that.
//!
//! A fault F-56 with `delay_ms` holds each fdatasync of its members. A write that was asked after it was in force and
//! answered before it was healed needs a quorum's syncs, so at least the smallest delay that some quorum can do with (etcd
//! issue 14370). Works on any store, without its source.

use super::evidence::{Evidence, Injected, Op};
use super::verdict::{Findings, Verdict};
use crate::history::Request;

/// The fault that delays syncs.
const SLOW_SYNC: &str = "F-56";

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let slow: Vec<&Injected<'_>> =
        evidence.faults.iter().filter(|fault| fault.kind == SLOW_SYNC && fault.witnessed.is_some()).collect();
    let members = &evidence.history.header().members;
    let mut findings = Findings::default();
    for op in
        evidence.ops.iter().filter(|op| matches!(op.request, Request::Put(_) | Request::Delete(_) | Request::Txn(_)))
    {
        let Some((mark, answered)) = op.ok().filter(|(_, answered)| answered.answer.changed_keys()) else { continue };
        let in_force: Vec<&&Injected<'_>> = slow.iter().filter(|fault| spans(fault, op, mark.at)).collect();
        let mut delays: Vec<u64> = members.iter().map(|member| delay_of(*member, &in_force)).collect();
        delays.sort_unstable();
        // The fastest quorum: its slowest member decides.
        let floor = delays.get(members.len() / 2).copied().unwrap_or(0);
        if floor == 0 {
            continue;
        }
        findings.judged();
        let took = mark.at - op.invoked.at;
        if took < floor {
            let mut others = vec![op.invoked.line];
            others.extend(
                in_force.iter().flat_map(|fault| [fault.applied, fault.witnessed]).flatten().map(|mark| mark.line),
            );
            findings.broken(mark, &others, || {
                format!(
                    "acknowledged at revision {} after {} ms, while every quorum's syncs took {} ms",
                    answered.revision,
                    took / 1_000_000,
                    floor / 1_000_000
                )
            });
        }
    }
    findings.verdict()
}

/// Whether a fault was in force for the whole of an operation.
fn spans(fault: &Injected<'_>, op: &Op<'_>, returned: u64) -> bool {
    fault.applied.is_some_and(|applied| applied.at < op.invoked.at)
        && fault.healed.is_none_or(|healed| healed.at > returned)
}

/// How long a member's syncs are held, nanoseconds.
fn delay_of(member: u64, in_force: &[&&Injected<'_>]) -> u64 {
    let delays =
        in_force.iter().filter(|fault| fault.members.contains(&member)).filter_map(|fault| fault.figure("delay_ms"));
    u64::try_from(delays.max().unwrap_or(0)).unwrap_or(0) * 1_000_000
}
