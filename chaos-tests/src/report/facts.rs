//! What a report shows, taken out of a history: operations, watches, faults with their windows, members with their lives.
//!
//! Facts only; nothing is judged here, and nothing is drawn.

use std::collections::BTreeMap;

use serde::Serialize;

use super::words;
use crate::check::{Op, Run, operations, runs};
use crate::history::{
    Code, Event, Fault, FaultStep, HashKv, History, Member, MemberStep, Outcome, Panic, Phase, Request,
};

/// How an operation ended, as its client's user would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// It was done, or refused for a reason that stands in the API: a compacted revision, a lease that is not there.
    Answered,
    /// It was refused for want of service.
    Refused,
    /// Nobody knows, or it was still under way when the run ended.
    Unknown,
}

/// How an operation ended.
pub(super) fn end(op: &Op<'_>) -> End {
    match op.returned {
        Some((_, Outcome::Ok(_))) => End::Answered,
        Some((_, Outcome::Failed(failure))) if failure.code != Code::Other => End::Answered,
        Some((_, Outcome::Failed(_))) => End::Refused,
        Some((_, Outcome::Unknown(_))) | None => End::Unknown,
    }
}

/// Whether its time says how fast the store is: locks and elections wait for each other.
pub(super) fn is_timed(request: &Request) -> bool {
    !matches!(request, Request::Lock(_) | Request::Campaign(_))
}

/// A fault, from the plan to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Injected {
    /// Its number in the run.
    pub number: u64,
    /// Its id in the catalogue.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// On whom.
    pub members: Vec<u64>,
    /// How much of it.
    pub figures: String,
    /// When it was in force, nanoseconds.
    pub applied: Option<u64>,
    /// What was seen of it.
    pub witnessed: Option<String>,
    /// Why it was not exercised.
    pub missed: Option<String>,
    /// When it was undone, nanoseconds.
    pub healed: Option<u64>,
}

/// One stretch of a member's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Its process runs, and does not serve yet.
    Starting,
    /// It serves.
    Serving,
    /// It serves and leads.
    Leading,
    /// There is no process.
    Down,
}

/// A member over the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Lives {
    /// Stretches as (from, to, what), without gaps.
    pub(super) stretches: Vec<(u64, u64, Life)>,
    /// Moments at which it had installed a snapshot.
    pub(super) installs: Vec<u64>,
    /// Starts, the first included.
    pub(super) starts: u64,
    /// Ends that nobody wanted.
    pub(super) unexpected: u64,
    /// Terms in which it led.
    pub(super) terms: u64,
    /// The last applied index it told of.
    pub(super) applied: u64,
}

/// All of a history that is shown.
pub(super) struct Facts<'h> {
    pub(super) history: &'h History,
    pub(super) ops: Vec<Op<'h>>,
    pub(super) watches: Vec<Run<'h>>,
    pub(super) faults: Vec<Injected>,
    pub(super) phases: Vec<(u64, Phase)>,
    pub(super) members: BTreeMap<u64, Lives>,
    pub(super) hashes: Vec<&'h HashKv>,
    pub(super) panics: Vec<&'h Panic>,
    pub(super) doubts: Vec<&'h str>,
    /// Whether members' logs are there.
    pub(super) logged: bool,
    /// The last moment that is shown, nanoseconds, at least 1: the dump of logs at the end is no part of the run.
    pub(super) end: u64,
    /// When traffic stopped.
    pub(super) traffic_end: u64,
}

impl<'h> Facts<'h> {
    /// Takes a history apart.
    pub(super) fn of(history: &'h History) -> Self {
        let records = history.records();
        let shown = |event: &Event| !matches!(event, Event::Entry(_) | Event::Doubt(_));
        let last = records.iter().rev().find(|record| shown(&record.event)).map_or(1, |record| record.at.max(1));
        let mut facts = Facts {
            history,
            ops: operations(history),
            watches: runs(history),
            faults: Vec::new(),
            phases: Vec::new(),
            members: BTreeMap::new(),
            hashes: Vec::new(),
            panics: Vec::new(),
            doubts: Vec::new(),
            logged: false,
            end: last,
            traffic_end: last,
        };
        let mut steps: BTreeMap<u64, Vec<(u64, &MemberStep)>> = BTreeMap::new();
        for id in &history.header().members {
            steps.entry(*id).or_default();
        }
        for record in records {
            match &record.event {
                Event::Phase(phase) => facts.phases.push((record.at, *phase)),
                Event::Fault(fault) => note(&mut facts.faults, record.at, fault),
                Event::Member(Member { id, step }) => steps.entry(*id).or_default().push((record.at, step)),
                Event::HashKv(hash) => facts.hashes.push(hash),
                Event::Panic(panic) => facts.panics.push(panic),
                Event::Doubt(why) => facts.doubts.push(why),
                Event::Entry(_) => facts.logged = true,
                Event::Invoke(_) | Event::Return(_) | Event::Watch(_) => {}
            }
        }
        facts.faults.sort_by_key(|fault| fault.number);
        let end = facts.phases.iter().find(|(_, phase)| *phase == Phase::End);
        facts.traffic_end = end.map_or(last, |(at, _)| *at);
        let terms = leaders(&steps);
        facts.members = steps.iter().map(|(id, steps)| (*id, lives(*id, steps, &terms, last))).collect();
        facts
    }

    /// The window of a fault, as far as it was in force.
    pub(super) fn window(&self, fault: &Injected) -> Option<(u64, u64)> {
        let from = fault.applied?;
        Some((from, fault.healed.unwrap_or(self.end).max(from)))
    }
}

fn note(faults: &mut Vec<Injected>, at: u64, fault: &Fault) {
    let place = faults.iter().position(|known| known.number == fault.id).unwrap_or_else(|| {
        faults.push(Injected { number: fault.id, ..Injected::default() });
        faults.len() - 1
    });
    let known = &mut faults[place];
    match &fault.step {
        FaultStep::Planned { kind, members, figures } => {
            (known.kind, known.name) = (kind.clone(), words::fault_name(kind).to_owned());
            (known.members, known.figures) = (members.clone(), words::figures(figures));
        }
        FaultStep::Applied { members, figures } => {
            known.applied = Some(at);
            if !members.is_empty() {
                known.members = members.clone();
            }
            if !figures.is_empty() {
                known.figures = words::figures(figures);
            }
        }
        FaultStep::Witnessed { figures } => known.witnessed = Some(words::figures(figures)),
        FaultStep::Missed { why } => known.missed = Some(why.clone()),
        FaultStep::Healed { .. } => known.healed = Some(at),
    }
}

/// Who began to lead when, in the order of time.
fn leaders(steps: &BTreeMap<u64, Vec<(u64, &MemberStep)>>) -> Vec<(u64, u64)> {
    let leads = |step: &MemberStep| matches!(step, MemberStep::Leader { .. });
    let mut begun: Vec<(u64, u64)> = steps
        .iter()
        .flat_map(|(id, steps)| steps.iter().filter(|(_, step)| leads(step)).map(|(at, _)| (*at, *id)))
        .collect();
    begun.sort_unstable();
    begun
}

/// A member's life from what was recorded of it; it leads until another does, or it is down.
fn lives(id: u64, steps: &[(u64, &MemberStep)], leaders: &[(u64, u64)], end: u64) -> Lives {
    let mut lives = Lives::default();
    let mut turns: Vec<(u64, Life)> = vec![(0, Life::Starting)];
    let mut install = 0;
    for (at, step) in steps {
        match step {
            MemberStep::Started => {
                lives.starts += 1;
                turns.push((*at, Life::Starting));
            }
            MemberStep::Ready => turns.push((*at, Life::Serving)),
            MemberStep::Ended { expected, .. } => {
                lives.unexpected += u64::from(!expected);
                install = 0;
                turns.push((*at, Life::Down));
            }
            MemberStep::Leader { .. } => {
                lives.terms += 1;
                turns.push((*at, Life::Leading));
            }
            MemberStep::Installed { snapshots } => {
                if *snapshots > install {
                    lives.installs.push(*at);
                }
                install = *snapshots;
            }
            MemberStep::Status { applied, .. } => lives.applied = *applied,
        }
    }
    // Where another begins to lead, this one has ceased to.
    for (at, _) in leaders.iter().filter(|(_, leader)| *leader != id) {
        let before = turns.iter().rfind(|(turn, _)| turn <= at);
        if before.is_some_and(|(_, life)| *life == Life::Leading) {
            turns.push((*at, Life::Serving));
            turns.sort_by_key(|(at, _)| *at);
        }
    }
    let ends = turns.iter().skip(1).map(|(at, _)| *at).chain([end]).collect::<Vec<_>>();
    let stretch = |((from, life), to): (&(u64, Life), u64)| (to > *from).then_some((*from, to, *life));
    lives.stretches = turns.iter().zip(ends).filter_map(stretch).collect();
    lives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_leads_until_another_does_or_it_ends() {
        let (ready, ended) = (MemberStep::Ready, MemberStep::Ended { expected: true, status: String::new() });
        let (leads, again) = (MemberStep::Leader { term: 1 }, MemberStep::Leader { term: 3 });
        let first = vec![(1, &ready), (2, &leads), (7, &again), (9, &ended)];
        let steps = BTreeMap::from([(1, first), (2, vec![(1, &ready), (5, &leads)])]);
        let terms = leaders(&steps);
        assert_eq!(terms, [(2, 1), (5, 2), (7, 1)]);
        let one = lives(1, &steps[&1], &terms, 12);
        let expected = [
            (0, 1, Life::Starting),
            (1, 2, Life::Serving),
            (2, 5, Life::Leading),
            (5, 7, Life::Serving),
            (7, 9, Life::Leading),
            (9, 12, Life::Down),
        ];
        assert_eq!((one.stretches.as_slice(), one.terms, one.unexpected), (expected.as_slice(), 2, 0));
        assert_eq!(lives(2, &steps[&2], &terms, 12).stretches.last(), Some(&(7, 12, Life::Serving)));
    }
}
