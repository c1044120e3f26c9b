//! Finds a smaller schedule that still violates: asks clusters what the search wants to know, within bounds.
//!
//! Timing is no function of a plan, so a plan that does not violate may have been unlucky: each may be tried several times,
//! and the whole plan has to violate again before anything is left out of it. What is found is the history of the smallest
//! run that violated, which replays like any other.
//! Does not: start anything itself; the caller says how a plan is run.

use std::time::Duration;

use tokio::time::Instant;

use super::{Error, Plan};
use crate::shrink::PlanSearch;

/// What a search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Runs in all.
    pub runs_max: u64,
    /// Runs of one plan until it counts as one that does not violate.
    pub tries: u64,
    /// No run begins after this.
    pub length: Duration,
}

/// What a search has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimized {
    /// The smallest plan that violated; `None` when not even the whole plan did again.
    pub smallest: Option<Plan>,
    /// Runs that were done.
    pub runs: u64,
    /// Whether everything was tried; else the bounds ended it.
    pub complete: bool,
}

/// Searches; `violates` runs a plan and says whether it violated.
///
/// # Errors
/// When a run could not be done.
pub async fn minimize<F>(plan: Plan, bounds: Bounds, mut violates: impl FnMut(Plan) -> F) -> Result<Minimized, Error>
where
    F: Future<Output = Result<bool, Error>>,
{
    let until = Instant::now() + bounds.length;
    let mut search = PlanSearch::new(plan);
    let mut done = Minimized { smallest: None, runs: 0, complete: false };
    let mut asked = Some(search.best().clone());
    while let Some(plan) = asked {
        let mut still = false;
        for _ in 0..bounds.tries.max(1) {
            if done.runs >= bounds.runs_max || Instant::now() >= until {
                return Ok(done);
            }
            done.runs += 1;
            still = violates(plan.clone()).await?;
            if still {
                break;
            }
        }
        match (&done.smallest, still) {
            // Nothing to begin with.
            (None, false) => return Ok(Minimized { complete: true, ..done }),
            // The first question was the whole plan, which the search did not ask.
            (None, true) => {}
            (Some(_), still) => search.answer(still),
        }
        done.smallest = Some(search.best().clone());
        asked = search.question();
    }
    done.complete = true;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{How, Setting, find};

    fn plan() -> Plan {
        match find("mixed").unwrap().how {
            How::Plan(plan) => plan(&Setting { seed: 4, ours: true }),
            How::Not(reason) => panic!("{reason}"),
        }
    }

    const BOUNDS: Bounds = Bounds { runs_max: 200, tries: 3, length: Duration::from_secs(3_600) };
    /// What a run takes here.
    const RUN: Duration = Duration::from_secs(10);

    /// Runs that violate with fault 2 in force, every `luck`-th time that they could.
    async fn minimized(bounds: Bounds, luck: u64) -> Minimized {
        let mut could = 0;
        let violates = |plan: Plan| {
            let is_there = plan.schedule.iter().any(|it| it.number == 2);
            could += u64::from(is_there);
            let violated = is_there && could.is_multiple_of(luck);
            async move {
                tokio::time::sleep(RUN).await;
                Ok(violated)
            }
        };
        minimize(plan(), bounds, violates).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_fault_is_left_though_a_run_violates_only_now_and_then() {
        for luck in 1..=3 {
            let done = minimized(BOUNDS, luck).await;
            let smallest = done.smallest.unwrap();
            assert_eq!(smallest.schedule.iter().map(|it| it.number).collect::<Vec<_>>(), [2], "luck {luck}");
            assert!(done.complete && done.runs <= BOUNDS.runs_max);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_violate_again_is_not_searched() {
        let done = minimized(BOUNDS, 4).await;
        assert_eq!((done.smallest, done.runs, done.complete), (None, 3, true));
    }

    #[tokio::test(start_paused = true)]
    async fn runs_and_time_are_bounded_and_the_best_so_far_is_kept() {
        let few = minimized(Bounds { runs_max: 5, ..BOUNDS }, 1).await;
        assert_eq!((few.runs, few.complete, few.smallest.is_some()), (5, false, true));
        let short = minimized(Bounds { length: 4 * RUN, ..BOUNDS }, 1).await;
        assert_eq!((short.runs, short.complete), (4, false));
    }
}
