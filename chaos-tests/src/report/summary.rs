//! A run in figures and words: what the JSON beside the page holds, and what the page, the index and JUnit are written from.
//!
//! Made of a history and its verdicts alone, so that a report can be written long after its run.

use serde::Serialize;

use super::example::{ByOp, Shown, example};
use super::facts::{Facts, Injected};
use super::measure::{Band, Ends, Gaps, Measured};
use crate::check::{self, InvariantId, Judged, guarantees};
use crate::history::Line;
use crate::run::{Verdict, overall};
use crate::scenario::Expected;

/// The version of the JSON's form.
pub const SUMMARY_SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The version of this form, [`SUMMARY_SCHEMA`].
    pub schema: u32,
    /// Over all guarantees.
    pub verdict: Verdict,
    /// The scenario; `-` for a history without a plan.
    pub scenario: String,
    /// Whom.
    pub target: String,
    /// Its version.
    pub version: String,
    /// What everything random was drawn from.
    pub seed: u64,
    /// Members at the start.
    pub members: usize,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// What came of the operations.
    pub operations: Ends,
    /// Watches.
    pub watches: usize,
    /// Faults, in the order of their numbers.
    pub faults: Vec<Disturbed>,
    /// Rates and latencies under them.
    pub bands: Vec<Band>,
    /// Every checker's word.
    pub guarantees: Vec<Guarantee>,
    /// What the harness failed at.
    pub doubts: Vec<String>,
    /// Commands that lead back to this run.
    pub reproduce: Vec<Reproduce>,
}

/// A fault, and how writes went around it.
#[derive(Clone, Debug, Serialize)]
pub struct Disturbed {
    /// The fault.
    #[serde(flatten)]
    pub fault: Injected,
    /// How long writes stood still; `None` when it was never in force.
    pub gaps: Option<Gaps>,
}

/// What a checker says, and what it is about.
#[derive(Clone, Debug, Serialize)]
pub struct Guarantee {
    /// The guarantee.
    pub id: InvariantId,
    /// The checker.
    pub checker: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// In a word.
    pub word: Word,
    /// The checker's whole word.
    pub verdict: check::Verdict,
    /// Why this violation is no news of this version.
    pub known: Option<String>,
    /// The counter-example, if it was broken.
    pub example: Vec<Shown>,
}

/// A checker's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It was kept.
    Kept,
    /// Nothing came about that it is about.
    Silent,
    /// It was broken.
    Broken,
    /// It cannot be said.
    Unknown,
    /// This checker cannot say it, and need not: another judged the guarantee, or the target has no log to judge it by.
    Excused,
}

/// A command, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reproduce {
    /// What it does.
    pub what: &'static str,
    /// It.
    pub command: String,
}

impl Summary {
    /// Sums a run up; `file` is where its history is.
    pub(super) fn of(facts: &Facts<'_>, measured: &Measured, judged: &[Judged], file: &str) -> Self {
        let header = facts.history.header();
        let plan = header.plan.as_ref();
        let scenario = plan.and_then(|plan| plan.get("scenario")?.as_str()).unwrap_or("-").to_owned();
        let expected = Expected::of(&header.version);
        let by_op = ByOp::of_facts(facts);
        let guarantee = |it: &Judged| Guarantee {
            id: it.invariant,
            checker: it.checker,
            promise: promise(it),
            word: word(it, judged, facts.logged),
            verdict: it.verdict.clone(),
            known: it.verdict.violation().and_then(|_| expected.known(&scenario, it.invariant)),
            example: it.verdict.violation().map(|it| example(facts, &by_op, it)).unwrap_or_default(),
        };
        let disturbed =
            |fault: &Injected| Disturbed { gaps: measured.gaps.get(&fault.number).copied(), fault: fault.clone() };
        Summary {
            schema: SUMMARY_SCHEMA,
            verdict: overall(judged, facts.logged),
            seed: header.seed,
            target: header.target.clone(),
            version: header.version.clone(),
            members: header.members.len(),
            duration_ms: facts.end / 1_000_000,
            operations: measured.ends,
            watches: facts.watches.len(),
            faults: facts.faults.iter().map(disturbed).collect(),
            bands: measured.bands.clone(),
            guarantees: judged.iter().map(guarantee).collect(),
            doubts: facts.doubts.iter().map(|why| (*why).to_owned()).collect(),
            reproduce: reproduce(facts, &scenario, judged, file),
            scenario,
        }
    }

    /// The guarantees that were broken, by what happened first.
    #[must_use]
    pub fn broken(&self) -> Vec<&Guarantee> {
        let mut broken: Vec<&Guarantee> = self.guarantees.iter().filter(|it| it.word == Word::Broken).collect();
        broken.sort_by_key(|it| it.first_at().unwrap_or(u64::MAX));
        broken
    }
}

impl Guarantee {
    /// The line of the first record that breaks it.
    #[must_use]
    pub fn first(&self) -> Option<Line> {
        self.verdict.violation().map(|violation| violation.first)
    }

    /// When it was first broken, nanoseconds.
    #[must_use]
    pub fn first_at(&self) -> Option<u64> {
        let first = self.first()?;
        self.example.iter().find(|shown| shown.line == first).map(|shown| shown.at)
    }
}

fn promise(judged: &Judged) -> &'static str {
    let mut all = guarantees();
    let own = all.find(|(id, checker, _)| *id == judged.invariant && *checker == judged.checker);
    own.map_or("", |(_, _, promise)| promise)
}

fn word(judged: &Judged, all: &[Judged], logged: bool) -> Word {
    match &judged.verdict {
        check::Verdict::Invalid(_) => Word::Broken,
        check::Verdict::Valid { judged: 0, .. } => Word::Silent,
        check::Verdict::Valid { .. } => Word::Kept,
        check::Verdict::Unknown { .. } => {
            let beside = all.iter().any(|it| it.invariant == judged.invariant && it.verdict.is_valid());
            if beside || !logged && judged.needs_log() { Word::Excused } else { Word::Unknown }
        }
    }
}

fn reproduce(facts: &Facts<'_>, scenario: &str, judged: &[Judged], file: &str) -> Vec<Reproduce> {
    let header = facts.history.header();
    let target = format!("--target {}", quoted(&header.target));
    let command = |what, command| Reproduce { what, command };
    let mut all = Vec::new();
    if header.plan.is_some() {
        let seed = header.seed;
        let run = format!("fairlead chaos run {} {target} --seed {seed}", quoted(scenario));
        all.push(command("run it again, drawn from its seed", run));
        let replay = format!("fairlead chaos replay {} {target}", quoted(file));
        all.push(command("the same faults at the same times, without the seed", replay));
    }
    if judged.iter().any(|it| it.verdict.violation().is_some()) {
        let minimize = format!("fairlead chaos minimize --history {}", quoted(file));
        all.push(command("the fewest records that still show it", minimize));
        if header.plan.is_some() {
            let minimize = format!("fairlead chaos minimize {} {target}", quoted(file));
            all.push(command("the fewest faults that still bring it about", minimize));
        }
    }
    all.push(command("judge what was recorded again", format!("fairlead chaos check {}", quoted(file))));
    all
}

/// A word of a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_is_quoted_where_it_must_be() {
        assert_eq!(quoted("a/b-1.jsonl"), "a/b-1.jsonl");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
