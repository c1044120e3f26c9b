//! A soak: runs one after another until the time is over, with bounded memory and disk.
//!
//! Each run is a new cluster from an empty store under the next seed, judged by itself: a history never grows beyond one
//! run's, and the report says what memory the whole came to. Those that pass are removed; the first that does not is kept,
//! and the others like it.

use std::time::Duration;

use tokio::time::Instant;

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
    /// How long all of it took.
    pub took: Duration,
    /// The most memory that this process had at once, MiB; `None` where the kernel does not say.
    pub memory_mib: Option<u64>,
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
    let (begun, mut soaked) = (Instant::now(), Soaked::default());
    let until = begun + length;
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
            Verdict::Pass => remove(&ran)?,
            Verdict::Inconclusive => soaked.remarkable.push(ran),
            Verdict::Violated => {
                soaked.remarkable.push(ran);
                break;
            }
        }
    }
    (soaked.took, soaked.memory_mib) = (begun.elapsed(), memory_mib());
    Ok(soaked)
}

/// The peak of this process's resident memory (proc(5): VmHWM).
fn memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.div_ceil(1_024))
}

/// Removes what a run has written.
fn remove(ran: &Ran) -> Result<(), Error> {
    let reported = ran.report.iter().flat_map(|report| report.0.all());
    for path in reported.chain([ran.history.as_path()]) {
        std::fs::remove_file(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{InvariantId, Judged, Verdict as Word, Violation};
    use crate::model::generate;
    use crate::report::{self, Files};

    /// A run that came to this, with its files.
    fn ran(folder: &std::path::Path, seed: u64, word: Word) -> Ran {
        let history = folder.join(format!("{seed}.jsonl"));
        let made = generate::generate(&generate::Plan { ops: 20, ..generate::Plan::mixed(seed) });
        made.write(std::fs::File::create(&history).unwrap()).unwrap();
        let judged = vec![Judged { invariant: InvariantId(1), checker: "test", verdict: word }];
        let report = Files::beside(&history);
        let summary = report::write(&report, &history, &made, &judged).unwrap();
        let counted = Counted { succeeded: 10, failed: 2, unknown: 1 };
        Ran {
            scenario: "mixed-long".to_owned(),
            seed,
            history,
            report: Some(Box::new((report, summary))),
            counted,
            faults: 3,
            doubts: Vec::new(),
            logged: true,
            judged,
        }
    }

    /// A soak of runs of ten minutes, each with the verdict of its seed.
    async fn soaked(hours: u64, word: impl Fn(u64) -> Word) -> (Soaked, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let one = |seed| {
            let ran = ran(folder.path(), seed, word(seed));
            async move {
                tokio::time::sleep(Duration::from_secs(600)).await;
                Ok(ran)
            }
        };
        let soaked = soak(1, Duration::from_secs(3_600 * hours), one, |_| {}).await.unwrap();
        let left = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<String> = left.collect();
        left.sort();
        (soaked, left)
    }

    fn kept() -> Word {
        Word::Valid { judged: 1, note: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_runs_that_pass_leaves_figures_and_no_files() {
        let (soaked, left) = soaked(1, |_| kept()).await;
        assert_eq!((soaked.runs, soaked.faults, soaked.operations, soaked.unknown), (6, 18, 78, 6));
        assert_eq!((soaked.verdict(), soaked.took), (Verdict::Pass, Duration::from_secs(3_600)));
        assert_eq!(left, Vec::<String>::new());
        assert!(soaked.memory_mib.is_some_and(|it| it > 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_violation_ends_it_and_is_kept_with_its_report() {
        let broken = Violation { first: 2, counter_example: vec![2], explanation: String::new(), times: 1 };
        let word = |seed| if seed == 3 { Word::Invalid(Box::new(broken.clone())) } else { kept() };
        let (soaked, left) = soaked(1, word).await;
        assert_eq!((soaked.runs, soaked.verdict()), (3, Verdict::Violated));
        assert_eq!(left, ["3.html", "3.json", "3.jsonl", "3.xml"]);
    }

    #[tokio::test(start_paused = true)]
    async fn runs_that_say_nothing_are_kept_up_to_a_bound_which_ends_it() {
        let (soaked, left) = soaked(10, |_| Word::Unknown { why: "thin".to_owned() }).await;
        assert_eq!((soaked.runs, soaked.verdict()), (REMARKABLE_MAX as u64, Verdict::Inconclusive));
        assert_eq!(left.len(), 4 * REMARKABLE_MAX);
    }
}
