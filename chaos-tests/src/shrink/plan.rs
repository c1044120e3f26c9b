//! The search for a smaller plan: fewer faults, shorter ones closer together, fewer clients.
//!
//! ```text
//! faults (delta) ▸ shorter, each by halves ▸ gaps closed ▸ crowds (delta) ▸ clients of each, by halves
//! ```
//! What costs most is tried first: a fault is seconds of a run, a client nearly nothing. Pure: it asks for plans to be tried
//! and is told whether they still violate. Faults keep their numbers, so that a smaller plan can be read beside its origin.

use super::Delta;
use crate::nemesis::Planned;
use crate::run::Plan;

/// No fault is made shorter than this, milliseconds: its effect has to be seen.
const FAULT_MIN_MS: u64 = 300;
/// What is left between faults that are brought together, milliseconds.
const GAP_MS: u64 = 300;

/// A search for the smallest plan.
#[derive(Clone, Debug)]
pub struct PlanSearch {
    best: Plan,
    stage: Stage,
    asked: Option<Plan>,
    /// How long the safety phase goes on after the last fault.
    tail_ms: u64,
}

#[derive(Clone, Debug)]
enum Stage {
    Faults(Delta, Vec<Planned>),
    Shorten(usize),
    Gather,
    Crowds(Delta, Vec<crate::traffic::etcd::Crowd>),
    Clients(usize),
    Done,
}

impl PlanSearch {
    /// A search from a plan that violates. Its rate floor goes: with few clients it would not be reached, and a violation
    /// is one at any rate.
    #[must_use]
    pub fn new(mut plan: Plan) -> PlanSearch {
        plan.limits.rate_floor = 0;
        let schedule = plan.schedule.clone();
        let tail_ms = plan.safety_ms.saturating_sub(end_of(&schedule));
        PlanSearch { stage: Stage::Faults(Delta::new(schedule.len()), schedule), best: plan, asked: None, tail_ms }
    }

    /// The smallest plan so far that violates.
    #[must_use]
    pub fn best(&self) -> &Plan {
        &self.best
    }

    /// A plan to try; `None` when none is left that could be smaller.
    pub fn question(&mut self) -> Option<Plan> {
        loop {
            if matches!(self.stage, Stage::Done) {
                return None;
            }
            match self.candidate() {
                Some(plan) if plan != self.best => {
                    self.asked = Some(plan.clone());
                    return Some(plan);
                }
                // Nothing to leave out here.
                Some(_) => self.step(false),
                None => self.stage = self.next_stage(),
            }
        }
    }

    /// Whether the plan that was asked about still violates.
    pub fn answer(&mut self, still: bool) {
        let Some(asked) = self.asked.take() else { return };
        if still {
            self.best = asked;
        }
        self.step(still);
    }

    /// The plan that this stage would try next; `None` when it has no more.
    fn candidate(&self) -> Option<Plan> {
        let mut plan = self.best.clone();
        match &self.stage {
            Stage::Faults(delta, all) => plan.schedule = pick(all, &delta.question()?),
            Stage::Shorten(at) => {
                let fault = plan.schedule.get_mut(*at)?;
                fault.for_ms = fault.for_ms.min((fault.for_ms / 2).max(FAULT_MIN_MS));
            }
            Stage::Gather => gather(&mut plan, self.tail_ms),
            // Nobody at all shows nothing: that question is not worth a run.
            Stage::Crowds(delta, all) => match pick(all, &delta.question()?) {
                crowds if crowds.is_empty() => {}
                crowds => plan.crowds = crowds,
            },
            Stage::Clients(at) => {
                let crowd = plan.crowds.get_mut(*at)?;
                crowd.clients = crowd.clients.min((crowd.clients / 2).max(1));
            }
            Stage::Done => return None,
        }
        Some(plan)
    }

    /// Goes on within the stage after an answer.
    fn step(&mut self, still: bool) {
        match &mut self.stage {
            Stage::Faults(delta, _) | Stage::Crowds(delta, _) => delta.answer(still),
            Stage::Shorten(at) | Stage::Clients(at) => *at += usize::from(!still),
            Stage::Gather => self.stage = self.next_stage(),
            Stage::Done => {}
        }
    }

    fn next_stage(&self) -> Stage {
        match self.stage {
            Stage::Faults(..) => Stage::Shorten(0),
            Stage::Shorten(_) => Stage::Gather,
            Stage::Gather => Stage::Crowds(Delta::new(self.best.crowds.len()), self.best.crowds.clone()),
            Stage::Crowds(..) => Stage::Clients(0),
            Stage::Clients(_) | Stage::Done => Stage::Done,
        }
    }
}

fn pick<T: Clone>(all: &[T], places: &[usize]) -> Vec<T> {
    places.iter().filter_map(|place| all.get(*place)).cloned().collect()
}

fn end_of(schedule: &[Planned]) -> u64 {
    schedule.iter().map(|it| it.at_ms + it.for_ms).max().unwrap_or(0)
}

/// Brings faults together where nothing happens between them, and ends the safety phase so long after the last.
/// Faults that overlap stay as they are to each other.
fn gather(plan: &mut Plan, tail_ms: u64) {
    plan.schedule.sort_by_key(|it| (it.at_ms, it.number));
    let (mut end, mut earlier) = (0, 0);
    for planned in &mut plan.schedule {
        let gap = planned.at_ms.saturating_sub(earlier).saturating_sub(end);
        earlier += gap.saturating_sub(GAP_MS);
        planned.at_ms -= earlier;
        end = end.max(planned.at_ms + planned.for_ms);
    }
    plan.safety_ms = plan.safety_ms.min(end + tail_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{How, Setting, find};

    fn mixed(seed: u64) -> Plan {
        match find("mixed").unwrap().how {
            How::Plan(plan) => plan(&Setting { seed, ours: true }),
            How::Not(reason) => panic!("{reason}"),
        }
    }

    /// The smallest plan by an oracle, and the questions that it took.
    fn search(plan: Plan, violates: impl Fn(&Plan) -> bool) -> (Plan, usize) {
        let (mut search, mut questions) = (PlanSearch::new(plan), 0);
        while let Some(plan) = search.question() {
            questions += 1;
            assert!(questions < 1_000, "it does not end");
            search.answer(violates(&plan));
        }
        (search.best().clone(), questions)
    }

    #[test]
    fn the_fault_that_matters_is_left_alone_short_and_with_the_clients_it_needs() {
        for seed in 1..=20 {
            let plan = mixed(seed);
            let needed = plan.schedule[seed as usize % plan.schedule.len()].clone();
            let kind = plan.crowds.last().unwrap().kind;
            let (least, clients) = (needed.for_ms / 2, 1);
            let violates = |plan: &Plan| {
                plan.schedule.iter().any(|it| it.number == needed.number && it.for_ms >= least)
                    && plan.crowds.iter().any(|it| it.kind == kind && it.clients >= clients)
            };
            let (smallest, questions) = search(plan.clone(), violates);
            let [fault] = smallest.schedule.as_slice() else { panic!("seed {seed}: {:?}", smallest.schedule) };
            assert_eq!((fault.number, fault.on, &fault.fault), (needed.number, needed.on, &needed.fault));
            assert!(fault.for_ms < 2 * least.max(FAULT_MIN_MS) && fault.at_ms <= GAP_MS, "seed {seed}: {fault:?}");
            assert_eq!(smallest.crowds.len(), 1);
            assert!(smallest.safety_ms < plan.safety_ms && questions < 80, "seed {seed}: {questions} questions");
        }
    }

    #[test]
    fn two_faults_that_only_matter_together_stay_and_keep_their_overlap() {
        let mut plan = mixed(3);
        plan.schedule.iter_mut().for_each(|it| it.for_ms = 2_000);
        for (at, it) in plan.schedule.iter_mut().enumerate() {
            it.at_ms = 5_000 * at as u64;
        }
        (plan.schedule[1].at_ms, plan.schedule[2].at_ms) = (9_000, 9_500);
        let overlap = |plan: &Plan| {
            let of = |number| plan.schedule.iter().find(|it| it.number == number);
            matches!((of(2), of(3)), (Some(a), Some(b)) if a.at_ms < b.at_ms && b.at_ms < a.at_ms + a.for_ms)
        };
        let (smallest, _) = search(plan, overlap);
        assert_eq!(smallest.schedule.iter().map(|it| it.number).collect::<Vec<_>>(), [2, 3]);
        assert!(overlap(&smallest) && smallest.schedule[0].at_ms == GAP_MS, "{:?}", smallest.schedule);
    }

    #[test]
    fn a_plan_that_violates_without_faults_loses_all_of_them_at_once() {
        let (smallest, _) = search(mixed(5), |_| true);
        assert!(smallest.schedule.is_empty());
        let [crowd] = smallest.crowds.as_slice() else { panic!("{:?}", smallest.crowds) };
        assert_eq!((crowd.clients, smallest.safety_ms), (1, 1_000));
        let (same, questions) = search(mixed(5), |_| false);
        assert_eq!((same.schedule, same.crowds), (mixed(5).schedule, mixed(5).crowds));
        assert!(questions > 10, "every single fault and crowd was tried: {questions}");
    }
}
