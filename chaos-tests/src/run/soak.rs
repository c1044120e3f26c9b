//! A soak: runs one after another until the time is over, with bounded memory and disk.
//!
//! Each run is a new cluster from an empty store under the next seed, judged by itself: a history never grows beyond one
//! run's. Those that pass are removed; the first that does not is kept, and the others like it.

use std::time::{Duration, Instant};

use super::{Error, Ran, Verdict};
use crate::record::Counted;

/// What a soak has come to.
#[derive(Clone, Debug, Default)]
pub struct Soaked {
    /// Runs that were done.
    pub runs: u64,
    /// Faults in them.
    pub faults: u64,
    /// Operations in them.
    pub operations: u64,
    /// Those without an answer.
    pub unknown: u64,
    /// Runs that did not pass.
    pub remarkable: Vec<Ran>,
}

impl Soaked {
    /// The worst of all runs.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.remarkable.iter().map(Ran::verdict).max().unwrap_or(Verdict::Pass)
    }
}

/// Histories of runs that did not pass, at most; a violation ends the soak.
const REMARKABLE_MAX: usize = 10;

/// Runs `one` with seeds from `first` on until `length` is over, a guarantee is broken, or too many runs say nothing.
///
/// # Errors
/// When a run could not be done.
pub async fn soak<F>(
    first: u64,
    length: Duration,
    mut one: impl FnMut(u64) -> F,
    mut told: impl FnMut(&Ran),
) -> Result<Soaked, Error>
where
    F: Future<Output = Result<Ran, Error>>,
{
    let (until, mut soaked) = (Instant::now() + length, Soaked::default());
    for seed in first.. {
        if Instant::now() >= until || soaked.remarkable.len() >= REMARKABLE_MAX {
            break;
        }
        let ran = one(seed).await?;
        let Counted { unknown, .. } = ran.counted;
        soaked.runs += 1;
        soaked.faults += ran.faults;
        soaked.operations += ran.counted.all();
        soaked.unknown += unknown;
        told(&ran);
        match ran.verdict() {
            Verdict::Pass => std::fs::remove_file(&ran.history)
                .map_err(|source| Error::File { path: ran.history.clone(), source })?,
            Verdict::Inconclusive => soaked.remarkable.push(ran),
            Verdict::Violated => {
                soaked.remarkable.push(ran);
                break;
            }
        }
    }
    Ok(soaked)
}
