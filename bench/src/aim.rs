//! What Fairlead promises beside etcd, three members with fsync, in the same run of one load generator.
//!
//! An aim is a bound on the ratio of medians (ours to etcd's) of one figure of one workload, or on our figure itself. One that is
//! missed stays as it is: `docs/performance.md` says why it is missed and what has been tried.

use std::fmt;

use serde::Serialize;

use crate::ratio::Ratio;
use crate::sample::Figure;

/// A bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The ratio is at least this.
    AtLeast(f64),
    /// The ratio is at most this.
    AtMost(f64),
    /// Our figure, whatever etcd's is, is at most this.
    OursAtMost(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::AtLeast(bound) => write!(f, "≥ {bound} ×"),
            Bound::AtMost(bound) => write!(f, "≤ {bound} ×"),
            Bound::OursAtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// Whether an aim is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// Nothing can be said: something was not measured, or a sample proves nothing.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Unknown => "unknown",
        })
    }
}

/// One aim.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Of which workload.
    pub workload: &'static str,
    /// Of which figure.
    pub figure: Figure,
    /// What it is to be.
    pub bound: Bound,
}

impl Aim {
    /// Whether it is reached, by our median and its ratio to etcd's.
    pub fn verdict(&self, ours: Option<f64>, ratio: Option<Ratio>) -> Verdict {
        let ratio = ratio.map(|ratio| ratio.of_medians);
        let met = match self.bound {
            Bound::AtLeast(bound) => ratio.map(|ratio| ratio >= bound),
            Bound::AtMost(bound) => ratio.map(|ratio| ratio <= bound),
            Bound::OursAtMost(bound) => ours.map(|ours| ours <= bound),
        };
        met.map_or(Verdict::Unknown, |met| if met { Verdict::Met } else { Verdict::Missed })
    }
}

const fn at_least(workload: &'static str, figure: Figure, bound: f64) -> Aim {
    Aim { workload, figure, bound: Bound::AtLeast(bound) }
}

const fn at_most(workload: &'static str, figure: Figure, bound: f64) -> Aim {
    Aim { workload, figure, bound: Bound::AtMost(bound) }
}

/// All aims.
pub const AIMS: &[Aim] = &[
    at_most("put-1", Figure::P50, 0.7),
    at_least("put-64", Figure::Rate, 2.0),
    at_most("put-64", Figure::Cpu, 0.45),
    at_most("put-64", Figure::P99, 0.5),
    at_least("put-256", Figure::Rate, 2.0),
    at_most("put-256", Figure::Cpu, 0.45),
    at_most("put-256", Figure::P99, 0.5),
    at_least("get-64", Figure::Rate, 2.0),
    at_most("get-64", Figure::Cpu, 0.4),
    at_least("get-256", Figure::Rate, 2.0),
    at_most("get-256", Figure::Cpu, 0.4),
    at_least("range-reply-1", Figure::Rate, 2.0),
    at_most("range-reply-1", Figure::Cpu, 0.4),
    at_least("range-reply-8", Figure::Rate, 2.0),
    at_most("range-reply-8", Figure::Cpu, 0.4),
    at_least("range-pages-1", Figure::Rate, 2.0),
    at_most("range-pages-1", Figure::Cpu, 0.4),
    at_least("range-pages-8", Figure::Rate, 2.0),
    at_most("range-pages-8", Figure::Cpu, 0.4),
    at_least("watch-1000-flat", Figure::Rate, 2.0),
    at_most("watch-1000-flat", Figure::Cpu, 0.4),
    at_most("watch-1000-flat", Figure::PutP50, 0.35),
    at_least("keep-alive-1000", Figure::Rate, 1.5),
    at_least("kube-mix-64", Figure::Rate, 2.0),
    at_most("kube-mix-64", Figure::P99, 0.5),
    at_most("get-under-puts", Figure::P99, 0.2),
    at_least("put-slow-disk", Figure::Rate, 1.3),
    at_most("footprint", Figure::Memory, 0.4),
    at_most("footprint", Figure::Written, 0.6),
    Aim { workload: "footprint", figure: Figure::Disk, bound: Bound::OursAtMost(1.6) },
    at_most("footprint", Figure::Restart, 0.3),
    at_most("restart-one", Figure::Restart, 0.3),
];

/// The aim for a figure, if there is one.
pub fn find(workload: &str, figure: Figure) -> Option<&'static Aim> {
    AIMS.iter().find(|aim| aim.workload == workload && aim.figure == figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    fn ratio(of_medians: f64) -> Option<Ratio> {
        Some(Ratio { of_medians, least: 0.0, most: 9.0 })
    }

    #[test]
    fn every_aim_is_one_of_a_workload_and_there_is_one_a_figure() {
        for aim in AIMS {
            workload::find(aim.workload).unwrap();
            let same = AIMS.iter().filter(|other| other.workload == aim.workload && other.figure == aim.figure);
            assert_eq!(same.count(), 1, "{} {:?}", aim.workload, aim.figure);
        }
    }

    #[test]
    fn an_aim_is_judged_by_the_ratio_or_by_our_figure() {
        let rate = find("put-64", Figure::Rate).unwrap();
        assert_eq!(rate.verdict(Some(1.0), ratio(2.0)), Verdict::Met);
        assert_eq!(rate.verdict(Some(1.0), ratio(1.99)), Verdict::Missed);
        assert_eq!(rate.verdict(Some(1.0), None), Verdict::Unknown);
        let cpu = find("put-64", Figure::Cpu).unwrap();
        assert_eq!((cpu.verdict(None, ratio(0.45)), cpu.verdict(None, ratio(0.46))), (Verdict::Met, Verdict::Missed));
        let disk = find("footprint", Figure::Disk).unwrap();
        assert_eq!(
            (disk.verdict(Some(1.6), None), disk.verdict(Some(1.7), ratio(0.1))),
            (Verdict::Met, Verdict::Missed)
        );
        assert!(find("put-1", Figure::Rate).is_none());
    }
}
