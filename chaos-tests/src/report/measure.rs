//! Figures of a run: what came of the operations, how long they took, and how both looked while a fault was in force.
//!
//! Time is cut into [`BINS`] equal parts whatever the run's length, so that what is drawn of it has a bound. Latencies are
//! those of answered operations, without locks and elections, which wait for each other. Quantiles are nearest ranks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::{End, Facts, end, is_timed};
use crate::history::Request;

/// Parts of the time.
pub(super) const BINS: usize = 240;

/// After a fault is undone, how far its after-effects are looked for, nanoseconds.
const AFTER: u64 = 5_000_000_000;

/// Operations by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// Done, or refused for a reason of the API.
    pub answered: u64,
    /// Refused for want of service.
    pub refused: u64,
    /// Nobody knows.
    pub unknown: u64,
}

impl Ends {
    fn add(&mut self, end: End) {
        match end {
            End::Answered => self.answered += 1,
            End::Refused => self.refused += 1,
            End::Unknown => self.unknown += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.answered + self.refused + self.unknown
    }
}

/// One part of the time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bin {
    pub(super) ends: Ends,
    /// Nanoseconds; `None` where nothing was answered.
    pub(super) p50: Option<u64>,
    pub(super) p99: Option<u64>,
    /// The lowest and the highest revision of answers.
    pub(super) revisions: Option<(i64, i64)>,
}

/// Operations that were under way while something was in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Band {
    /// What.
    pub name: String,
    /// How they ended.
    pub ends: Ends,
    /// Latencies in milliseconds; `None` where nothing was answered.
    pub p50_ms: Option<f64>,
    /// The slowest in a hundred.
    pub p99_ms: Option<f64>,
    /// The slowest.
    pub max_ms: Option<f64>,
}

/// How long writes stood still around a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// The longest time without a successful write while it was in force, milliseconds.
    pub during_ms: u64,
    /// The same in the five seconds after it was undone.
    pub after_ms: u64,
}

/// All figures.
pub(super) struct Measured {
    pub(super) ends: Ends,
    pub(super) bins: Vec<Bin>,
    pub(super) bands: Vec<Band>,
    /// By the fault's number.
    pub(super) gaps: BTreeMap<u64, Gaps>,
    /// Moments at which a client was told of an older revision than it, or another, had been told of before: (when, revision).
    pub(super) steps_back: Vec<(u64, i64)>,
}

/// Steps back that are marked.
const STEPS_BACK_MAX: usize = 200;

/// The part of the time that a moment is in.
pub(super) fn bin_of(at: u64, end: u64) -> usize {
    let bin = u128::from(at) * BINS as u128 / u128::from(end.max(1));
    usize::try_from(bin).unwrap_or(BINS).min(BINS - 1)
}

impl Measured {
    /// Measures.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let mut ends = Ends::default();
        facts.ops.iter().for_each(|op| ends.add(end(op)));
        Measured { ends, bins: bins(facts), bands: bands(facts), gaps: gaps(facts), steps_back: steps_back(facts) }
    }
}

fn bins(facts: &Facts<'_>) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); BINS];
    let mut latencies: Vec<Vec<u64>> = vec![Vec::new(); BINS];
    for op in &facts.ops {
        let at = bin_of(op.shown_at().at, facts.end);
        bins[at].ends.add(end(op));
        let Some((mark, answered)) = op.ok() else { continue };
        if is_timed(op.request) {
            latencies[at].push(mark.at - op.invoked.at);
        }
        if answered.revision > 0 {
            let known = bins[at].revisions.get_or_insert((answered.revision, answered.revision));
            *known = (known.0.min(answered.revision), known.1.max(answered.revision));
        }
    }
    for (bin, latencies) in bins.iter_mut().zip(&mut latencies) {
        latencies.sort_unstable();
        (bin.p50, bin.p99) = (quantile(latencies, 500), quantile(latencies, 990));
    }
    bins
}

/// The quantile of sorted values, of a thousand.
fn quantile(sorted: &[u64], per_mille: usize) -> Option<u64> {
    let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied()
}

/// Without a fault, under each kind of fault, and under several at once.
fn bands(facts: &Facts<'_>) -> Vec<Band> {
    let mut windows: Vec<(u64, u64, String)> = facts
        .faults
        .iter()
        .filter_map(|fault| facts.window(fault).map(|(from, to)| (from, to, format!("{} {}", fault.kind, fault.name))))
        .collect();
    windows.sort();
    let mut grouped: BTreeMap<&str, (Ends, Vec<u64>)> = BTreeMap::new();
    for op in &facts.ops {
        let (from, to) = (op.invoked.at, op.shown_at().at);
        let met = windows.iter().take_while(|(begun, _, _)| *begun <= to).filter(|(_, healed, _)| *healed >= from);
        let mut kinds: Vec<&str> = met.map(|(_, _, kind)| kind.as_str()).collect();
        if kinds.len() > 1 {
            kinds.push(SEVERAL);
        } else if kinds.is_empty() {
            kinds.push(NONE);
        }
        kinds.sort_unstable();
        kinds.dedup();
        let latency = op.ok().filter(|_| is_timed(op.request)).map(|(mark, _)| mark.at - op.invoked.at);
        for kind in kinds {
            let (ends, latencies) = grouped.entry(kind).or_default();
            ends.add(end(op));
            latencies.extend(latency);
        }
    }
    let band = |(name, (ends, mut latencies)): (&str, (Ends, Vec<u64>))| {
        latencies.sort_unstable();
        let ms = |per_mille| quantile(&latencies, per_mille).map(milliseconds);
        Band { name: name.to_owned(), ends, p50_ms: ms(500), p99_ms: ms(990), max_ms: ms(1_000) }
    };
    grouped.into_iter().map(band).collect()
}

/// The bands that are no fault's; they sort before the faults' ids and behind them.
const NONE: &str = "(no fault)";
const SEVERAL: &str = "several at once";

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn gaps(facts: &Facts<'_>) -> BTreeMap<u64, Gaps> {
    let is_write = |request: &Request| matches!(request, Request::Put(_) | Request::Delete(_) | Request::Txn(_));
    let mut successes: Vec<u64> = facts
        .ops
        .iter()
        .filter(|op| is_write(op.request) && op.request.may_write())
        .filter_map(|op| op.ok().map(|(mark, _)| mark.at))
        .collect();
    successes.sort_unstable();
    let of = |fault: &super::facts::Injected| {
        let (from, to) = facts.window(fault)?;
        let until = to.saturating_add(AFTER).min(facts.traffic_end).max(to);
        let ms = |from, to| longest(&successes, from, to) / 1_000_000;
        Some((fault.number, Gaps { during_ms: ms(from, to), after_ms: ms(to, until) }))
    };
    facts.faults.iter().filter_map(of).collect()
}

/// The longest time without one of the sorted moments between two others.
fn longest(moments: &[u64], from: u64, to: u64) -> u64 {
    let (first, last) = (moments.partition_point(|at| *at < from), moments.partition_point(|at| *at <= to));
    let within = moments.get(first..last).unwrap_or_default();
    let points = || [from].into_iter().chain(within.iter().copied()).chain([to]);
    points().zip(points().skip(1)).map(|(a, b)| b.saturating_sub(a)).max().unwrap_or(0)
}

/// Watches whose events step back, and linearizable answers below one that had been given before they were asked for.
fn steps_back(facts: &Facts<'_>) -> Vec<(u64, i64)> {
    let mut back = Vec::new();
    for run in &facts.watches {
        let mut last = 0;
        for (mark, event) in run.events() {
            if event.revision() < last {
                back.push((mark.at, event.revision()));
            }
            last = last.max(event.revision());
        }
    }
    let mut answers: Vec<(u64, i64)> =
        facts.ops.iter().filter_map(|op| op.ok().map(|(mark, answered)| (mark.at, answered.revision))).collect();
    answers.sort_unstable();
    let mut highest = 0;
    for (_, revision) in &mut answers {
        highest = highest.max(*revision);
        *revision = highest;
    }
    let reads = facts.ops.iter().filter(|op| op.is_linearizable_read() || matches!(op.request, Request::Put(_)));
    for op in reads {
        let Some((mark, answered)) = op.ok() else { continue };
        let before = answers.partition_point(|(at, _)| *at < op.invoked.at);
        let floor = before.checked_sub(1).and_then(|at| answers.get(at)).map_or(0, |(_, revision)| *revision);
        if answered.revision < floor {
            back.push((mark.at, answered.revision));
        }
    }
    back.sort_unstable();
    back.truncate(STEPS_BACK_MAX);
    back
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(
            (quantile(&values, 500), quantile(&values, 990), quantile(&values, 1_000)),
            (Some(50), Some(99), Some(100))
        );
        assert_eq!((quantile(&[7], 500), quantile(&[], 500)), (Some(7), None));
    }

    #[test]
    fn a_gap_counts_from_the_windows_edges() {
        assert_eq!(longest(&[5, 10, 40, 90], 0, 50), 30);
        assert_eq!(longest(&[5, 10], 20, 50), 30);
        assert_eq!(longest(&[], 20, 20), 0);
    }

    #[test]
    fn every_moment_is_in_a_part_of_the_time() {
        assert_eq!((bin_of(0, 1_000), bin_of(999, 1_000), bin_of(1_000, 1_000)), (0, BINS - 1, BINS - 1));
        assert_eq!(bin_of(u64::MAX, 1), BINS - 1);
    }
}
