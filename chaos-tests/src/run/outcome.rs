//! What a run came to.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Error;
use crate::check::{self, Judged};
use crate::history::History;
use crate::record::Counted;

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

/// What only a committed log can show: for a target whose log nobody reads, that it is not known is no doubt.
const NEEDS_LOG: &str = "lease term";

impl Ran {
    /// Over all guarantees: a violation counts whatever else is in doubt.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let worst = overall(self.judged.iter().filter(|judged| self.logged || judged.checker != NEEDS_LOG));
        if self.doubts.is_empty() { worst } else { worst.max(Verdict::Inconclusive) }
    }

    /// The guarantees that were broken.
    pub fn violated(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| judged.verdict.violation().is_some())
    }
}

/// The worst of all verdicts.
fn overall<'j>(judged: impl IntoIterator<Item = &'j Judged>) -> Verdict {
    let verdict = |judged: &Judged| match &judged.verdict {
        check::Verdict::Valid { .. } => Verdict::Pass,
        check::Verdict::Unknown { .. } => Verdict::Inconclusive,
        check::Verdict::Invalid(_) => Verdict::Violated,
    };
    judged.into_iter().map(verdict).max().unwrap_or(Verdict::Inconclusive)
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
    let (_, judged) = judge_history(path)?;
    Ok((overall(&judged), judged))
}
