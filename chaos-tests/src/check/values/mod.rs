//! I-01 by values: some order of the operations, which keeps real time, explains every value that was read. Trusts no
//! revision.
//!
//! Linearizability is local (Herlihy and Wing, 1990, theorem 1): each key is searched by itself, and keys that transactions
//! join are searched together, up to [`KEYS_MAX`]; a transaction over more is looked at from each side. A compare by mod
//! revision is read as one by the value that was shown under it. The search is [`search`]'s, which holds the operations that
//! overlap now, and gives up on a set of keys where that grows beyond its bounds; too much given up makes the verdict
//! unknown. Left out: keys with leases and of locks (they vanish without an operation), reads of old revisions,
//! serializable reads, ranges over more than [`RANGE_KEYS_MAX`] keys.

mod search;
mod steps;

use super::evidence::Evidence;
use super::verdict::{Findings, Verdict};

/// Keys that are searched together, at most.
const KEYS_MAX: usize = 8;

/// Keys of a range read that is looked at.
const RANGE_KEYS_MAX: usize = 16;

/// Of 1000 operations, how many may be given up for a verdict to stand.
const GIVEN_UP_PER_MILLE_MAX: u64 = 100;

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let (mut judged, mut given_up) = (0u64, 0u64);
    let groups = steps::groups(evidence);
    let number = groups.len();
    for group in groups {
        let found = search::search(&group.steps);
        judged += found.judged;
        given_up += group.steps.len() as u64 - found.judged;
        (0..found.judged).for_each(|_| findings.judged());
        if let Some(broken) = found.broken {
            let op = &evidence.ops[group.steps[broken.step].op];
            let lines: Vec<u32> = broken
                .around
                .iter()
                .flat_map(|step| {
                    let op = &evidence.ops[group.steps[*step].op];
                    [op.invoked.line, op.shown_at().line]
                })
                .chain([op.invoked.line])
                .collect();
            findings.broken(op.shown_at(), &lines, || {
                format!("no order of the operations on {} explains this answer", group.keys.join(", "))
            });
        }
    }
    if findings.clean() && given_up * 1000 > (judged + given_up) * GIVEN_UP_PER_MILLE_MAX {
        return Verdict::Unknown {
            why: format!("{given_up} of {} operations overlap too much to be searched", judged + given_up),
        };
    }
    findings.verdict_with(Some(format!("{number} sets of keys, {given_up} operations given up")))
}
