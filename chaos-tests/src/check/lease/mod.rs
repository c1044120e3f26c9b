//! I-30 to I-33: what a lease promises. A file each.

pub(super) mod atomic;
pub(super) mod kept;
pub(super) mod renewal;
pub(super) mod term;

use super::evidence::{Cause, Evidence, Mark, Sort};
use crate::history::{Request, WatchStep};

/// The end of a lease that took keys with it: its revision, and whether a client asked for it.
struct End {
    lease: i64,
    revision: i64,
    asked: bool,
}

/// Every such end that the log tells of.
fn ends(evidence: &Evidence<'_>) -> Vec<End> {
    let end = |(revision, cause): (&i64, &Cause)| match cause.sort {
        Sort::Expire { lease, .. } => Some(End { lease, revision: *revision, asked: false }),
        Sort::Op(at) => match evidence.ops[at].request {
            Request::Revoke(revoke) => Some(End { lease: revoke.lease, revision: *revision, asked: true }),
            _ => None,
        },
        _ => None,
    };
    evidence.settled.causes.iter().filter_map(end).collect()
}

/// The first moment at which anybody was told of a revision, of each revision in ascending order of moments.
fn sightings(evidence: &Evidence<'_>) -> Vec<(Mark, i64)> {
    let mut seen: Vec<(Mark, i64)> =
        evidence.ops.iter().filter_map(|op| op.ok().map(|(mark, answered)| (mark, answered.revision))).collect();
    for run in &evidence.watches {
        seen.extend(run.items.iter().filter_map(|(mark, step)| match step {
            WatchStep::Created(created) => Some((*mark, created.revision)),
            WatchStep::Events(batch) => Some((*mark, batch.events.iter().map(|event| event.revision()).max()?)),
            WatchStep::Progress(progress) => Some((*mark, progress.revision)),
            _ => None,
        }));
    }
    seen.sort_unstable();
    let mut highest = 0;
    seen.retain(|(_, revision)| {
        let higher = *revision > highest;
        highest = highest.max(*revision);
        higher
    });
    seen
}
