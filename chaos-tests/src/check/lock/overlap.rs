//! I-35: for how long two clients both took themselves for the holder. Measured and told, never a violation: a lease can
//! end while its holder is paused, and without the token nothing can stop it.

use std::collections::BTreeMap;

use super::{Holding, holdings};
use crate::check::evidence::{Evidence, Op};
use crate::check::verdict::Verdict;
use crate::history::Request;

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let holdings = holdings(evidence);
    let lets_go: Vec<&Op<'_>> = evidence
        .ops
        .iter()
        .filter(|op| matches!(op.request, Request::Unlock(_) | Request::Resign(_) | Request::Revoke(_)))
        .collect();
    let mut by_name: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for holding in &holdings {
        by_name.entry(holding.name).or_default().push((holding.since.at, given_up(evidence, &lets_go, holding)));
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

/// When a holder began to let go, or the run ended; `lets_go` are all requests that can be that.
fn given_up(evidence: &Evidence<'_>, lets_go: &[&Op<'_>], holding: &Holding<'_>) -> u64 {
    let of_holding = |request: &Request| match request {
        Request::Unlock(unlock) => unlock.key == holding.held.key,
        Request::Resign(resign) => resign.key == holding.held.key,
        Request::Revoke(revoke) => revoke.lease == holding.lease,
        _ => false,
    };
    let first = lets_go.partition_point(|op| op.invoked <= holding.since);
    lets_go[first..].iter().find(|op| of_holding(op.request)).map_or(evidence.end, |op| op.invoked.at)
}
