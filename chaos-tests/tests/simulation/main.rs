//! Simulated runs: ten seeds of 20,000 steps here, two thousand for `make proof`, and every seed that once failed.
//!
//! A seed that fails says how to repeat it; `FAIRLEAD_SEEDS=17` or `17..20` chooses seeds, and `FAIRLEAD_KEEP=folder` keeps
//! their histories for `fairlead chaos check`. A failure that was understood becomes a file in `seeds/`: its whole plan, so that
//! it stays what it was when plans are drawn otherwise.

mod planted;

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fairlead_chaos_tests::run::{Ran, Verdict};
use fairlead_chaos_tests::simulation::{Plan, STEPS, run};
use serde::Deserialize;
use tempfile::TempDir;

const SEEDS_TEST: Range<u64> = 1..11;
const SEEDS_PROOF: Range<u64> = 1..2_001;
/// Long enough for elections, snapshots, cuts of power and what comes after them.
const TWICE_STEPS: u64 = 8_000;

/// Where histories go.
enum Folder {
    Kept(PathBuf),
    Gone(TempDir),
}

impl Folder {
    fn new() -> Folder {
        match std::env::var_os("FAIRLEAD_KEEP") {
            Some(folder) => {
                fs::create_dir_all(&folder).expect("FAIRLEAD_KEEP is a folder that can be made");
                Folder::Kept(folder.into())
            }
            None => Folder::Gone(tempfile::tempdir().expect("a folder")),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        let folder = match self {
            Folder::Kept(folder) => folder.as_path(),
            Folder::Gone(folder) => folder.path(),
        };
        folder.join(format!("{name}.jsonl"))
    }
}

fn seeds() -> Range<u64> {
    let number =
        |text: &str| text.trim().parse::<u64>().expect("FAIRLEAD_SEEDS is a seed, or two with .. between them");
    match std::env::var("FAIRLEAD_SEEDS") {
        Ok(wanted) => match wanted.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => number(&wanted)..number(&wanted) + 1,
        },
        Err(_) if std::env::var_os("FAIRLEAD_PROOF").is_some() => SEEDS_PROOF,
        Err(_) => SEEDS_TEST,
    }
}

/// What is wrong with a run; nothing where all is well.
fn complaint(ran: &Ran) -> Option<String> {
    if ran.verdict() == Verdict::Pass {
        return None;
    }
    let bad = ran.judged.iter().filter(|judged| !judged.verdict.is_valid());
    let bad = bad.map(|judged| format!("{} {}: {}", judged.invariant, judged.checker, judged.verdict));
    Some(ran.doubts.iter().cloned().chain(bad).collect::<Vec<_>>().join("\n    "))
}

#[test]
fn one_seed_gives_one_history_byte_for_byte() {
    let folder = Folder::new();
    let history = |name: &str| {
        let ran = run(&Plan::of(1, TWICE_STEPS), &folder.file(name)).expect("it runs");
        assert!(ran.counted.succeeded > 100, "it is not idle: {:?}", ran.counted);
        fs::read(&ran.history).expect("it was written")
    };
    let (one, other) = (history("once"), history("again"));
    let differs = one.split(|byte| *byte == b'\n').zip(other.split(|byte| *byte == b'\n')).position(|(a, b)| a != b);
    assert!(one == other, "two runs of a seed differ, first in line {:?}", differs.map(|line| line + 1));
}

#[test]
fn every_seed_keeps_all_promises() {
    let (folder, seeds, begun) = (Folder::new(), seeds(), Instant::now());
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let (mut failed, mut operations, mut faults) = (Vec::new(), 0, 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (failed, operations, faults);
            }
            let file = folder.file(&format!("seed-{seed}"));
            let wrong = match run(&Plan::of(seed, STEPS), &file) {
                Ok(ran) => {
                    (operations, faults) = (operations + ran.counted.all(), faults + ran.faults);
                    complaint(&ran)
                }
                Err(error) => Some(format!("it could not be run: {error:#}")),
            };
            if let Folder::Gone(_) = folder {
                // Two thousand of them would fill a disk.
                fs::remove_file(&file).ok();
            }
            if let Some(wrong) = wrong {
                println!(
                    "simulation: seed {seed} fails; FAIRLEAD_SEEDS={seed} FAIRLEAD_KEEP=/tmp/seeds make test TEST=every_seed\n    {wrong}"
                );
                failed.push(seed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).collect::<Vec<_>>()
    });
    let failed: Vec<u64> = done.iter().flat_map(|(failed, ..)| failed.iter().copied()).collect();
    let (operations, faults): (u64, u64) = done.iter().fold((0, 0), |sum, it| (sum.0 + it.1, sum.1 + it.2));
    println!(
        "simulation: {} seeds × {STEPS} steps, {} failed, {operations} operations, {faults} faults, {:.0} s on {threads} threads",
        seeds.end - seeds.start,
        failed.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(failed.is_empty(), "seeds that failed: {failed:?}; see above how to repeat them");
}

/// A file in `seeds/`.
#[derive(Deserialize)]
struct Once {
    /// What was wrong, and what mended it.
    why: String,
    plan: Plan,
}

#[test]
fn every_seed_that_once_failed_passes() {
    let folder = Folder::new();
    let files = fs::read_dir("seeds").expect("the folder is there");
    let files = files.map(|entry| entry.expect("an entry").path());
    for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let name = file.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let once: Once =
            serde_json::from_slice(&fs::read(&file).expect("it can be read")).expect("it is a seed's file");
        let ran = run(&once.plan, &folder.file(&name)).expect("it runs");
        if let Some(wrong) = complaint(&ran) {
            panic!("seeds/{name}.json fails again ({}):\n    {wrong}", once.why);
        }
    }
}
