//! `fairlead chaos minimize`: the fewest faults that still bring a violation about, or the fewest records that still show it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use fairlead_chaos_tests::check::Judged;
use fairlead_chaos_tests::history::History;
use fairlead_chaos_tests::report::{self, Files};
use fairlead_chaos_tests::run::minimize::{Bounds, Minimized, minimize};
use fairlead_chaos_tests::run::target::Candidate;
use fairlead_chaos_tests::run::{self, Options, Plan};
use fairlead_chaos_tests::shrink::shrink;

use super::play::{Places, until_interrupted};
use super::report::histories;
use super::{INCONCLUSIVE, INTERRUPTED, Usage, run::time};

/// What a smaller history is called: the ending of what it was made of gives way to it.
const SMALLER: &str = "min.jsonl";
/// What is being tried.
const TRIED: &str = "try.jsonl";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The history of a run that violated, or a folder that holds one.
    #[arg(value_name = "HISTORY|DIR")]
    path: PathBuf,
    /// Cut the history itself down, by its checker; runs nothing.
    #[arg(long)]
    history: bool,
    /// Which guarantee, such as I-20; the one that was broken first without it.
    #[arg(long, value_name = "ID")]
    guarantee: Option<String>,
    /// Whom to run, as for `run`; the history's target without it.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Runs in all, at most.
    #[arg(long, default_value_t = 40, value_name = "COUNT")]
    runs: u64,
    /// No run begins, and no history is judged, after this: 90s, 20m, 1h.
    #[arg(long = "for", default_value = "30m", value_name = "TIME", value_parser = time)]
    length: Duration,
    /// Runs of one schedule until it counts as one that does not violate.
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    tries: u64,
    /// Where the smaller history goes; beside the other without it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let (path, history, broken) = find(args)?;
    println!("{} is broken: {}", broken.invariant, broken.verdict);
    let folder = args.out.clone().or_else(|| path.parent().map(Path::to_owned)).unwrap_or_default();
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = |ending: &str| folder.join(format!("{stem}.{ending}"));
    if args.history { records(args, &history, &broken, &name(SMALLER)) } else { schedule(args, &path, &broken, &name) }
}

/// The history that is meant, and what it breaks.
fn find(args: &Args) -> anyhow::Result<(PathBuf, History, Judged)> {
    let candidates = if args.path.is_dir() { histories(&args.path)? } else { vec![args.path.clone()] };
    let mut found = Vec::new();
    for path in candidates.into_iter().filter(|path| !path.to_string_lossy().ends_with(SMALLER)) {
        let (history, judged) = run::judge_history(&path)?;
        let mut broken: Vec<Judged> = judged.into_iter().filter(|it| it.verdict.violation().is_some()).collect();
        if let Some(wanted) = &args.guarantee {
            broken.retain(|it| it.invariant.to_string().eq_ignore_ascii_case(wanted));
        }
        let at = |it: &Judged| it.verdict.violation().and_then(|it| history.line(it.first)).map(|record| record.at);
        if let Some(first) = broken.into_iter().min_by_key(at) {
            found.push((path, history, first));
        }
    }
    let names: Vec<String> = found.iter().map(|(path, ..)| path.display().to_string()).collect();
    let mut found = found.into_iter();
    match (found.next(), names.as_slice()) {
        (Some(only), [_]) => Ok(only),
        (_, []) => {
            let what = args.guarantee.as_deref().unwrap_or("a guarantee");
            Err(Usage(format!("nothing in {} violates {what}", args.path.display())).into())
        }
        (_, several) => Err(Usage(format!("say which of them: {}", several.join(", "))).into()),
    }
}

/// Cuts a history down.
fn records(args: &Args, history: &History, broken: &Judged, to: &Path) -> anyhow::Result<u8> {
    let until = Instant::now() + args.length;
    let small = shrink(history, broken, || Instant::now() < until);
    write(&small.history, to)?;
    println!(
        "{} of {} records show it{}; {} judgements",
        small.history.records().len(),
        history.records().len(),
        if small.complete { "" } else { ", and there was no time to try fewer" },
        small.judgements
    );
    report_of(to)?;
    Ok(0)
}

fn write(history: &History, to: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(to).with_context(|| to.display().to_string())?);
    history.write(&mut file)?;
    Ok(file.flush()?)
}

/// Judges and reports a history that has its last name.
fn report_of(path: &Path) -> anyhow::Result<()> {
    let (history, judged) = run::judge_history(path)?;
    let files = Files::beside(path);
    report::write(&files, path, &history, &judged)?;
    println!("history: {}\nreport:  {}", path.display(), files.html.display());
    Ok(())
}

/// Searches for a smaller schedule, a run for each question.
fn schedule(args: &Args, path: &Path, broken: &Judged, name: &dyn Fn(&str) -> PathBuf) -> anyhow::Result<u8> {
    let plan = run::replay_plan(path)?;
    let places = Places::new(None, None)?;
    let target = match &args.target {
        Some(target) => target.clone(),
        None => run::judge_history(path)?.0.header().target.clone(),
    };
    let candidate = Candidate::find(&target, &places.cache)?;
    let (tried, smaller) = (name(TRIED), name(SMALLER));
    let bounds = Bounds { runs_max: args.runs, tries: args.tries, length: args.length };
    let one = |plan: Plan| {
        let (candidate, tried, smaller, ledgers) = (&candidate, tried.clone(), smaller.clone(), places.ledgers());
        async move {
            let argv = std::env::args().skip(1).collect();
            let options = Options { history: tried.clone(), ledgers, argv, keep: None };
            let ran = run::run(&plan, candidate, &options).await?;
            let still = ran.violated().any(|it| it.invariant == broken.invariant);
            println!("{} {}", if still { "violates:" } else { "does not: " }, told(&plan));
            if still {
                fs::rename(&tried, &smaller).map_err(|source| run::Error::File { path: smaller.clone(), source })?;
            }
            Ok(still)
        }
    };
    let done = until_interrupted(minimize(plan, bounds, one))?;
    for left in Files::beside(&tried).all().into_iter().chain([tried.as_path()]) {
        if left.exists() {
            fs::remove_file(left).with_context(|| left.display().to_string())?;
        }
    }
    let Some(done) = done else { return Ok(INTERRUPTED) };
    let Minimized { smallest, runs, complete } = done?;
    let Some(smallest) = smallest else {
        println!("{} was not violated again in {runs} runs of the whole schedule", broken.invariant);
        return Ok(INCONCLUSIVE);
    };
    println!("after {runs} runs{}: {}", if complete { "" } else { ", as many as were allowed" }, told(&smallest));
    report_of(&smaller)?;
    Ok(0)
}

/// A plan in a line.
fn told(plan: &Plan) -> String {
    let clients: u32 = plan.crowds.iter().map(|crowd| crowd.clients).sum();
    let faults: Vec<String> = plan
        .schedule
        .iter()
        .map(|it| format!("#{} {} at {} for {} ms", it.number, it.fault.id(), it.at_ms, it.for_ms))
        .collect();
    let faults = if faults.is_empty() { "no faults".to_owned() } else { faults.join(", ") };
    format!("{clients} clients, {} ms, {faults}", plan.safety_ms)
}
