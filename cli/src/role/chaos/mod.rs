//! `fairlead chaos`: break a cluster under load and judge whether it kept its promises.
//!
//! Exit statuses are in [`STATUSES`], which `--help` prints.
//! Does not: know a fault, a scenario or a guarantee; those live in `chaos-tests`.

mod check;
mod doctor;
mod list;
mod minimize;
mod play;
mod report;
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

/// What a script may rely on.
const STATUSES: &str = "\
Exit status:
  0    everything that was judged was kept; of a control: all that is violated is known of that version
  1    a guarantee was violated; of a control: something unknown was, or what must be found was not
  2    the command line is wrong
  3    nothing can be said: a fault without effect, traffic too thin, the harness failed
  4    something that is needed is not there: a target, a right, a tool
  130  Ctrl-C or SIGTERM; nothing is left behind
`check` and `report` end with the verdict of what they judge, the worst of a folder's; `minimize` with 0 when it has found
something smaller, with 3 when the violation did not come again.";

/// Breaks a cluster under load, records what its clients see, and judges it.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUSES)]
pub(crate) struct Chaos {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run scenarios or a profile against a target; each run leaves its history and a report.
    #[command(after_help = STATUSES)]
    Run(run::Args),
    /// Judge a history that a run has left.
    Check(check::Args),
    /// Write the report of a history, or of all in a folder: a page, JUnit and JSON.
    Report(report::Args),
    /// Do a run again from its history: the same faults at the same times, without the seed.
    Replay(run::ReplayArgs),
    /// Find the fewest faults that still bring a violation about, or the fewest records that show it.
    Minimize(minimize::Args),
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
        Command::Report(args) => report::run(args),
        Command::Replay(args) => run::replay(args),
        Command::Minimize(args) => minimize::run(args),
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
