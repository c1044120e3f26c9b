//! How runs and verdicts look on a terminal or in a CI log: one line a run, then what is not as it should be.

use std::io::{self, Write};
use std::time::Duration;

use fairlead_chaos_tests::check::{self, Judged};
use fairlead_chaos_tests::run::{Ran, Verdict};

/// Lines of doubt that are shown of one run.
const DOUBTS_MAX: usize = 5;

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "unknown",
        Verdict::Violated => "VIOLATED",
    }
}

/// A run's line, and what is not as it should be.
pub(super) fn ran(out: &mut impl Write, ran: &Ran, took: Duration) -> io::Result<()> {
    let (verdict, counted) = (ran.verdict(), ran.counted);
    writeln!(
        out,
        "{:8} {:10} seed {:<6} {:>4} s  {:>6} operations, {} unknown, {} faults",
        word(verdict),
        ran.scenario,
        ran.seed,
        took.as_secs(),
        counted.all(),
        counted.unknown,
        ran.faults
    )?;
    for doubt in ran.doubts.iter().take(DOUBTS_MAX) {
        writeln!(out, "         {doubt}")?;
    }
    judged(out, &ran.judged, false)?;
    if verdict != Verdict::Pass {
        writeln!(out, "         history: {}", ran.history.display())?;
        if let Some(report) = &ran.report {
            writeln!(out, "         report:  {}", report.0.html.display())?;
        }
    }
    Ok(())
}

/// The guarantees that were not kept or not judged; with `all`, every one.
pub(super) fn judged(out: &mut impl Write, judged: &[Judged], all: bool) -> io::Result<()> {
    for it in judged.iter().filter(|it| all || !it.verdict.is_valid()) {
        writeln!(out, "         {:8} {:18} {}", it.invariant.to_string(), it.checker, it.verdict)?;
        if let check::Verdict::Invalid(violation) = &it.verdict {
            let lines: Vec<String> = violation.counter_example.iter().map(ToString::to_string).collect();
            writeln!(out, "         {:27} {} times; first seen in lines {}", "", violation.times, lines.join(" "))?;
        }
    }
    Ok(())
}
