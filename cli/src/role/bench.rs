//! `fairlead bench`: ours and a real etcd in turn, in one run.
//!
//! Exit status: 0 everything was measured and proves something, 1 a sample is invalid, 2 the command line is wrong, 3 the run
//! failed, 4 a target is not there. An aim that is missed is a result and not a failure.
//! Does not: measure; that is `fairlead_bench`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use fairlead_bench::report::text;
use fairlead_bench::run::{self, Options};
use fairlead_bench::target::Target;
use fairlead_bench::workload::{self, Settings};
use fairlead_bench::{Error, report::Report};

use super::chaos::{cache, until_interrupted};

const INVALID: u8 = 1;
const USAGE: u8 = 2;
const FAILED: u8 = 3;
const PRECONDITION: u8 = 4;
/// What a shell reports for a process that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Measures Fairlead beside a real etcd: the same clients, both in turn, three members each.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whom: fairlead, etcd, etcd-3.5.1 (fetched from PyPI), NAME=PATH of a program with etcd's flags, or
    /// NAME=URL,URL@PID,PID of members that run. The first is compared with the last.
    #[arg(long = "target", value_name = "TARGET", default_values = ["fairlead", "etcd"])]
    targets: Vec<String>,
    /// Only these workloads, or those whose names begin so; see --list.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each workload is measured on each target.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    repetitions: u16,
    /// How long a repetition counts.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Members of each target.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    members: u8,
    /// Keys where memory, disk or a restart is measured.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    keys: u64,
    /// Write everything that was measured, repetition by repetition, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table as Markdown to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// List the workloads and the aims, and run nothing.
    #[arg(long)]
    list: bool,
}

/// Runs the role.
pub(crate) fn run(args: &Args) -> ExitCode {
    let done = if args.list { list() } else { measure(args) };
    ExitCode::from(done.unwrap_or_else(|error| {
        eprintln!("fairlead bench: {error:#}");
        match error.downcast_ref::<Error>() {
            Some(Error::Target { .. } | Error::Workload { .. }) => USAGE,
            Some(Error::Candidate(_)) => PRECONDITION,
            _ => FAILED,
        }
    }))
}

fn list() -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    for workload in workload::ALL {
        writeln!(out, "{:22} {}", workload.name, workload.about)?;
        for aim in fairlead_bench::aim::AIMS.iter().filter(|aim| aim.workload == workload.name) {
            writeln!(out, "{:22}   aim: {} {}", "", aim.figure.label(workload.counted), aim.bound)?;
        }
    }
    Ok(0)
}

fn measure(args: &Args) -> anyhow::Result<u8> {
    let cache = cache()?;
    let targets = args.targets.iter().map(|text| Target::find(text, &cache)).collect::<Result<Vec<_>, _>>()?;
    let options = Options {
        targets,
        workloads: workload::chosen(&args.only)?,
        repetitions: usize::from(args.repetitions),
        settings: Settings {
            length: Duration::from_secs_f64(args.seconds),
            members: usize::from(args.members),
            keys: args.keys,
        },
    };
    let names: Vec<_> = options.targets.iter().map(|target| target.name().to_owned()).collect();
    let work = run::run(&options, |measured| {
        let shown = writeln!(io::stdout().lock(), "{}", text::workload(measured, &names));
        if let Err(error) = shown {
            tracing::warn!(%error, "nobody reads");
        }
    });
    let Some(report) = until_interrupted(work)? else { return Ok(INTERRUPTED) };
    finish(args, &report?)
}

fn finish(args: &Args, report: &Report) -> anyhow::Result<u8> {
    write!(io::stdout().lock(), "{}{}", text::heading(report), text::tally(report))?;
    let write =
        |path: &PathBuf, text: String| std::fs::write(path, text).with_context(|| format!("write {}", path.display()));
    if let Some(path) = &args.json {
        write(path, serde_json::to_string_pretty(report)?)?;
    }
    if let Some(path) = &args.markdown {
        write(path, text::markdown(report))?;
    }
    Ok(if report.measured.iter().all(|measured| measured.is_valid()) { 0 } else { INVALID })
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 60".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_has_a_sane_length() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for wrong in ["0", "61", "NaN", "x"] {
            seconds(wrong).unwrap_err();
        }
    }
}
