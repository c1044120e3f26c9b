//! Every planted bug is found, by the guarantee that it breaks; without it the same plans pass.

use std::time::Instant;

use fairlead_chaos_tests::check::InvariantId;
use fairlead_chaos_tests::simulation::{Blow, Plan, Strike, Whom, run, run_planted};
use fairlead_store::planted::Bug;

use super::{Folder, complaint};

/// A bug and how it is looked for.
struct Hunt {
    name: &'static str,
    /// Any of these, broken, finds it.
    breaks: &'static [u8],
    plan: fn(u64) -> Plan,
}

const SEEDS_MAX: u64 = 8;
const STEPS: u64 = 12_000;

/// Ever the same faults, each for so long and so far apart, on whom and what they are.
fn often(seed: u64, every_ms: u64, for_ms: u64, blows: &[(Whom, Blow)]) -> Plan {
    let mut plan = Plan::of(seed, STEPS);
    let safety = STEPS - 3_500;
    let at = (0..).map(|turn| 200 + seed % 7 * 30 + turn * every_ms).take_while(|at| at + for_ms < safety);
    let strikes = (1..).zip(at).zip(blows.iter().cycle());
    plan.schedule =
        strikes.map(|((number, at_ms), (on, blow))| Strike { number, at_ms, for_ms, on: *on, blow: *blow }).collect();
    plan
}

const LEADER: Whom = Whom::Leader;
const FOLLOWER: Whom = Whom::Follower(0);
const OTHER: Whom = Whom::Follower(1);

const HUNTS: [Hunt; 13] = [
    Hunt { name: "M-01", breaks: &[1, 4, 9], plan: |seed| often(seed, 1_500, 200, &[(LEADER, Blow::PowerCutOfAll)]) },
    Hunt { name: "M-02", breaks: &[1, 4, 9], plan: |seed| often(seed, 1_500, 400, &[(LEADER, Blow::SyncsFail)]) },
    Hunt { name: "M-03", breaks: &[1], plan: |seed| often(seed, 2_500, 1_500, &[(LEADER, Blow::Partition)]) },
    Hunt { name: "M-04", breaks: &[25], plan: |seed| often(seed, 900, 300, &[(FOLLOWER, Blow::Delay { ms: 40 })]) },
    Hunt { name: "M-05", breaks: &[23], plan: |seed| often(seed, 900, 300, &[(FOLLOWER, Blow::Delay { ms: 40 })]) },
    Hunt {
        name: "M-06",
        breaks: &[23],
        plan: |seed| often(seed, 2_800, 1_800, &[(FOLLOWER, Blow::Lag), (OTHER, Blow::Lag)]),
    },
    Hunt { name: "M-07", breaks: &[30, 33], plan: |seed| often(seed, 5_000, 4_200, &[(LEADER, Blow::Partition)]) },
    Hunt {
        name: "M-11",
        breaks: &[2, 9, 10, 11],
        plan: |seed| often(seed, 500, 60, &[(LEADER, Blow::Kill), (FOLLOWER, Blow::Kill), (OTHER, Blow::PowerCut)]),
    },
    Hunt { name: "M-12", breaks: &[12], plan: |seed| often(seed, 4_500, 2_500, &[(FOLLOWER, Blow::Partition)]) },
    Hunt {
        name: "M-13",
        breaks: &[47],
        plan: |seed| often(seed, 1_000, 100, &[(LEADER, Blow::PowerCut), (FOLLOWER, Blow::PowerCut)]),
    },
    Hunt { name: "M-17", breaks: &[1, 4, 9], plan: |seed| often(seed, 2_500, 1_500, &[(LEADER, Blow::Partition)]) },
    Hunt {
        name: "M-18",
        breaks: &[7, 23, 24],
        plan: |seed| often(seed, 900, 300, &[(FOLLOWER, Blow::Delay { ms: 40 })]),
    },
    Hunt { name: "M-19", breaks: &[22], plan: |seed| often(seed, 900, 300, &[(FOLLOWER, Blow::Delay { ms: 40 })]) },
];

fn bug(name: &str) -> Bug {
    Bug::ALL.iter().find(|(number, _)| *number == name).map(|(_, bug)| *bug).expect("it is in the catalogue")
}

/// The first seed that finds it, the guarantee, and how many seconds all took.
fn hunt(hunt: &Hunt, folder: &Folder) -> Option<(u64, InvariantId, f64)> {
    let begun = Instant::now();
    for seed in 1..=SEEDS_MAX {
        let file = folder.file(&format!("{}-{seed}", hunt.name));
        // With a bug a cluster may stand still for ever: members that skipped their syncs refuse their damaged logs.
        let ran = match run_planted(&(hunt.plan)(seed), &file, Some(bug(hunt.name))) {
            Ok(ran) => ran,
            Err(error) => {
                println!("simulation: {} cannot be judged on seed {seed}: {error:#}", hunt.name);
                continue;
            }
        };
        let broken: Vec<InvariantId> = ran.violated().map(|judged| judged.invariant).collect();
        if let Some(found) = broken.iter().find(|broken| hunt.breaks.contains(&broken.0)) {
            return Some((seed, *found, begun.elapsed().as_secs_f64()));
        }
        println!("simulation: {} passes seed {seed} ({:?}, {broken:?})", hunt.name, ran.verdict());
    }
    None
}

#[test]
fn every_planted_bug_is_found() {
    let folder = Folder::new();
    let only = std::env::var("FAIRLEAD_PLANTED").ok();
    let mut missed = Vec::new();
    let mut took = Vec::new();
    for it in HUNTS.iter().filter(|it| only.as_deref().is_none_or(|only| only == it.name)) {
        match hunt(it, &folder) {
            Some((seed, found, seconds)) => {
                println!("simulation: {} is found by {found} after {seed} seeds, {seconds:.1} s", it.name);
                took.push(seconds);
                let sound = run(&(it.plan)(seed), &folder.file(&format!("{}-without", it.name))).expect("it runs");
                assert_eq!(complaint(&sound), None, "{} switched off", it.name);
            }
            None => missed.push(it.name),
        }
    }
    took.sort_by(f64::total_cmp);
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    println!(
        "simulation: {} of {} planted bugs found, median time {median:.1} s",
        took.len(),
        took.len() + missed.len()
    );
    assert!(missed.is_empty(), "not found: {missed:?}");
}
