//! A history put in order for the checkers: operations, watches, members, the merged log, and what happened at each revision.
//!
//! Built once, read by every checker. Does not: judge; where the records contradict each other it says so in
//! [`Settled::contradictions`] and goes on.

mod log;
mod ops;
mod settle;
mod watches;

use crate::history::{Event, Fault, FaultStep, Figures, HashKv, History, Line, Member, Panic, Phase, Request};

pub(crate) use log::Log;
pub(crate) use ops::{Op, operations};
pub(crate) use settle::{Cause, Disagreement, Fate, Settled, Sort};
pub(crate) use watches::{Run, runs};

/// When and where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// Nanoseconds.
    pub(crate) at: u64,
    /// The line.
    pub(crate) line: Line,
}

/// A fault with all that was recorded of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Injected<'h> {
    pub(crate) id: u64,
    pub(crate) kind: &'h str,
    pub(crate) members: &'h [u64],
    pub(crate) planned: Option<Mark>,
    pub(crate) applied: Option<Mark>,
    pub(crate) witnessed: Option<Mark>,
    pub(crate) missed: Option<&'h str>,
    pub(crate) healed: Option<Mark>,
    planned_figures: Option<&'h Figures>,
    applied_figures: Option<&'h Figures>,
}

impl Injected<'_> {
    /// A figure of it: as applied, else as planned.
    pub(crate) fn figure(&self, name: &str) -> Option<i64> {
        let of = |figures: Option<&Figures>| figures.and_then(|figures| figures.get(name).copied());
        of(self.applied_figures).or_else(|| of(self.planned_figures))
    }
}

/// Everything the checkers look at.
#[derive(Debug)]
pub(crate) struct Evidence<'h> {
    pub(crate) history: &'h History,
    /// In the order of their invocations.
    pub(crate) ops: Vec<Op<'h>>,
    /// In the order of their opening.
    pub(crate) watches: Vec<Run<'h>>,
    pub(crate) phases: Vec<(Mark, Phase)>,
    pub(crate) faults: Vec<Injected<'h>>,
    pub(crate) members: Vec<(Mark, &'h Member)>,
    pub(crate) hashes: Vec<(Mark, &'h HashKv)>,
    pub(crate) panics: Vec<(Mark, &'h Panic)>,
    /// What the harness failed at.
    pub(crate) doubts: Vec<&'h str>,
    pub(crate) log: Log<'h>,
    pub(crate) settled: Settled,
    /// When compactions were asked, with the highest revision up to then.
    compactions: Vec<(u64, i64)>,
    /// The last moment of the run.
    pub(crate) end: u64,
}

impl<'h> Evidence<'h> {
    /// Puts a history in order.
    pub(crate) fn gather(history: &'h History) -> Self {
        let ops = operations(history);
        let watches = runs(history);
        let log = Log::merge(history);
        let settled = settle::settle(&ops, &watches, &log);
        let mut evidence = Evidence {
            history,
            watches,
            log,
            settled,
            phases: Vec::new(),
            faults: Vec::new(),
            members: Vec::new(),
            hashes: Vec::new(),
            panics: Vec::new(),
            doubts: Vec::new(),
            compactions: compactions(&ops),
            ops,
            end: history.records().last().map_or(0, |record| record.at),
        };
        for record in history.records() {
            let mark = Mark { at: record.at, line: record.line };
            match &record.event {
                Event::Phase(phase) => evidence.phases.push((mark, *phase)),
                Event::Fault(fault) => evidence.fault(mark, fault),
                Event::Member(member) => evidence.members.push((mark, member)),
                Event::HashKv(hash) => evidence.hashes.push((mark, hash)),
                Event::Panic(panic) => evidence.panics.push((mark, panic)),
                Event::Doubt(why) => evidence.doubts.push(why),
                Event::Invoke(_) | Event::Return(_) | Event::Watch(_) | Event::Entry(_) => {}
            }
        }
        evidence
    }

    /// Whether a compaction above a revision was asked for before a moment.
    pub(crate) fn compaction_asked(&self, revision: i64, at: u64) -> bool {
        let before = self.compactions.partition_point(|(asked, _)| *asked <= at);
        self.compactions[..before].last().is_some_and(|(_, highest)| *highest > revision)
    }

    /// When a phase began.
    pub(crate) fn phase(&self, wanted: Phase) -> Option<Mark> {
        self.phases.iter().find(|(_, phase)| *phase == wanted).map(|(mark, _)| *mark)
    }

    /// When a phase ended: where the next one began, else with the run.
    pub(crate) fn phase_end(&self, wanted: Phase) -> Option<u64> {
        let at = self.phases.iter().position(|(_, phase)| *phase == wanted)?;
        Some(self.phases.get(at + 1).map_or(self.end, |(mark, _)| mark.at))
    }

    fn fault(&mut self, mark: Mark, fault: &'h Fault) {
        let at = self.faults.iter().position(|known| known.id == fault.id).unwrap_or_else(|| {
            self.faults.push(Injected { id: fault.id, ..Injected::default() });
            self.faults.len() - 1
        });
        let known = &mut self.faults[at];
        match &fault.step {
            FaultStep::Planned { kind, members, figures } => {
                known.kind = kind;
                known.members = members;
                known.planned = Some(mark);
                known.planned_figures = Some(figures);
            }
            FaultStep::Applied { members, figures } => {
                if !members.is_empty() {
                    known.members = members;
                }
                known.applied = Some(mark);
                known.applied_figures = Some(figures);
            }
            FaultStep::Witnessed { .. } => known.witnessed = Some(mark),
            FaultStep::Missed { why } => known.missed = Some(why),
            FaultStep::Healed { .. } => known.healed = Some(mark),
        }
    }
}

/// When compactions were asked, with the highest revision up to then; operations are in the order of invocations.
fn compactions(ops: &[Op<'_>]) -> Vec<(u64, i64)> {
    let mut highest = 0;
    let asked = ops.iter().filter_map(|op| {
        if let Request::Compact(compact) = op.request { Some((op.invoked.at, compact.revision)) } else { None }
    });
    asked
        .map(|(at, revision)| {
            highest = highest.max(revision);
            (at, highest)
        })
        .collect()
}
