//! Carries out one plan for the commands: the runtime, Ctrl-C, the file names.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use fairlead_chaos_tests::run::target::Candidate;
use fairlead_chaos_tests::run::{self, Options, Plan, Ran};

use super::cache;

/// Where things of a command go.
pub(super) struct Places {
    pub(super) out: PathBuf,
    pub(super) cache: PathBuf,
    pub(super) keep: Option<PathBuf>,
}

impl Places {
    pub(super) fn new(out: Option<&Path>, keep: Option<&Path>) -> anyhow::Result<Places> {
        let cache = cache()?;
        let out = out.map_or_else(|| cache.join("histories"), Path::to_owned);
        Ok(Places { out, cache, keep: keep.map(std::path::absolute).transpose()? })
    }

    pub(super) fn ledgers(&self) -> PathBuf {
        self.cache.join("ledgers")
    }

    fn options(&self, plan: &Plan, candidate: &Candidate) -> Options {
        let name = format!("{}-{}-{}", plan.scenario, candidate.name, plan.seed);
        Options {
            history: self.out.join(format!("{name}.jsonl")),
            ledgers: self.ledgers(),
            argv: std::env::args().skip(1).collect(),
            keep: self.keep.as_ref().map(|keep| keep.join(name)),
        }
    }
}

/// Carries out a plan; its run and how long it took.
pub(super) async fn play(plan: &Plan, candidate: &Candidate, places: &Places) -> Result<(Ran, Duration), run::Error> {
    let begun = Instant::now();
    let ran = run::run(plan, candidate, &places.options(plan, candidate)).await?;
    Ok((ran, begun.elapsed()))
}

/// Runs until it is done or Ctrl-C or SIGTERM comes; `None` for those. What is dropped leaves nothing behind.
pub(crate) fn until_interrupted<T>(work: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            done = work => Ok(Some(done)),
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None).map_err(Into::into),
            _ = terminate.recv() => Ok(None),
        }
    })
}
