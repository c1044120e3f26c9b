//! A simulated run: a seed goes in, a history and its verdicts come out.
//!
//! ```text
//! warm-up ─▶ safety (the schedule) ─▶ heal ─▶ liveness ─▶ end: final reads, hashes, logs ─▶ judged
//! ```
//! The traffic is that of runs on processes, and so are the checkers. Everything runs on one thread, made for the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use fairlead_client::etcd::Client;
use fairlead_store::config;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::schedule::{Strike, draw};
use super::stage::Stage;
use super::strike;
use super::{ASK_WITHIN, STATUS_WITHIN};
use crate::history::{Event, HashKv, Header, Limits, MemberStep, Phase, Range, Request, SCHEMA};
use crate::record::Recorder;
use crate::run::{Ran, judge_history};
use crate::traffic::etcd::{Crowd, Kind, Scribes, Session, Traffic};

/// Steps of a run that is not told otherwise.
pub const STEPS: u64 = 20_000;
/// Of those: without faults before and after them, and for the end, where nothing is drawn.
const WARM_UP_STEPS: u64 = 1_500;
const LIVENESS_STEPS: u64 = 2_000;
/// Within which every part of the end has to come about.
const END_STEPS_MAX: u64 = 40_000;
/// Patience of clients.
const REQUEST_WITHIN: Duration = Duration::from_millis(400);
/// Calls under way when the traffic stops are over after this.
const DRAIN_STEPS: u64 = 100;
/// Longer than a log waits, when it is idle, until it writes what is committed.
const MARK_STEPS: u64 = 300;
/// Between two looks at who leads.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks between two records of how far a member is.
const STATUS_EVERY: u32 = 10;

/// What a run does; the whole of it is in its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of all chance.
    pub seed: u64,
    /// Milliseconds of the simulation until its end begins.
    pub steps: u64,
    /// Members.
    pub members: usize,
    /// The clients.
    pub crowds: Vec<Crowd>,
    /// The faults.
    pub schedule: Vec<Strike>,
}

impl Plan {
    /// The plan of a seed: three members, everybody, faults as drawn.
    #[must_use]
    pub fn of(seed: u64, steps: u64) -> Plan {
        let crowd = |kind, clients, pause_ms| Crowd { kind, clients, pause_ms };
        let crowds = vec![
            crowd(Kind::Register, 4, 60),
            crowd(Kind::OldTxn, 2, 80),
            crowd(Kind::Append, 2, 80),
            crowd(Kind::Kube, 1, 80),
            crowd(Kind::Lease, 2, 100),
            crowd(Kind::Lock, 2, 120),
            crowd(Kind::Watch, 3, 80),
            crowd(Kind::Compact, 1, 500),
        ];
        let safety = steps.saturating_sub(WARM_UP_STEPS + LIVENESS_STEPS);
        Plan { seed, steps, members: 3, crowds, schedule: draw(seed ^ 0x6661_756c_7473, safety) }
    }
}

/// Runs a plan on a thread of its own; its history is written to `history`.
///
/// # Errors
/// When it could not be carried out; a run that was has a verdict, however bad.
pub fn run(plan: &Plan, history: &Path) -> anyhow::Result<Ran> {
    on_a_thread(plan, history, || ())
}

/// The same with a bug switched on, or none.
///
/// # Errors
/// As [`run`].
#[cfg(feature = "planted")]
pub fn run_planted(plan: &Plan, history: &Path, bug: Option<fairlead_store::planted::Bug>) -> anyhow::Result<Ran> {
    on_a_thread(plan, history, move || fairlead_store::planted::on_this_thread(bug))
}

fn on_a_thread(plan: &Plan, history: &Path, begin: impl FnOnce() + Send + 'static) -> anyhow::Result<Ran> {
    let (plan, history) = (plan.clone(), history.to_owned());
    let running = std::thread::Builder::new().name(format!("seed-{}", plan.seed)).spawn(move || {
        fairlead_store::simulated::this_thread(plan.seed);
        begin();
        simulate(&plan, history)
    })?;
    running.join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        anyhow!(
            "the simulation has panicked: {}",
            text.unwrap_or_else(|| format!("{:?}", panic.downcast_ref::<&str>()))
        )
    })?
}

fn simulate(plan: &Plan, history: PathBuf) -> anyhow::Result<Ran> {
    let folder = tempfile::Builder::new().prefix("fairlead-simulation-").tempdir()?;
    let header = Header {
        schema: SCHEMA,
        seed: plan.seed,
        target: "simulation".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        argv: Vec::new(),
        members: (1..=plan.members as u64).collect(),
        limits: Limits {
            election_ms: 1_000,
            converge_ms: 20_000,
            rate_floor: 20,
            return_gap_ms: 300,
            ..Limits::default()
        },
        plan: Some(serde_json::to_value(plan)?),
    };
    let make = || Ok(Recorder::create(&history, &header)?);
    let mut stage = Stage::build(plan.members, &store(), folder.path(), plan.seed, make)?;
    let doubts = play(plan, &mut stage)?;
    let recorder = Arc::clone(&stage.recorder);
    drop(stage);
    recorder.finish()?;
    let (_, judged) = judge_history(&history)?;
    Ok(Ran {
        scenario: "simulation".to_owned(),
        seed: plan.seed,
        history,
        report: None,
        counted: recorder.counted(),
        faults: plan.schedule.len() as u64,
        doubts,
        logged: true,
        judged,
    })
}

/// Members that elect fast, and snapshot, purge and compact often.
fn store() -> config::Config {
    config::Config {
        heartbeat_interval: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
        snapshot_count: 60,
        snapshot_catchup_entries: 20,
        log_retained_bytes_max: 256 << 10,
        compaction_batch_limit: 20,
        compaction_sleep_interval: Duration::from_millis(4),
        ..config::Config::default()
    }
}

/// All phases; what is doubtful about them.
fn play(plan: &Plan, stage: &mut Stage) -> anyhow::Result<Vec<String>> {
    plan.schedule.iter().for_each(|it| strike::plan(stage, it));
    let seats = Arc::new(stage.seats());
    let clients =
        (0..plan.members).map(|host| stage.client(host, STATUS_WITHIN)).collect::<anyhow::Result<Vec<_>>>()?;
    let leader = Arc::new(AtomicUsize::new(0));
    let recorder = Arc::clone(&stage.recorder);
    let (looking, traffic, scribes) = stage.as_clients(|| {
        let looking = tokio::spawn(look(clients, Arc::clone(&recorder), Arc::clone(&leader)));
        let traffic = Traffic::start(&plan.crowds, plan.seed, REQUEST_WITHIN, &seats, &recorder);
        Ok::<_, anyhow::Error>((looking, traffic?, Scribes::start(&recorder, &seats)?))
    })?;
    // Until there is a leader, nobody is served.
    stage.steps(WARM_UP_STEPS / 3)?;
    stage.record(&Event::Phase(Phase::WarmUp));
    stage.steps(WARM_UP_STEPS - WARM_UP_STEPS / 3)?;

    stage.record(&Event::Phase(Phase::Safety));
    let until = plan.steps.saturating_sub(LIVENESS_STEPS);
    suffer(&plan.schedule, stage, &leader, until)?;

    stage.record(&Event::Phase(Phase::Heal));
    stage.record(&Event::Phase(Phase::Liveness));
    stage.steps(LIVENESS_STEPS)?;
    stage.until_done(END_STEPS_MAX, traffic.stop())?;
    stage.steps(DRAIN_STEPS)?;
    // The last word of each member is that of the end, when all are asked together.
    looking.abort();
    end(plan, stage, scribes)
}

/// Carries out the schedule until `until`.
fn suffer(schedule: &[Strike], stage: &mut Stage, leader: &AtomicUsize, until: u64) -> anyhow::Result<()> {
    let begun = stage.world.steps();
    let mut strikes = schedule.iter().copied().peekable();
    let mut in_force = BTreeMap::new();
    while stage.world.steps() < until {
        let now = stage.world.steps() - begun;
        while let Some(strike) = strikes.next_if(|strike| strike.at_ms <= now) {
            let force = strike::apply(stage, strike, leader.load(Ordering::Relaxed))?;
            in_force.insert((strike.at_ms + strike.for_ms, strike.number), force);
        }
        while let Some(over) = in_force.first_entry().filter(|first| first.key().0 <= now) {
            over.remove().undo(stage)?;
        }
        stage.step()?;
    }
    in_force.into_values().try_for_each(|force| force.undo(stage))
}

/// Everybody at the same index, the final reads, the hashes, the watches, the logs.
fn end(plan: &Plan, stage: &mut Stage, mut scribes: Scribes) -> anyhow::Result<Vec<String>> {
    stage.record(&Event::Phase(Phase::End));
    let mut doubts = Vec::new();
    let clients = (0..plan.members).map(|host| stage.client(host, ASK_WITHIN)).collect::<anyhow::Result<Vec<_>>>()?;
    let (recorder, seats) = (Arc::clone(&stage.recorder), stage.seats());
    let within = Duration::from_secs(20);
    let ended = stage.until_done(END_STEPS_MAX, async move {
        let revision = converge(&clients, &recorder, within).await;
        let mut session = Session::open(&recorder, &seats, 0, false, ASK_WITHIN)?;
        let everything = Range { key: "\0".to_owned(), end: Some("\0".to_owned()), ..Range::default() };
        let read = session.ask(Request::Range(everything)).await.ok().is_some();
        for (number, client) in (1..).zip(&clients) {
            // Not recorded, it is missed by the checker.
            let Ok(answer) = client.hash_kv(revision).await else { continue };
            let (compact_revision, hash) = (answer.compact_revision, answer.hash);
            recorder.record(&Event::HashKv(HashKv { member: number, revision, compact_revision, hash }));
        }
        let late = scribes.reach(revision, Duration::from_secs(10)).await;
        scribes.stop().await;
        Ok::<_, fairlead_client::etcd::Error>((read, late))
    })?;
    let (read, late) = ended?;
    if !read {
        doubts.push("the final read failed".to_owned());
    }
    if !late.is_empty() {
        tracing::warn!(?late, "watches have not come to the end");
    }
    // What was committed last is marked so in the logs once they are idle.
    stage.steps(MARK_STEPS)?;
    stage.close();
    Ok(doubts)
}

/// Waits until all members have applied the same, and records how far each is; the highest revision.
async fn converge(clients: &[Client], recorder: &Recorder, within: Duration) -> i64 {
    let until = tokio::time::Instant::now() + within;
    loop {
        let statuses = join_all(clients.iter().map(Client::status)).await;
        let (mut applied, mut revisions) = (Vec::new(), Vec::new());
        for (number, status) in (1..).zip(&statuses) {
            let Ok(status) = status else { continue };
            let revision = status.header.as_ref().map_or(0, |header| header.revision);
            applied.push(status.raft_applied_index);
            revisions.push(revision);
            let step = MemberStep::Status { applied: status.raft_applied_index, revision, term: status.raft_term };
            recorder.member(number, step);
        }
        let same = applied.len() == clients.len() && applied.iter().min() == applied.iter().max();
        if same || tokio::time::Instant::now() > until {
            return revisions.into_iter().max().unwrap_or(0);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Looks who leads and how far each member is, until it is dropped.
async fn look(clients: Vec<Client>, recorder: Arc<Recorder>, leader: Arc<AtomicUsize>) {
    let mut leading = (0, 0);
    for look in 0u32.. {
        let statuses = join_all(clients.iter().map(Client::status)).await;
        for (number, status) in (1..).zip(statuses) {
            let Ok(status) = status else { continue };
            let header = status.header.unwrap_or_default();
            if look.is_multiple_of(STATUS_EVERY) {
                let (applied, term) = (status.raft_applied_index, status.raft_term);
                recorder.member(number, MemberStep::Status { applied, revision: header.revision, term });
            }
            if status.leader == header.member_id && (status.raft_term, number) > leading {
                leading = (status.raft_term, number);
                leader.store(number as usize - 1, Ordering::Relaxed);
                recorder.member(number, MemberStep::Leader { term: status.raft_term });
            }
        }
        sleep(LOOK_EVERY).await;
    }
}
