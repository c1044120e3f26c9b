//! What a run came to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Error;
use crate::check::{self, InvariantId, Judged};
use crate::history::{Event, History};
use crate::record::Counted;
use crate::report::{Files, Summary};

/// A run's verdict over all guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was judged was kept.
    Pass,
    /// Something could not be judged, or the harness failed.
    Inconclusive,
    /// A guarantee was broken.
    Violated,
}

/// A run that was done.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// The history.
    pub history: PathBuf,
    /// The page, with JUnit and JSON beside it, and what they sum up; a simulated run writes none.
    pub report: Option<Box<(Files, Summary)>>,
    /// What the clients counted.
    pub counted: Counted,
    /// Faults whose effect was seen.
    pub faults: u64,
    /// Why the run proves less than it should: faults that were missed, the harness's own failures.
    pub doubts: Vec<String>,
    /// Whether the members' committed logs are in the history.
    pub logged: bool,
    /// Every guarantee with its verdict.
    pub judged: Vec<Judged>,
}

impl Ran {
    /// Over all guarantees: a violation counts whatever else is in doubt.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let worst = overall(&self.judged, self.logged);
        if self.doubts.is_empty() { worst } else { worst.max(Verdict::Inconclusive) }
    }

    /// The guarantees that were broken.
    pub fn violated(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| judged.verdict.violation().is_some())
    }
}

/// The worst of all guarantees. Where several checkers look at one, each may say that it is broken, and one that could judge
/// is enough: a search that gives up beside one that does not leaves nothing open. Without a log, what needs one is left out.
pub(crate) fn overall(judged: &[Judged], logged: bool) -> Verdict {
    let mut by_guarantee: BTreeMap<InvariantId, Verdict> = BTreeMap::new();
    for it in judged.iter().filter(|it| logged || !it.needs_log()) {
        let verdict = match &it.verdict {
            check::Verdict::Valid { .. } => Verdict::Pass,
            check::Verdict::Unknown { .. } => Verdict::Inconclusive,
            check::Verdict::Invalid(_) => Verdict::Violated,
        };
        let known = by_guarantee.entry(it.invariant).or_insert(verdict);
        *known = match (*known, verdict) {
            (Verdict::Violated, _) | (_, Verdict::Violated) => Verdict::Violated,
            (known, verdict) => known.min(verdict),
        };
    }
    by_guarantee.into_values().max().unwrap_or(Verdict::Inconclusive)
}

/// Reads a history and judges it.
///
/// # Errors
/// When it cannot be read.
pub fn judge_history(path: &Path) -> Result<(History, Vec<Judged>), Error> {
    let opened = File::open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let read = History::read(BufReader::new(opened));
    let history = read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let judged = check::judge(&history);
    Ok((history, judged))
}

/// Judges a history that some run has left: what `fairlead chaos check` shows.
///
/// # Errors
/// When it cannot be read.
pub fn check_file(path: &Path) -> Result<(Verdict, Vec<Judged>), Error> {
    let (history, judged) = judge_history(path)?;
    Ok((overall(&judged, is_logged(&history)), judged))
}

/// Whether members' committed logs are in a history.
pub(crate) fn is_logged(history: &History) -> bool {
    history.records().iter().any(|record| matches!(record.event, Event::Entry(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Violation;

    fn judged(invariant: u8, verdict: check::Verdict) -> Judged {
        Judged { invariant: InvariantId(invariant), checker: "test", verdict }
    }

    #[test]
    fn one_checker_that_judged_is_enough_and_one_that_objects_too() {
        let valid = || check::Verdict::Valid { judged: 1, note: None };
        let unknown = || check::Verdict::Unknown { why: String::new() };
        let broken = Violation { first: 2, counter_example: vec![2], explanation: String::new(), times: 1 };
        let invalid = || check::Verdict::Invalid(Box::new(broken.clone()));
        assert_eq!(overall(&[judged(1, valid()), judged(1, unknown())], true), Verdict::Pass);
        assert_eq!(overall(&[judged(1, unknown()), judged(2, valid())], true), Verdict::Inconclusive);
        assert_eq!(overall(&[judged(1, invalid()), judged(1, valid()), judged(2, unknown())], true), Verdict::Violated);
        assert_eq!(overall(&[], true), Verdict::Inconclusive);
        let needs_log = Judged { checker: "lease term", ..judged(33, unknown()) };
        assert_eq!(overall(&[judged(1, valid()), needs_log.clone()], false), Verdict::Pass);
        assert_eq!(overall(&[judged(1, valid()), needs_log], true), Verdict::Inconclusive);
    }
}
