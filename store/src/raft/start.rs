//! Starting a member: log, state and openraft brought to one point, then the tasks around them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::log_store::LogStore;
use super::network::{self, Dial, Factory, Identity, Incarnations, Peers};
use super::node::{Handle, Node, Parts};
use super::retention::Retention;
use super::silence::Gate;
use super::snapshot::Exporter;
use super::state_dir::StateDir;
use super::state_machine::StateMachine;
use super::timing::{Timing, openraft_config};
use super::types::{Peer, StoredMembership, log_id};
use super::{leader, proposer, transfer, watchdog};
use crate::apply::{Applier, Tables, meta};
use crate::config::Config;
use crate::engine::{self, Family};
use crate::log::{self, Log};
use crate::metrics::Metrics;
use crate::mvcc::{Mvcc, Writer};
use crate::simulated;
use crate::watch::Hub;

/// Room of a peer message above its entries.
const FRAME_OVERHEAD_BYTES: usize = 1 << 20;

/// Bytes of proposals that wait or are in flight on one member (`proposals_inflight_bytes_max`).
const PROPOSALS_INFLIGHT_BYTES_MAX: usize = 64 << 20;

/// How long a stopping leader waits for its successor.
const STEP_DOWN_MAX: Duration = Duration::from_millis(800);

/// Why a member could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used.
    #[error("the timing flags cannot be used: {0}")]
    Timing(String),
    /// The state's folder could not be opened.
    #[error("opening the state failed: {0}")]
    State(String),
    /// The log could not be used.
    #[error("the raft log failed")]
    Log(#[from] log::Error),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Apply's tables could not be loaded.
    #[error(transparent)]
    Apply(#[from] crate::apply::Error),
    /// openraft refused to start.
    #[error("raft could not start: {0}")]
    Raft(String),
    /// The member must end, and says why.
    #[error("{0}")]
    Ended(String),
}

/// The applied state, opened before openraft starts.
pub struct Opened {
    state: Arc<StateDir>,
    log: Log,
}

/// Opens log and state, and brings them to one point.
///
/// Applied may have become durable before the log was, and a crash right after a snapshot install leaves a log that does
/// not reach it: then the log is dropped up to the applied entry, which the state covers.
///
/// # Errors
/// [`Error`].
pub async fn open(log: Log, state: PathBuf, engine: super::OpenEngine) -> Result<Opened, Error> {
    let opened = simulated::blocking(move || StateDir::open(&state, engine)).await;
    let state = opened.map_err(|error| Error::State(error.to_string()))?;
    let state = state.map_err(|error| Error::State(with_cause(&error)))?;
    let applied = state.engine().get_durable(Family::Meta, meta::APPLIED)?.map(meta::decode_applied).transpose()?;
    if let Some((term, index)) = applied {
        let applied = log::LogId { term, index };
        let known = log.state();
        let purged = known.purged.is_some_and(|purged| purged.index >= index);
        if !purged && log.read(index, index + 1, 1).ok().and_then(|found| found.first().map(|e| e.id)) != Some(applied)
        {
            tracing::warn!(target: "raft", term, index, "the log does not reach the applied state: it starts anew there");
            log.reset(applied).await?;
        }
    }
    Ok(Opened { state: Arc::new(state), log })
}

/// The engine of the state in `folder`, which is made if it is not there. Blocks.
///
/// # Errors
/// [`Error::State`].
pub fn open_state(
    folder: &std::path::Path,
    engine: super::OpenEngine,
) -> Result<Arc<dyn crate::engine::Engine>, Error> {
    let state = StateDir::open(folder, engine).map_err(|error| Error::State(with_cause(&error)))?;
    Ok(state.engine())
}

/// The membership record of a restored state that ends at `index`: as if an entry of term 0 had set it there.
#[must_use]
pub fn restored_membership(index: u64, members: Vec<(u64, Vec<String>)>) -> bytes::Bytes {
    let nodes: std::collections::BTreeMap<u64, Peer> =
        members.into_iter().map(|(id, urls)| (id, Peer { urls })).collect();
    let voters = nodes.keys().copied().collect();
    let membership = super::types::Membership::new(vec![voters], nodes).expect("every voter has a node");
    super::wire::encode_stored_membership(&StoredMembership::new(Some(log_id(0, index)), membership))
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl Opened {
    /// The engine of the current state.
    #[must_use]
    pub fn engine(&self) -> Arc<dyn crate::engine::Engine> {
        self.state.engine()
    }
}

/// Who this member is and whom it starts with.
pub struct Membership {
    /// Cluster id.
    pub cluster: u64,
    /// Member id.
    pub member: u64,
    /// Of the data directory.
    pub incarnation: u64,
    /// Members of a new cluster: id and peer URLs; `None` where the cluster exists already.
    pub initial: Option<Vec<(u64, Vec<String>)>>,
}

/// The rooms that raft drives.
pub struct Rooms {
    /// Reads, and the counters that an install replaces.
    pub mvcc: Mvcc,
    /// The single writer's half.
    pub writer: Writer,
    /// Leases, members, alarms.
    pub tables: Tables,
    /// Hears of changes.
    pub hub: Hub,
    /// All families.
    pub metrics: Metrics,
}

/// Ends the process: what is said about it has been logged. Seam: a simulated member has none of its own.
pub type End = Arc<dyn Fn() + Send + Sync>;

/// What a member is given of the world.
pub struct Outside {
    /// Calls other members.
    pub dial: Dial,
    /// A number of this run of the member.
    pub boot: u64,
    /// Called when the member must not live on.
    pub end: End,
}

/// A running member.
pub struct Running {
    /// For the services.
    pub handle: Handle,
    exporter: Exporter,
    tasks: JoinSet<()>,
    log: Log,
}

/// Starts openraft and the tasks around it.
///
/// # Errors
/// [`Error`].
pub async fn start(
    config: &Config,
    membership: &Membership,
    opened: Opened,
    rooms: Rooms,
    outside: Outside,
    shutdown: CancellationToken,
) -> Result<Running, Error> {
    let Outside { dial, boot, end } = outside;
    let timing = Timing::new(config);
    let raft_config = Arc::new(openraft_config(config, timing).map_err(Error::Timing)?);
    let Membership { cluster, member, incarnation, .. } = *membership;
    let identity = Identity { cluster, member, incarnation };
    let incarnations = Incarnations::default();
    incarnations.replace(meta::incarnations(&*opened.state.engine().snapshot())?);
    let request_bytes_max = config.limits.request_bytes_max as usize;
    let message_bytes_max = 2 * request_bytes_max.max(1 << 20) + FRAME_OVERHEAD_BYTES;
    let Rooms { mvcc, writer, tables, hub, metrics } = rooms;
    let contacts = network::Contacts::new(member, metrics.network.clone());
    let peers = Peers::new(identity, incarnations.clone(), dial, contacts, message_bytes_max);
    let (silent, gate) = Gate::new();

    let published = {
        let incarnations = incarnations.clone();
        Box::new(move |id, incarnation| incarnations.set(id, incarnation))
    };
    let applier = Applier::new(mvcc, writer, tables.clone(), hub, &metrics, config.warning_apply_duration, published);
    let answers = Arc::new(Answers::new(member, boot));
    let (machine, applied) =
        StateMachine::new(applier, Arc::clone(&opened.state), Arc::clone(&answers), metrics.clone())
            .map_err(|error| Error::State(error.to_string()))?;
    let incoming = config.data_dir.join("member").join("snap");
    let (state, folder) = (Arc::clone(&opened.state), incoming.clone());
    let exporter = Exporter { state, folder, cluster, member, metrics: metrics.clone() };
    let factory = Factory {
        peers: peers.clone(),
        exporter: exporter.clone(),
        reply_deadline: timing.reply_deadline,
        heartbeat: timing.heartbeat,
        gate,
    };
    let log_store = LogStore { log: opened.log.clone() };
    let raft = Raft::build(member, raft_config, factory, log_store, machine).await;
    let raft = raft.map_err(|error| Error::Raft(error.to_string()))?;

    let engine = Arc::clone(&opened.state);
    let (leader, follow_leader) = watch::channel(None);
    let (leading, follow_leading) = watch::channel(None);
    let parts = Parts {
        raft,
        identity,
        incarnations,
        peers,
        answers,
        tables,
        state: opened.state,
        incoming,
        applied,
        leader: follow_leader,
        leading: follow_leading,
        timing,
        request_bytes_max,
        inflight_bytes_max: PROPOSALS_INFLIGHT_BYTES_MAX,
        metrics,
        shutdown: shutdown.clone(),
    };
    let node = Node::new(parts);
    let mut tasks = JoinSet::new();
    let followed = leader::Followed { leader, leading, silent };
    tasks.spawn(leader::follow(Arc::clone(&node), followed, shutdown.clone()));
    tasks.spawn(network::members::follow(node.peers().clone(), node.raft().clone(), shutdown.clone()));
    tasks.spawn(network::probe::run(node.peers().clone(), shutdown.clone()));
    tasks.spawn(proposer::run(Arc::clone(&node), shutdown.clone()));
    let retention = Retention { log: opened.log.clone(), bytes_max: config.log_retained_bytes_max };
    tasks.spawn(retention.run(Arc::clone(&node), shutdown.clone()));
    tasks.spawn(watchdog::watch_engine(engine, Arc::clone(&end), shutdown.clone()));
    tasks.spawn(watchdog::watch(Arc::clone(&node), end, shutdown));
    Ok(Running { handle: Handle(node), exporter, tasks, log: opened.log })
}

impl Running {
    /// Makes snapshots of this member's state for clients.
    #[must_use]
    pub fn exporter(&self) -> Exporter {
        self.exporter.clone()
    }

    /// The peer services, for the peer listener.
    #[must_use]
    pub fn peer_routes(&self, config: &Config) -> tonic::service::Routes {
        let message_bytes_max = 2 * (config.limits.request_bytes_max as usize).max(1 << 20) + FRAME_OVERHEAD_BYTES;
        network::services(Arc::clone(&self.handle.0), message_bytes_max)
    }

    /// Lets openraft run, and founds the cluster where it is new. Call once the peer listener answers.
    ///
    /// # Errors
    /// [`Error::Raft`].
    pub async fn go(&self, membership: &Membership) -> Result<(), Error> {
        let raft = self.handle.raft();
        raft.run();
        let failed = |error: &dyn std::fmt::Display| Error::Raft(error.to_string());
        let founded = raft.is_initialized().await.map_err(|error| failed(&error))?;
        if let Some(initial) = membership.initial.as_ref().filter(|_| !founded) {
            let members = initial.iter().map(|(id, urls)| (*id, Peer { urls: urls.clone() }));
            let members: std::collections::BTreeMap<u64, Peer> = members.collect();
            match raft.initialize(members).await {
                Ok(()) => {}
                // The leader's first append was faster.
                Err(error) if error.api_error().is_some() => {
                    tracing::info!(target: "raft", %error, "the cluster was founded by another member");
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    /// Hands over leadership, ends openraft and the log. Call before cancelling the token of `start`.
    pub async fn step_down(&self) {
        transfer::step_down(&self.handle, STEP_DOWN_MAX).await;
    }

    /// Ends openraft, the tasks and the log; the token of `start` is cancelled.
    pub async fn stop(mut self) {
        if let Err(error) = self.handle.raft().shutdown().await {
            tracing::warn!(target: "raft", %error, "raft did not end in order");
        }
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(target: "raft", %error, "a raft task did not end in order");
            }
        }
        self.log.close().await;
    }
}
