//! Histories from the command line: `generate`, `spoil`, `judge` a file, and `time` the checkers.
//!
//! ```text
//! cargo run --release -p fairlead-chaos-tests --example history -- time 100000
//! cargo run -p fairlead-chaos-tests --example history -- judge chaos-tests/histories/mixed.jsonl
//! cargo run -p fairlead-chaos-tests --example history -- generate 7 120 > mixed.jsonl
//! cargo run -p fairlead-chaos-tests --example history -- spoil 7 120 'two responses of a watch change places' > bad.jsonl
//! ```

use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};
use std::time::Instant;

use anyhow::{Context, bail};
use fairlead_chaos_tests::check::{judge, judge_timed};
use fairlead_chaos_tests::history::History;
use fairlead_chaos_tests::model::generate::{Plan, generate};
use fairlead_chaos_tests::model::mutate::MUTATIONS;
use fairlead_chaos_tests::traffic::cpu;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["generate", seed, ops] => Ok(small(seed, ops)?.write(BufWriter::new(stdout().lock()))?),
        ["spoil", seed, ops, name] => {
            let mutation =
                MUTATIONS.iter().find(|mutation| mutation.name == *name).context("there is no such mutation")?;
            let spoiled =
                mutation.apply(&small(seed, ops)?, seed.parse()?).context("the history has no place for it")?;
            Ok(spoiled.write(BufWriter::new(stdout().lock()))?)
        }
        ["judge", path] => {
            let history = History::read(BufReader::new(File::open(path)?))?;
            let mut out = stdout().lock();
            for judged in judge(&history) {
                writeln!(out, "{:8} {:18} {}", judged.invariant.to_string(), judged.checker, judged.verdict)?;
            }
            Ok(())
        }
        ["time", ops] => time(ops.parse()?),
        _ => bail!("usage: history generate SEED OPS | spoil SEED OPS MUTATION | judge FILE | time OPS"),
    }
}

fn small(seed: &str, ops: &str) -> anyhow::Result<History> {
    let plan = Plan::mixed(seed.parse()?);
    Ok(generate(&Plan {
        ops: ops.parse()?,
        clients: 4,
        keys: 2,
        watches: 3,
        sessions: 2,
        appenders: 1,
        unknown_per_mille: 60,
        ..plan
    }))
}

fn time(ops: u64) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for seed in 1..=3 {
        let history = generate(&Plan::large(seed, ops));
        let mut file = Vec::new();
        history.write(&mut file)?;
        let begun = Instant::now();
        let history = History::read(file.as_slice())?;
        let read = begun.elapsed();
        let (begun, cpu) = (Instant::now(), cpu::seconds(std::process::id())?);
        let judged = judge_timed(&history);
        let (all, cpu) = (begun.elapsed(), cpu::seconds(std::process::id())? - cpu);
        let valid = judged.iter().filter(|(judged, _)| judged.verdict.is_valid()).count();
        writeln!(
            out,
            "seed {seed}: {ops} operations, {} records: read in {read:.2?}, judged in {all:.2?} ({cpu:.2} s of CPU), {valid} of {} valid",
            history.records().len(),
            judged.len()
        )?;
        let shared = all.saturating_sub(judged.iter().map(|(_, took)| *took).sum());
        writeln!(out, "    {shared:>9.2?} putting in order, settling")?;
        let mut slowest = judged;
        slowest.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        for (judged, took) in slowest.iter().take(6) {
            writeln!(out, "    {took:>9.2?} {} {}: {}", judged.invariant, judged.checker, judged.verdict)?;
        }
    }
    Ok(())
}
