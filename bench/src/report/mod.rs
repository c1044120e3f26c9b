//! What a run has measured: medians, ratios and verdicts by workload and figure; [`text`] shows it.

pub mod text;

use std::collections::BTreeSet;
use std::fs;

use serde::Serialize;

use crate::aim::{self, Bound, Verdict};
use crate::ratio::{Ratio, median};
use crate::run::Options;
use crate::sample::{Figure, Sample};
use crate::workload::Workload;

/// One repetition on one target.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What it saw.
    Measured(Sample),
    /// Why there is nothing.
    NotMeasured(String),
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Whom.
    pub targets: Vec<TargetNamed>,
    /// How.
    pub options: Sizes,
    /// What came of it.
    pub measured: Vec<Measured>,
}

/// A target's name and version.
#[derive(Clone, Debug, Serialize)]
pub struct TargetNamed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How large and how long a run was.
#[derive(Clone, Debug, Serialize)]
pub struct Sizes {
    /// Members of a cluster.
    pub members: usize,
    /// How often each workload.
    pub repetitions: usize,
    /// How long a repetition counts.
    pub seconds: f64,
    /// Keys where memory, disk or a restart is measured.
    pub keys: u64,
}

impl From<&Options> for Sizes {
    fn from(options: &Options) -> Sizes {
        Sizes {
            members: options.settings.members,
            repetitions: options.repetitions,
            seconds: options.settings.length.as_secs_f64(),
            keys: options.settings.keys,
        }
    }
}

/// Where a run was, and how busy it was there.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processors this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Load average over one minute before the run.
    pub load_before: Option<f64>,
    /// The same after it; the run's own load is in it.
    pub load_after: Option<f64>,
}

impl Machine {
    /// This one, now.
    pub(crate) fn now() -> Machine {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Machine { cores, kernel, load_before: load(), load_after: None }
    }

    pub(crate) fn ended(&mut self) {
        self.load_after = load();
    }
}

fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// All repetitions of one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The workload's name.
    pub workload: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What it counts.
    pub counted: &'static str,
    /// By figure.
    pub rows: Vec<Row>,
    /// By target, by repetition.
    pub outcomes: Vec<Vec<Outcome>>,
}

/// One figure of one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub figure: Figure,
    /// The median of each target.
    pub medians: Vec<Option<f64>>,
    /// The first target's to the last one's.
    pub ratio: Option<Ratio>,
    /// What it is to be, and whether it is.
    pub aim: Option<(Bound, Verdict)>,
}

impl Measured {
    pub(crate) fn new(workload: &Workload, outcomes: Vec<Vec<Outcome>>) -> Measured {
        let mut measured = Measured {
            workload: workload.name,
            about: workload.about,
            counted: workload.counted,
            rows: Vec::new(),
            outcomes,
        };
        let figures: BTreeSet<Figure> = measured.samples().flat_map(|(_, it)| it.figures.keys().copied()).collect();
        measured.rows = figures.into_iter().map(|figure| measured.row(figure)).collect();
        measured
    }

    fn row(&self, figure: Figure) -> Row {
        let values: Vec<Vec<f64>> = self.outcomes.iter().map(|target| values(target, figure)).collect();
        let ratio = match &values[..] {
            [ours, .., theirs] => Ratio::of(ours, theirs),
            _ => None,
        };
        let medians: Vec<_> = values.iter().map(|values| median(values)).collect();
        let verdict = |aim: &aim::Aim| match self.is_valid() && self.outcomes.len() > 1 {
            true => aim.verdict(medians.first().copied().flatten(), ratio),
            false => Verdict::Unknown,
        };
        let aim = aim::find(self.workload, figure).map(|aim| (aim.bound, verdict(aim)));
        Row { figure, medians, ratio, aim }
    }

    /// Samples with the place of their target.
    fn samples(&self) -> impl Iterator<Item = (usize, &Sample)> {
        self.outcomes.iter().enumerate().flat_map(|(at, target)| {
            target.iter().filter_map(move |outcome| match outcome {
                Outcome::Measured(sample) => Some((at, sample)),
                Outcome::NotMeasured(_) => None,
            })
        })
    }

    /// Whether no sample proves nothing.
    pub fn is_valid(&self) -> bool {
        self.samples().all(|(_, sample)| sample.invalid.is_none())
    }

    /// The figure's row.
    pub fn row_of(&self, figure: Figure) -> Option<&Row> {
        self.rows.iter().find(|row| row.figure == figure)
    }

    /// What has to be said beside the figures, with the place of the target, each thing once.
    pub fn notes(&self) -> BTreeSet<(usize, String)> {
        let mut notes = BTreeSet::new();
        for (at, target) in self.outcomes.iter().enumerate() {
            for outcome in target {
                match outcome {
                    Outcome::NotMeasured(why) => {
                        notes.insert((at, format!("not measured: {why}")));
                    }
                    Outcome::Measured(sample) => {
                        if let Some(why) = &sample.invalid {
                            notes.insert((at, format!("INVALID: {why}")));
                        } else if sample.errors > 0 {
                            let said = sample.first_error.as_deref().unwrap_or_default();
                            notes.insert((at, format!("{} errors: {said}", sample.errors)));
                        }
                    }
                }
            }
        }
        notes
    }
}

fn values(target: &[Outcome], figure: Figure) -> Vec<f64> {
    let value = |outcome: &Outcome| match outcome {
        Outcome::Measured(sample) => sample.figures.get(&figure).copied(),
        Outcome::NotMeasured(_) => None,
    };
    target.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    fn sample(rate: f64) -> Sample {
        Sample { operations: 1, ..Sample::default() }.with(Figure::Rate, rate)
    }

    pub(super) fn measured(ours: Vec<Outcome>, theirs: Vec<Outcome>) -> Measured {
        Measured::new(workload::find("put-64").unwrap(), vec![ours, theirs])
    }

    #[test]
    fn a_row_has_medians_their_ratio_and_the_aim() {
        let all = |rates: [f64; 3]| rates.map(|rate| Outcome::Measured(sample(rate))).to_vec();
        let measured = measured(all([30.0, 20.0, 10.0]), all([10.0, 10.0, 5.0]));
        let row = measured.row_of(Figure::Rate).unwrap();
        assert_eq!(row.medians, [Some(20.0), Some(10.0)]);
        assert_eq!(row.ratio, Some(Ratio { of_medians: 2.0, least: 2.0, most: 3.0 }));
        assert_eq!(row.aim, Some((Bound::AtLeast(2.0), Verdict::Met)));
        assert!(measured.is_valid() && measured.notes().is_empty() && measured.row_of(Figure::P50).is_none());
    }

    #[test]
    fn an_invalid_sample_leaves_the_aim_unknown_and_says_why() {
        let mut bad = sample(90.0);
        bad.refuse(|| "it does not sync".to_owned());
        let measured = measured(vec![Outcome::Measured(bad)], vec![Outcome::Measured(sample(1.0))]);
        assert_eq!(measured.row_of(Figure::Rate).unwrap().aim, Some((Bound::AtLeast(2.0), Verdict::Unknown)));
        assert_eq!(measured.notes().into_iter().collect::<Vec<_>>(), [(0, "INVALID: it does not sync".to_owned())]);
    }

    #[test]
    fn what_one_target_cannot_do_is_shown_of_the_other() {
        let measured = measured(vec![Outcome::Measured(sample(7.0))], vec![Outcome::NotMeasured("no".to_owned())]);
        let row = measured.row_of(Figure::Rate).unwrap();
        assert_eq!((&row.medians[..], row.ratio), (&[Some(7.0), None][..], None));
        assert!(measured.notes().contains(&(1, "not measured: no".to_owned())));
    }
}
