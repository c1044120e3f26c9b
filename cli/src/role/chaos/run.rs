//! `fairlead chaos run` and `replay`.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fairlead_chaos_tests::report::{Files, Summary};
use fairlead_chaos_tests::run::target::Candidate;
use fairlead_chaos_tests::run::{self, Error, Plan, Ran, soak};
use fairlead_chaos_tests::scenario::{self, Expected, How, PROFILES, Setting};

use super::play::{Places, play, until_interrupted};
use super::report::index;
use super::{INTERRUPTED, Usage, VIOLATED, say, status};

/// What a soak runs again and again.
const SOAKED: &str = "mixed-long";
/// Whom a run is about unless it is told, and a control.
const OURS: &str = "fairlead";
const CONTROL: &str = "etcd";
/// How often a control scenario may be run until what must be found is found.
const CONTROL_TRIES: u64 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenarios, or one profile: see `fairlead chaos list`; `soak` with --for.
    #[arg(required = true, value_name = "SCENARIO|PROFILE")]
    names: Vec<String>,
    /// Whom: fairlead, etcd, etcd-3.5.1 (fetched from PyPI), or NAME=PATH of a program with etcd's flags; without it
    /// fairlead, and etcd for `control`.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many seeds, one after the other.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    seeds: u64,
    /// How long a soak lasts: 90s, 20m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    length: Option<Duration>,
    /// Where histories go.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep the members' data and logs in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// The history of the run.
    history: PathBuf,
    /// Whom, as for `run`.
    #[arg(long, default_value = "fairlead", value_name = "TARGET")]
    target: String,
    /// Where the new history goes.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep the members' data and logs in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let places = Places::new(args.out.as_deref(), args.keep.as_deref())?;
    let (is_soak, find) = (args.names == ["soak"], |name: &str| Candidate::find(name, &places.cache));
    if is_soak {
        return soak(args, &find(args.target.as_deref().unwrap_or(OURS))?, &places);
    }
    if args.length.is_some() {
        return Err(Usage("--for is for `run soak`".to_owned()).into());
    }
    let (names, is_control) = names(&args.names)?;
    let candidate = find(args.target.as_deref().unwrap_or(if is_control { CONTROL } else { OURS }))?;
    let expected = is_control.then(|| Expected::of(&candidate.version));
    let work = async {
        let (mut worst, mut reports) = (0, Vec::new());
        for seed in args.seed..args.seed + args.seeds {
            for name in &names {
                let status = match &expected {
                    Some(expected) => control(name, seed, &candidate, &places, expected, &mut reports).await,
                    None => one(name, seed, &candidate, &places, &mut reports).await,
                };
                worst = worse(worst, status?);
            }
        }
        match reports.as_slice() {
            [(only, _)] => println!("report: {}", only.html.display()),
            several => println!("report: {}", index(&places.out, several)?.display()),
        }
        Ok(worst)
    };
    until_interrupted(work)?.unwrap_or(Ok(INTERRUPTED))
}

pub(super) fn replay(args: &ReplayArgs) -> anyhow::Result<u8> {
    let places = Places::new(args.out.as_deref(), args.keep.as_deref())?;
    let candidate = Candidate::find(&args.target, &places.cache)?;
    let plan = run::replay_plan(&args.history)?;
    let work = async {
        let (ran, took) = play(&plan, &candidate, &places).await?;
        say::ran(&mut io::stdout().lock(), &ran, took)?;
        Ok(status(ran.verdict()))
    };
    until_interrupted(work)?.unwrap_or(Ok(INTERRUPTED))
}

/// Scenarios, and whether they are a control of a bad target.
fn names(asked: &[String]) -> Result<(Vec<String>, bool), Usage> {
    if let [name] = asked
        && let Some(profile) = PROFILES.iter().find(|profile| profile.name == name)
    {
        return Ok((profile.scenarios.iter().map(|name| (*name).to_owned()).collect(), profile.is_control));
    }
    for name in asked {
        match scenario::find(name).map(|scenario| scenario.how) {
            Some(How::Plan(_)) => {}
            Some(How::Not(reason)) => return Err(Usage(format!("{name} has no plan here: {reason}"))),
            None => return Err(Usage(format!("no scenario {name:?}: `fairlead chaos list` has them all"))),
        }
    }
    Ok((asked.to_vec(), false))
}

fn plan(name: &str, seed: u64, candidate: &Candidate) -> Result<Plan, Error> {
    match scenario::find(name).map(|scenario| scenario.how) {
        Some(How::Plan(plan)) => Ok(plan(&Setting { seed, ours: candidate.is_ours() })),
        _ => Err(Error::Precondition { what: format!("{name} has no plan") }),
    }
}

/// The reports of a command's runs.
type Reports = Vec<(Files, Summary)>;

async fn one(
    name: &str,
    seed: u64,
    candidate: &Candidate,
    places: &Places,
    reports: &mut Reports,
) -> anyhow::Result<u8> {
    let (ran, took) = play(&plan(name, seed, candidate)?, candidate, places).await?;
    say::ran(&mut io::stdout().lock(), &ran, took)?;
    let verdict = ran.verdict();
    reports.extend(ran.report.map(|report| *report));
    Ok(status(verdict))
}

/// A run of a target that is known to be bad: it passes when it violates what it is known to.
async fn control(
    name: &str,
    seed: u64,
    candidate: &Candidate,
    places: &Places,
    expected: &Expected,
    reports: &mut Reports,
) -> anyhow::Result<u8> {
    for again in 0.. {
        let (ran, took) = play(&plan(name, seed + again * 1_000, candidate)?, candidate, places).await?;
        let surprises = expected.surprises(&ran);
        let found = ran.violated().count();
        say::ran(&mut io::stdout().lock(), &ran, took)?;
        let (verdict, mut out) = (ran.verdict(), io::stdout().lock());
        reports.extend(ran.report.map(|report| *report));
        if surprises.is_empty() && found == 0 {
            return Ok(status(verdict));
        }
        if surprises.is_empty() {
            writeln!(out, "expected {name}: what is violated is known of {} {}", candidate.name, candidate.version)?;
            return Ok(0);
        }
        for surprise in &surprises {
            writeln!(out, "SURPRISE {name}: {surprise}")?;
        }
        if !expected.wants(name) || again + 1 >= CONTROL_TRIES {
            return Ok(VIOLATED);
        }
        writeln!(out, "         once more: what it depends on may not have come about")?;
    }
    Ok(VIOLATED)
}

fn soak(args: &Args, candidate: &Candidate, places: &Places) -> anyhow::Result<u8> {
    let Some(length) = args.length else { return Err(Usage("a soak needs --for, as in `--for 1h`".to_owned()).into()) };
    let begun = RefCell::new(Instant::now());
    let one = |seed| async move { play(&plan(SOAKED, seed, candidate)?, candidate, places).await.map(|(ran, _)| ran) };
    let told = |ran: &Ran| {
        let took = begun.replace(Instant::now()).elapsed();
        if let Err(error) = say::ran(&mut io::stdout().lock(), ran, took) {
            tracing::warn!(%error, "nobody reads");
        }
    };
    let Some(soaked) = until_interrupted(soak::soak(args.seed, length, one, told))? else { return Ok(INTERRUPTED) };
    let soaked = soaked?;
    println!(
        "{:8} soak of {} {}: {} s, {} runs, {} operations ({} unknown), {} faults, {} runs to look at, {} MiB of memory at most",
        say::word(soaked.verdict()),
        candidate.name,
        candidate.version,
        soaked.took.as_secs(),
        soaked.runs,
        soaked.operations,
        soaked.unknown,
        soaked.faults,
        soaked.remarkable.len(),
        soaked.memory_mib.map_or("?".to_owned(), |it| it.to_string()),
    );
    Ok(status(soaked.verdict()))
}

/// A violation is worse than not knowing, which is worse than nothing.
fn worse(a: u8, b: u8) -> u8 {
    let rank = |status: u8| match status {
        0 => 0,
        VIOLATED => 2,
        _ => 1,
    };
    if rank(b) > rank(a) { b } else { a }
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    let split = text.len() - text.chars().last().map_or(0, char::len_utf8);
    let seconds = match &text[split..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("a time is a number with s, m or h".to_owned()),
    };
    let count: u64 = text[..split].parse().map_err(|_| "a time is a number with s, m or h".to_owned())?;
    Ok(Duration::from_secs(count * seconds))
}

#[cfg(test)]
mod tests {
    use fairlead_chaos_tests::run::Verdict;

    use super::*;

    #[test]
    fn times_are_seconds_minutes_or_hours() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1h"), Ok(Duration::from_secs(3_600)));
        for wrong in ["", "h", "1", "1d", "-1s"] {
            time(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_violation_outranks_an_unknown_and_an_unknown_a_pass() {
        assert_eq!(worse(worse(0, super::super::INCONCLUSIVE), VIOLATED), VIOLATED);
        assert_eq!(worse(VIOLATED, super::super::INCONCLUSIVE), VIOLATED);
        assert_eq!(status(Verdict::Pass), 0);
    }

    #[test]
    fn a_profile_is_its_scenarios_and_one_without_a_plan_says_why() {
        assert!(names(&["smoke".to_owned()]).unwrap().0.contains(&"S-08".to_owned()));
        assert!(names(&["S-18".to_owned()]).unwrap_err().0.contains("authentication"));
        names(&["S-99".to_owned()]).unwrap_err();
    }
}
