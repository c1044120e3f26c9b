//! I-34 and I-35: what a lock or an election promises with fencing tokens, and what it does not promise without.

pub(super) mod fencing;
pub(super) mod overlap;

use super::evidence::{Evidence, Mark, Op};
use crate::history::{Answer, Held, Request};

/// A lock that was acquired, or an election that was won.
struct Holding<'h> {
    name: &'h str,
    lease: i64,
    held: &'h Held,
    asked: Mark,
    since: Mark,
    revision: i64,
}

/// All of them, in the order in which they were asked.
fn holdings<'h>(evidence: &Evidence<'h>) -> Vec<Holding<'h>> {
    let holding = |op: &Op<'h>| {
        let (name, lease) = match op.request {
            Request::Lock(lock) => (lock.name.as_str(), lock.lease),
            Request::Campaign(campaign) => (campaign.name.as_str(), campaign.lease),
            _ => return None,
        };
        let (since, answered) = op.ok()?;
        let Answer::Held(held) = &answered.answer else { return None };
        Some(Holding { name, lease, held, asked: op.invoked, since, revision: answered.revision })
    };
    evidence.ops.iter().filter_map(holding).collect()
}
