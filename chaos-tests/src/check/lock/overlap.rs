//! I-35: for how long two clients both took themselves for the holder. Measured and told, never a violation: a lease can
//! end while its holder is paused, and without the token nothing can stop it.

use std::collections::BTreeMap;

use super::{Holding, holdings};
use crate::check::evidence::Evidence;
use crate::check::verdict::Verdict;
use crate::history::Request;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let holdings = holdings(evidence);
    let mut by_name: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for holding in &holdings {
        by_name.entry(holding.name).or_default().push((holding.since.at, given_up(evidence, holding)));
    }
    let mut overlaps: Vec<u64> = Vec::new();
    for spans in by_name.values_mut() {
        spans.sort_unstable();
        let mut until = 0;
        for (from, to) in spans {
            overlaps.extend(u64::checked_sub(until.min(*to), *from).filter(|overlap| *overlap > 0));
            until = until.max(*to);
        }
    }
    let total: u64 = overlaps.iter().sum();
    let longest = overlaps.iter().max().copied().unwrap_or(0);
    let note =
        format!("{} overlaps, {} ms in all, the longest {} ms", overlaps.len(), total / 1_000_000, longest / 1_000_000);
    Verdict::Valid { judged: holdings.len() as u64, note: Some(note) }
}

/// When a holder began to let go, or the run ended.
fn given_up(evidence: &Evidence<'_>, holding: &Holding<'_>) -> u64 {
    let lets_go = |request: &Request| match request {
        Request::Unlock(unlock) => unlock.key == holding.held.key,
        Request::Resign(resign) => resign.key == holding.held.key,
        Request::Revoke(revoke) => revoke.lease == holding.lease,
        _ => false,
    };
    let after = evidence.ops.iter().filter(|op| op.invoked > holding.since && lets_go(op.request));
    after.map(|op| op.invoked.at).min().unwrap_or(evidence.end)
}
