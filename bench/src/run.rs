//! A run: each workload, so many repetitions of it, each repetition on all targets in turn.
//!
//! Interleaved, so that whatever else the machine does meets all targets alike; the order changes with each repetition, so that
//! no target always comes first. Members that share workloads stay up over all of those; they end before the others start.

use std::time::Duration;

use tokio::time::timeout;

use crate::Error;
use crate::report::{Machine, Measured, Outcome, Report, TargetNamed};
use crate::sample::Sample;
use crate::target::{Running, Target};
use crate::workload::{Settings, Workload};

/// No repetition may take longer.
const REPETITION_WITHIN: Duration = Duration::from_secs(900);
/// Repetitions of a workload that starts and fills members of its own.
const OWN_REPETITIONS_MAX: usize = 3;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom; the first is compared with the last.
    pub targets: Vec<Target>,
    /// Which workloads.
    pub workloads: Vec<&'static Workload>,
    /// How often each.
    pub repetitions: usize,
    /// How large and how long.
    pub settings: Settings,
}

/// Runs everything. `told` hears of each workload when it is done.
///
/// # Errors
/// When members cannot be started or ended. A workload that cannot be measured is a part of the report.
///
/// # Cancel safety
/// Dropped, it ends all members it has started.
pub async fn run(options: &Options, mut told: impl FnMut(&Measured)) -> Result<Report, Error> {
    let mut machine = Machine::now();
    let mut measured = Vec::new();
    let (own, shared): (Vec<_>, Vec<_>) = options.workloads.iter().copied().partition(|workload| workload.needs_own());
    if !shared.is_empty() {
        let mut running = Vec::new();
        for target in &options.targets {
            running.push(target.start(options.settings.members, Vec::new()).await?);
        }
        for workload in shared {
            let it = on_shared(workload, &mut running, options).await;
            told(&it);
            measured.push(it);
        }
        for target in running {
            target.end().await?;
        }
    }
    for workload in own {
        let it = on_own(workload, options).await;
        told(&it);
        measured.push(it);
    }
    machine.ended();
    let named = |target: &Target| TargetNamed { name: target.name().to_owned(), version: target.version().to_owned() };
    Ok(Report { machine, targets: options.targets.iter().map(named).collect(), options: options.into(), measured })
}

async fn on_shared(workload: &'static Workload, running: &mut [Running], options: &Options) -> Measured {
    let mut outcomes = vec![Vec::new(); running.len()];
    for repetition in 0..options.repetitions {
        for at in order(running.len(), repetition) {
            let target = &mut running[at];
            let work = async {
                target.arrange().await?;
                workload.on_shared(target, &options.settings).await
            };
            outcomes[at].push(outcome(work).await);
        }
    }
    Measured::new(workload, outcomes)
}

async fn on_own(workload: &'static Workload, options: &Options) -> Measured {
    let mut outcomes = vec![Vec::new(); options.targets.len()];
    for repetition in 0..options.repetitions.min(OWN_REPETITIONS_MAX) {
        for at in order(options.targets.len(), repetition) {
            outcomes[at].push(outcome(workload.on_own(&options.targets[at], &options.settings)).await);
        }
    }
    Measured::new(workload, outcomes)
}

async fn outcome(work: impl Future<Output = Result<Sample, Error>>) -> Outcome {
    match timeout(REPETITION_WITHIN, work).await {
        Ok(Ok(sample)) => Outcome::Measured(sample),
        Ok(Err(error)) => {
            let mut said = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                said = format!("{said}: {next}");
                cause = next.source();
            }
            Outcome::NotMeasured(said)
        }
        Err(_) => Outcome::NotMeasured(format!("it did not end within {REPETITION_WITHIN:?}")),
    }
}

/// Forwards in even repetitions, backwards in odd ones.
fn order(targets: usize, repetition: usize) -> Vec<usize> {
    let forwards = 0..targets;
    if repetition.is_multiple_of(2) { forwards.collect() } else { forwards.rev().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_changes_with_each_repetition() {
        assert_eq!((order(2, 0), order(2, 1), order(2, 2)), (vec![0, 1], vec![1, 0], vec![0, 1]));
    }
}
