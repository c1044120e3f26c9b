//! Carries out a plan from the first process to the verdicts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::outcome::{is_logged, judge_history};
use super::target::Candidate;
use super::{Error, Plan, Ran, committed, finals, left, logs, watcher};
use crate::cluster::process::{Cluster, Config};
use crate::fault::ledger::{Ledger, Process, Undo, undo_abandoned};
use crate::fault::{self, Ground};
use crate::history::{Event, Header, MemberStep, Phase, SCHEMA};
use crate::nemesis::{Done, execute};
use crate::record::Recorder;
use crate::report::{self, Files};
use crate::traffic::etcd::{Scribes, Seat, Traffic};

/// How long an operation may be under way after the traffic was told to stop.
const DRAIN: Duration = Duration::from_millis(300);

/// How long a member may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// How long traffic may take to come up to its floor, and how often that is looked at.
const SPEED_WITHIN: Duration = Duration::from_secs(30);
const SPEED_LOOK: Duration = Duration::from_millis(500);

/// How a run is done, beside its plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the history goes.
    pub history: PathBuf,
    /// Where undo ledgers are.
    pub ledgers: PathBuf,
    /// The command line, for the history.
    pub argv: Vec<String>,
    /// Keep the members' data and logs here.
    pub keep: Option<PathBuf>,
}

/// The plan in a history.
///
/// # Errors
/// When it cannot be read, or has none.
pub fn replay_plan(path: &Path) -> Result<Plan, Error> {
    let (history, _) = judge_history(path)?;
    let plan = history.header().plan.clone().and_then(|plan| serde_json::from_value(plan).ok());
    plan.ok_or_else(|| Error::NoPlan { path: path.to_owned() })
}

/// Carries out a plan on a target.
///
/// # Errors
/// When it could not be carried out; a run that was carried out has a verdict, however bad.
pub async fn run(plan: &Plan, candidate: &Candidate, options: &Options) -> Result<Ran, Error> {
    let undone = undo_abandoned(&options.ledgers);
    undone.map_err(|source| Error::File { path: options.ledgers.clone(), source })?;
    let recorder = Arc::new(recorder(plan, candidate, options)?);
    let ledger = Ledger::open(&options.ledgers);
    let ledger = ledger.map_err(|source| Error::File { path: options.ledgers.clone(), source })?;
    let cluster = start(plan, candidate, options).await?;
    let (dir, dir_stays) = (cluster.dir().to_owned(), options.keep.is_some());
    if !dir_stays {
        let entered = ledger.enter(Undo::Folder(dir.clone()));
        entered.map_err(|source| Error::File { path: options.ledgers.clone(), source })?;
    }
    let ground = Arc::new(Ground::new(cluster, Arc::clone(&recorder), ledger)?);
    let mut playing = Playing::start(plan, &ground)?;
    let played = playing.play(plan).await;
    let processes = playing.end().await;
    let mut doubts = played?;
    // A put that is refused for want of space is in the log all the same: what it says there is not what happened.
    let logged = candidate.is_ours() && !plan.may_run_full();
    doubts.extend(stop(logged, ground, options).await?);
    let left = left::left(&processes, &dir, dir_stays);
    if !left.is_empty() {
        return Err(Error::Left { left });
    }
    recorder.finish()?;
    let (path, report) = (options.history.clone(), Files::beside(&options.history));
    let files = report.clone();
    // Seconds of pure work: not on a thread that serves sockets.
    let judging = tokio::task::spawn_blocking(move || {
        let (history, judged) = judge_history(&path)?;
        let summary = report::write(&files, &path, &history, &judged)?;
        Ok::<_, Error>((is_logged(&history), judged, summary))
    });
    let failed = |error: tokio::task::JoinError| Error::File { path: options.history.clone(), source: error.into() };
    let (logged, judged, summary) = judging.await.map_err(failed)??;
    Ok(Ran {
        scenario: plan.scenario.clone(),
        seed: plan.seed,
        history: options.history.clone(),
        report: Some(Box::new((report, summary))),
        counted: recorder.counted(),
        faults: plan.schedule.len() as u64,
        doubts,
        logged,
        judged,
    })
}

fn recorder(plan: &Plan, candidate: &Candidate, options: &Options) -> Result<Recorder, Error> {
    let header = Header {
        schema: SCHEMA,
        seed: plan.seed,
        target: candidate.name.clone(),
        version: candidate.version.clone(),
        argv: options.argv.clone(),
        members: (1..=plan.members as u64).collect(),
        limits: plan.limits.clone(),
        plan: Some(
            serde_json::to_value(plan)
                .map_err(|error| Error::File { path: options.history.clone(), source: error.into() })?,
        ),
    };
    if let Some(folder) = options.history.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    }
    Ok(Recorder::create(&options.history, &header)?)
}

async fn start(plan: &Plan, candidate: &Candidate, options: &Options) -> Result<Cluster, Error> {
    let mut config = Config::new(candidate.program.clone());
    config.members = plan.members;
    config.args = plan.flags.clone();
    config.disk_mib = plan.disk_mib;
    config.dir = options.keep.clone();
    let cluster = if plan.clocks {
        // The members' clock files lie in the cluster's folder, which has to be known before.
        let dir = match &config.dir {
            Some(dir) => dir.clone(),
            None => tempfile::Builder::new()
                .prefix("fairlead-chaos-")
                .tempdir()
                .map(tempfile::TempDir::keep)
                .map_err(|source| Error::File { path: std::env::temp_dir(), source })?,
        };
        config.env = fault::clock_environment(&dir);
        config.dir = Some(dir);
        Cluster::start(config).await
    } else {
        Cluster::start(config).await
    };
    match cluster {
        Err(error @ crate::cluster::process::Error::Disk { .. }) => {
            Err(Error::Precondition { what: error.to_string() })
        }
        other => Ok(other?),
    }
}

/// What goes on beside the schedule.
struct Playing {
    ground: Arc<Ground>,
    watcher: JoinHandle<()>,
    scribes: Option<Scribes>,
    seats: Arc<Vec<Seat>>,
    /// Every process that has been seen.
    processes: HashSet<Process>,
}

impl Playing {
    fn start(plan: &Plan, ground: &Arc<Ground>) -> Result<Playing, Error> {
        for number in 1..=plan.members as u64 {
            ground.recorder.member(number, MemberStep::Started);
            ground.recorder.member(number, MemberStep::Ready);
        }
        let seats: Vec<Seat> =
            (1..).zip(ground.cluster.members()).map(|(member, it)| Seat::at(member, it.client_proxy_url())).collect();
        let mut playing = Playing {
            ground: Arc::clone(ground),
            watcher: tokio::spawn(watcher::watch(Arc::clone(ground))),
            scribes: Some(Scribes::start(&ground.recorder, &seats)?),
            seats: Arc::new(seats),
            processes: HashSet::new(),
        };
        playing.note_processes();
        Ok(playing)
    }

    /// Ends what goes on beside the schedule; every process that was seen.
    async fn end(self) -> Vec<Process> {
        self.watcher.abort();
        // Its clone of the ground goes with it; an error says that it was aborted.
        self.watcher.await.unwrap_or_default();
        if let Some(scribes) = self.scribes {
            scribes.stop().await;
        }
        self.processes.into_iter().collect()
    }

    fn note_processes(&mut self) {
        let pids = self.ground.cluster.members().iter().filter_map(|member| member.pid());
        self.processes.extend(pids.filter_map(Process::of));
    }

    /// All phases; what is doubtful about them.
    async fn play(&mut self, plan: &Plan) -> Result<Vec<String>, Error> {
        let ground = Arc::clone(&self.ground);
        let recorder = &ground.recorder;
        let timeout = Duration::from_millis(plan.request_ms);
        let traffic = Traffic::start(&plan.crowds, plan.seed, timeout, &self.seats, recorder)?;
        up_to_speed(recorder, plan.limits.rate_floor).await;
        recorder.phase(Phase::WarmUp);
        sleep(Duration::from_millis(plan.warm_up_ms)).await;

        recorder.phase(Phase::Safety);
        let until = Instant::now() + Duration::from_millis(plan.safety_ms);
        let Done { missed, stuck, .. } = execute(&ground, &plan.schedule).await;
        tokio::time::sleep_until(until).await;

        recorder.phase(Phase::Heal);
        let mut doubts = missed;
        // What could not be undone ends the run: what came after it would mean nothing.
        if stuck.is_empty() {
            self.heal().await?;
            recorder.phase(Phase::Liveness);
            sleep(Duration::from_millis(plan.liveness_ms)).await;
        } else {
            stuck.into_iter().for_each(|what| doubt(recorder, &mut doubts, format!("the harness is stuck: {what}")));
        }
        traffic.stop().await;
        sleep(DRAIN).await;

        recorder.phase(Phase::End);
        let revision = finals::converge(&ground, Duration::from_millis(plan.limits.converge_ms)).await;
        if !finals::read_all(&ground).await? {
            doubt(recorder, &mut doubts, "a final read failed".to_owned());
        }
        finals::hashes(&ground, revision).await;
        if let Some(mut scribes) = self.scribes.take() {
            let late = scribes.reach(revision, Duration::from_millis(plan.limits.watch_ms)).await;
            if !late.is_empty() {
                tracing::warn!(?late, revision, "watches have not come to the end");
            }
            scribes.stop().await;
        }
        self.note_processes();
        let scanned = logs::scan(&ground, plan.may_end());
        scanned.map_err(|source| Error::File { path: ground.cluster.dir().to_owned(), source })?;
        Ok(doubts)
    }

    /// Opens every link and starts whoever is down.
    async fn heal(&mut self) -> Result<(), Error> {
        self.ground.cluster.heal();
        for name in self.ground.names() {
            self.ground.start(&name).await?;
        }
        self.note_processes();
        Ok(())
    }
}

/// Waits, within bounds, until clients have their connections and the members their leader.
async fn up_to_speed(recorder: &Recorder, rate_floor: u64) {
    let until = Instant::now() + SPEED_WITHIN;
    while Instant::now() < until {
        let before = recorder.counted().succeeded;
        sleep(SPEED_LOOK).await;
        let rate = (recorder.counted().succeeded - before) * 1_000 / SPEED_LOOK.as_millis() as u64;
        if rate >= rate_floor {
            return;
        }
    }
}

/// What the run proves less for, in the history too: who judges that later has to know.
fn doubt(recorder: &Recorder, doubts: &mut Vec<String>, what: String) {
    recorder.record(&Event::Doubt(what.clone()));
    doubts.push(what);
}

/// Ends the members, reads their logs, closes the ledger; what is doubtful.
async fn stop(logged: bool, ground: Arc<Ground>, options: &Options) -> Result<Vec<String>, Error> {
    let mut doubts = Vec::new();
    let Some(ground) = Arc::into_inner(ground) else {
        return Err(Error::Left { left: vec!["a task of the run".to_owned()] });
    };
    let Ground { cluster, recorder, ledger, .. } = ground;
    if logged {
        for (number, member) in (1..).zip(cluster.members()) {
            if member.state() != crate::cluster::process::State::Stopped {
                // In order, if it can: a killed member's log does not say yet that its last entries are committed.
                if member.terminate(END_WITHIN).await.is_err() {
                    member.kill().await?;
                }
            }
            let outside = cluster.disks().map(|disks| disks.from_outside(member.data_dir()));
            match committed::committed(outside.as_deref().unwrap_or(member.data_dir()), number) {
                Ok(entries) => entries.into_iter().for_each(|entry| recorder.record(&Event::Entry(entry))),
                Err(error) => doubt(&recorder, &mut doubts, format!("the log of {}: {error}", member.name())),
            }
        }
    }
    cluster.shutdown().await?;
    let closed = ledger.close();
    closed.map_err(|source| Error::File { path: options.ledgers.clone(), source })?;
    Ok(doubts)
}
