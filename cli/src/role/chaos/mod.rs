//! `fairlead chaos`: break a cluster under load and judge whether it kept its promises.
//!
//! Exit status: 0 everything was kept, 1 something was violated, 2 the command line is wrong, 3 nothing can be said
//! (a fault without effect, traffic too thin, the harness failed), 4 something that is needed is not there.
//! Does not: know a fault, a scenario or a guarantee; those live in `chaos-tests`.

mod check;
mod doctor;
mod list;
mod play;
mod run;
mod say;

pub(crate) use play::until_interrupted;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use fairlead_chaos_tests::run::{Error, Verdict};

const VIOLATED: u8 = 1;
const USAGE: u8 = 2;
const INCONCLUSIVE: u8 = 3;
const PRECONDITION: u8 = 4;
/// What a shell reports for a process that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Breaks a cluster under load, records what its clients see, and judges it.
#[derive(Debug, clap::Args)]
pub(crate) struct Chaos {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run scenarios or a profile against a target.
    Run(run::Args),
    /// Judge a history that a run has left.
    Check(check::Args),
    /// Do a run again from its history: the same faults at the same times, without the seed.
    Replay(run::ReplayArgs),
    /// List scenarios, profiles, guarantees or faults.
    List(list::Args),
    /// Try what this machine can do; with --undo, undo what killed runs have left.
    Doctor(doctor::Args),
}

/// Runs the role.
pub(crate) fn run(chaos: &Chaos) -> ExitCode {
    let done = match &chaos.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Replay(args) => run::replay(args),
        Command::List(args) => list::run(args),
        Command::Doctor(args) => doctor::run(args),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        eprintln!("fairlead chaos: {error:#}");
        match error.downcast_ref::<Error>() {
            Some(Error::Precondition { .. }) => PRECONDITION,
            Some(_) => INCONCLUSIVE,
            None => error.downcast_ref::<Usage>().map_or(INCONCLUSIVE, |_| USAGE),
        }
    }))
}

/// A command line that clap cannot know to be wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Inconclusive => INCONCLUSIVE,
        Verdict::Violated => VIOLATED,
    }
}

/// Where histories, ledgers and fetched targets are unless told otherwise: `$XDG_CACHE_HOME/fairlead/chaos`.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.filter(|path| path.is_absolute()).or_else(home);
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set; use --out")?.join("fairlead/chaos"))
}
