//! From a seed to a schedule: waves of one to three faults, with quiet windows between them.
//!
//! Durations are drawn around the timeouts that matter: what is a little shorter than an election and what is a little longer
//! are different faults. Of the faults that take a member down, one is in force at a time and on a minority, so that a
//! schedule never takes a quorum's data.

use super::{Planned, Role};
use crate::fault::Spec;
use crate::model::random::Random;

/// The parts of a timeout that a fault lasts, in percent.
const CLASSES: [u64; 4] = [30, 90, 110, 300];
/// Of one wave, faults begin within this.
const WAVE_MS: u64 = 400;
/// Between two waves.
const QUIET_MS: (u64, u64) = (400, 1_600);
/// No fault is shorter: its effect has to be seen.
const SHORTEST_MS: u64 = 300;
/// None is longer.
const LONGEST_MS: u64 = 6_000;

/// What a schedule is drawn from.
#[derive(Clone, Debug)]
pub struct Menu {
    /// Faults with their weights.
    pub faults: Vec<(u64, Spec)>,
    /// Timeouts that durations are drawn around: election, lease, watch; milliseconds.
    pub timeouts_ms: Vec<u64>,
    /// Faults at a time, at most.
    pub overlap_max: u64,
    /// How long the whole of it is.
    pub length_ms: u64,
}

/// The schedule of a seed.
#[must_use]
pub fn expand(seed: u64, menu: &Menu) -> Vec<Planned> {
    let mut random = Random::new(seed);
    let (mut schedule, mut now, mut number) = (Vec::new(), 0, 0);
    while now < menu.length_ms {
        let overlap = 1 + random.below(menu.overlap_max.max(1));
        let (mut end, mut down, mut kinds) = (now, false, Vec::new());
        for _ in 0..overlap {
            let Some(fault) = draw(&mut random, &menu.faults) else { return schedule };
            let kind = fault.id();
            if (down && exclusive(&fault)) || kinds.contains(&kind) {
                continue;
            }
            down |= exclusive(&fault);
            kinds.push(kind);
            let timeout = random.pick(&menu.timeouts_ms).copied().unwrap_or(1_000);
            let part = random.pick(&CLASSES).copied().unwrap_or(100);
            let for_ms = (timeout * part / 100).clamp(SHORTEST_MS, LONGEST_MS);
            let at_ms = now + random.below(WAVE_MS);
            let on = role(&mut random, &fault);
            number += 1;
            end = end.max(at_ms + for_ms);
            schedule.push(Planned { number, at_ms, for_ms, on, fault });
        }
        now = end + random.between(QUIET_MS.0, QUIET_MS.1);
    }
    schedule
}

/// Faults that need a member's process or files for themselves.
fn exclusive(fault: &Spec) -> bool {
    fault.takes_down() || matches!(fault, Spec::SlowFsync { .. } | Spec::Transfer { .. } | Spec::NoSpace { .. })
}

fn draw(random: &mut Random, faults: &[(u64, Spec)]) -> Option<Spec> {
    let mut at = random.below(faults.iter().map(|(weight, _)| weight).sum());
    faults.iter().find_map(|(weight, fault)| match at.checked_sub(*weight) {
        None => Some(fault.clone()),
        Some(rest) => {
            at = rest;
            None
        }
    })
}

fn role(random: &mut Random, fault: &Spec) -> Role {
    let follower = Role::Follower(u8::try_from(random.below(2)).unwrap_or(0));
    match fault {
        Spec::Ring => Role::Leader,
        Spec::Lag { .. } => follower,
        Spec::Terminate | Spec::Transfer { .. } | Spec::Compact { .. } | Spec::NoSpace { .. } => Role::All,
        fault if fault.takes_down() => *random.pick(&[Role::Leader, follower, Role::Minority]).unwrap_or(&follower),
        _ => *random.pick(&[Role::Leader, Role::Leader, follower, Role::Minority]).unwrap_or(&follower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu() -> Menu {
        let faults = vec![
            (3, Spec::Kill),
            (3, Spec::Pause),
            (3, Spec::Partition),
            (2, Spec::Delay { ms: 50, jitter_ms: 100 }),
            (1, Spec::SlowFsync { delay_ms: 100 }),
        ];
        Menu { faults, timeouts_ms: vec![1_000, 2_000], overlap_max: 3, length_ms: 60_000 }
    }

    #[test]
    fn a_seed_has_one_schedule_and_another_seed_another() {
        assert_eq!(expand(7, &menu()), expand(7, &menu()));
        assert_ne!(expand(7, &menu()), expand(8, &menu()));
    }

    #[test]
    fn a_schedule_fills_its_time_and_takes_one_member_down_at_a_time() {
        for seed in 0..200 {
            let schedule = expand(seed, &menu());
            assert!(schedule.last().is_some_and(|last| last.at_ms > 50_000), "seed {seed}");
            let numbers: Vec<u64> = schedule.iter().map(|planned| planned.number).collect();
            assert_eq!(numbers, (1..=schedule.len() as u64).collect::<Vec<_>>());
            let down: Vec<&Planned> = schedule.iter().filter(|planned| exclusive(&planned.fault)).collect();
            for pair in down.windows(2) {
                assert!(pair[0].at_ms + pair[0].for_ms <= pair[1].at_ms, "seed {seed}: {pair:?}");
            }
            assert!(schedule.iter().all(|planned| (SHORTEST_MS..=LONGEST_MS).contains(&planned.for_ms)));
        }
    }

    #[test]
    fn a_schedule_survives_the_history() {
        let schedule = expand(3, &menu());
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Planned>>(&text).unwrap(), schedule);
    }
}
