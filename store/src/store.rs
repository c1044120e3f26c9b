//! The store: one member, put together. Config → [`Store::build`] → [`Store::run`].
//!
//! ```text
//! data_dir ─▶ log ─┐
//!        engine ───┴▶ raft ─▶ apply ─▶ hub           build: nothing is answered yet
//! peer listener ─▶ raft runs ─▶ client listener ─▶ published ─▶ "ready to serve client requests"
//! stop: leadership handed over ─▶ streams end ─▶ raft ─▶ log
//! ```
//! Promises: whatever fails in `build` says what, why and what to try, and has lost nothing. Does not: read flags, set up
//! logging, listen for signals.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairlead_proto::served::etcdserverpb as pb;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply::{Command, Tables};
use crate::config::{ClusterState, Config, Url};
use crate::data_dir::{self, DataDir};
use crate::disk::{self, RESERVE_BYTES_DEFAULT, Reserve};
use crate::engine::Engine;
use crate::engine::rocks::{self, RocksEngine};
use crate::lease::{self, Lessor};
use crate::log::{self, Log, RealDisk};
use crate::metrics::Metrics;
use crate::mvcc::{self, Mvcc};
use crate::net::{self, Network};
use crate::raft::{self, Consensus, Handle};
use crate::rpc;
use crate::serving::{Listeners, Routes};
use crate::watch::{self, Hub};
use crate::{auto_compaction, http, simulated};

/// How long open calls may take to end once the member stops.
const DRAIN_MAX: Duration = Duration::from_millis(300);

/// Why a member could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory is not usable.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The raft log is not usable.
    #[error("the raft log cannot be opened")]
    Log(#[from] log::Error),
    /// Raft could not start or had to end.
    #[error(transparent)]
    Raft(#[from] raft::Error),
    /// The state is not usable.
    #[error(transparent)]
    Mvcc(#[from] mvcc::Error),
    /// Apply's tables are not usable.
    #[error(transparent)]
    Apply(#[from] crate::apply::Error),
    /// An address or a certificate is not usable.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// A task of the member ended.
    #[error("{what} failed: {reason}")]
    Task {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Metrics could not be registered.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// A member that is ready to run: everything is open, its addresses are bound, nothing is answered yet.
pub struct Store {
    config: Config,
    membership: raft::Membership,
    running: raft::Running,
    context: rpc::Context,
    rooms: Rooms,
    listeners: Listeners,
    /// Ends the member's tasks; cancelled after leadership has been handed over.
    stop: CancellationToken,
    _dir: DataDir,
}

/// What runs beside raft.
struct Rooms {
    mvcc: Mvcc,
    compactor: mvcc::Compactor,
    hub: Hub,
    tables: Tables,
    reserve: Reserve,
}

/// RocksDB in a folder, with this store's settings.
#[must_use]
pub fn rocks_engine() -> raft::OpenEngine {
    Arc::new(|folder| {
        let engine = RocksEngine::open(folder, &rocks::Config::default())?;
        Ok(Arc::new(engine) as Arc<dyn Engine>)
    })
}

/// What a member stands on: replaced where members are simulated.
pub struct Seams {
    /// The disk of the raft log, in a folder; `false` never syncs.
    pub disk: OpenDisk,
    /// The engine of the state.
    pub engine: raft::OpenEngine,
    /// All randomness: ids, boots, jitter.
    pub rng: StdRng,
    /// How members and clients reach each other.
    pub network: Network,
    /// Bounds of the raft log, and what ends the process when it cannot be written. `no_space` is the store's own.
    pub log: log::Config,
    /// Ends the process when raft or the state is dead. Where it returns, the member must be torn down from outside.
    pub end: raft::End,
}

/// Opens the disk that holds a folder, with syncs or without.
pub type OpenDisk = Arc<dyn Fn(&Path, bool) -> io::Result<Arc<dyn log::Disk>> + Send + Sync>;

impl Seams {
    /// Files, RocksDB, the system's randomness, and a process that aborts.
    #[must_use]
    pub fn real() -> Seams {
        let disk: OpenDisk = Arc::new(|folder, fsync| Ok(Arc::new(RealDisk::new(folder, fsync)?)));
        let (log, end) = (log::Config::default(), Arc::new(|_: &str| std::process::abort()));
        Seams { disk, engine: rocks_engine(), rng: StdRng::from_os_rng(), network: Network::Sockets, log, end }
    }
}

impl Store {
    /// Opens everything, on files.
    ///
    /// # Errors
    /// [`Error`]: what is wrong, and what to try; nothing has been lost.
    pub async fn build(config: Config) -> Result<Store, Error> {
        Store::build_on(config, Seams::real()).await
    }

    /// Opens everything, on `seams`.
    ///
    /// # Errors
    /// As [`Store::build`].
    pub async fn build_on(config: Config, seams: Seams) -> Result<Store, Error> {
        let Seams { disk, engine, mut rng, network, log, end } = seams;
        let dir = DataDir::open(&config, rng.random())?;
        let registry = prometheus::Registry::new();
        let listeners = Listeners::bind(&config, &network, &net::Metrics::new(&registry)?)?;
        let metrics = Metrics::new(registry)?;
        let stop = CancellationToken::new();
        let reserve = Reserve::new(&config.data_dir, RESERVE_BYTES_DEFAULT);

        let log = open_log(&dir, (&config, log), disk, &reserve, &metrics).await?;
        let opened = raft::open(log, dir.state.clone(), engine).await?;
        let (mvcc, writer) = Mvcc::open(opened.engine(), mvcc_config(&config, &metrics))?;
        let tables = Tables::load(&*opened.engine(), Lessor::default())?;
        let hub = Hub::new(Arc::new(mvcc.clone()), watch_config(&config), StdRng::from_rng(&mut rng));
        let rooms = raft::Rooms {
            mvcc: mvcc.clone(),
            writer,
            tables: tables.clone(),
            hub: hub.clone(),
            metrics: metrics.clone(),
        };
        let membership = membership(&config, &dir);
        let outside = raft::Outside { dial: dial(&config, &network)?, boot: rng.random(), end };
        let running = raft::start(&config, &membership, opened, rooms, outside, stop.clone()).await?;
        let rooms = Rooms { compactor: mvcc.compactor(), mvcc, hub, tables, reserve };
        let context = context(&config, &running, &rooms, metrics, StdRng::from_rng(&mut rng), &stop);
        Ok(Store { config, membership, running, context, rooms, listeners, stop, _dir: dir })
    }

    /// Serves until `shutdown`, or until the member has to end.
    ///
    /// # Errors
    /// Why the member had to end.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Store { config, membership, running, context, rooms, mut listeners, stop, _dir } = self;
        let mut tasks: JoinSet<Result<(), Error>> = JoinSet::new();
        let routes = Routes {
            peers: running.peer_routes(&config).into_axum_router().merge(http::router(&context)),
            grpc: rpc::services(&context),
            both: rpc::routes(&context),
            http: http::router(&context),
            metrics: http::metrics_router(&context),
        };
        // Until it has published itself, which comes behind all that was committed before.
        context.hold_reads();
        listeners.serve_peers(&routes, &mut tasks, &stop);
        spawn_rooms(&mut tasks, &config, &running.handle, rooms, &context.metrics, &stop);
        let alarming = context.clone();
        tasks.spawn(async move {
            rpc::disk_alarm::run(alarming).await;
            Ok(())
        });
        running.go(&membership).await?;
        listeners.serve_clients(&routes, &mut tasks, &stop);
        tasks.spawn(publish(config, membership, running.handle.clone(), context.clone()));

        let ended = loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                // Only the member itself cancels `stop` before the end.
                () = stop.cancelled() => break Err(ended(&running.handle)),
                Some(task) = tasks.join_next() => match finished(task) {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                }
            }
        };
        tracing::info!(target: "store", "stopping");
        running.step_down().await;
        stop.cancel();
        context.tasks().close();
        let drained = tokio::time::timeout(DRAIN_MAX, async {
            while tasks.join_next().await.is_some() {}
            context.tasks().wait().await;
        });
        let drained = drained.await;
        if drained.is_err() {
            tracing::info!(target: "store", "some calls did not end in time: they are cut off");
            tasks.shutdown().await;
        }
        running.stop().await;
        ended
    }
}

fn ended(handle: &Handle) -> Error {
    let reason = handle.fatal_reason().unwrap_or_else(|| "the member was stopped from inside".to_owned());
    Error::Raft(raft::Error::Ended(reason))
}

fn finished(task: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    task.unwrap_or_else(|error| Err(Error::Task { what: "a task", reason: error.to_string() }))
}

/// How other members are called.
fn dial(config: &Config, network: &Network) -> Result<raft::Dial, Error> {
    if let Network::InProcess(fabric) = network {
        let fabric = Arc::clone(fabric);
        return Ok(Arc::new(move |url| raft::Way::InProcess(fabric.way(url))));
    }
    let connector = net::Connector::new(&config.peer_tls, &config.listen_peer_urls)?;
    Ok(Arc::new(move |url| {
        raft::Way::Connection(match Url::parse(url) {
            Ok(url) => connector.channel(&url),
            // Every URL in the membership was checked when its cluster was founded; one that is none is never reached.
            Err(_) => connector.channel(&Url::localhost(0)),
        })
    }))
}

async fn open_log(
    dir: &DataDir,
    (config, log_config): (&Config, log::Config),
    disk: OpenDisk,
    reserve: &Reserve,
    metrics: &Metrics,
) -> Result<Log, Error> {
    let reserve = reserve.clone();
    let log_config = log::Config { no_space: Arc::new(move |full| reserve.starving(full)), ..log_config };
    let (folder, fsync, metrics) = (dir.log.clone(), !config.unsafe_no_fsync, log_metrics(metrics));
    let opened = simulated::blocking(move || {
        let disk = disk(&folder, fsync).map_err(|source| log::Error::Io {
            operation: "probe",
            path: folder.clone(),
            source,
        })?;
        Log::open(&folder, disk, log_config, metrics)
    })
    .await;
    Ok(opened.map_err(|error| Error::Task { what: "opening the log", reason: error.to_string() })??)
}

fn log_metrics(metrics: &Metrics) -> log::Metrics {
    let disk = &metrics.disk;
    log::Metrics {
        fsync: disk.wal_fsync_duration_seconds.clone(),
        write: disk.wal_write_duration_seconds.clone(),
        written_bytes: disk.wal_write_bytes_total.clone(),
    }
}

fn mvcc_config(config: &Config, metrics: &Metrics) -> mvcc::Config {
    mvcc::Config {
        metrics: mvcc::Metrics::of(metrics),
        compact_step_rows_max: config.compaction_batch_limit as usize,
        compact_step_pause: config.compaction_sleep_interval,
        ..mvcc::Config::default()
    }
}

fn watch_config(config: &Config) -> watch::Config {
    watch::Config { progress_notify_interval: config.watch_progress_notify_interval, ..watch::Config::default() }
}

fn membership(config: &Config, dir: &DataDir) -> raft::Membership {
    let data_dir::Identity { cluster, member, incarnation, .. } = dir.identity;
    let initial = data_dir::initial_ids(config).into_iter().map(|(_, id, urls)| (id, urls)).collect();
    let founds = config.initial_cluster_state == ClusterState::New;
    raft::Membership { cluster, member, incarnation, initial: founds.then_some(initial) }
}

fn context(
    config: &Config,
    running: &raft::Running,
    rooms: &Rooms,
    metrics: Metrics,
    rng: StdRng,
    stop: &CancellationToken,
) -> rpc::Context {
    rpc::Context::new(rpc::Parts {
        consensus: Arc::new(running.handle.clone()),
        mvcc: rooms.mvcc.clone(),
        hub: rooms.hub.clone(),
        leases: Arc::new(rooms.tables.clone()),
        snapshots: Arc::new(running.exporter()),
        members: rooms.tables.members.clone(),
        alarms: rooms.tables.alarms.clone(),
        quota: crate::quota::Quota::from_flag(config.quota_backend_bytes),
        disk: rooms.reserve.clone(),
        limits: rpc::Limits {
            request_bytes_max: config.limits.request_bytes_max as usize,
            txn_ops_max: config.limits.txn_ops_max as usize,
            slow_request: config.warning_unary_request_duration,
            election_timeout: config.election_timeout,
            ..rpc::Limits::default()
        },
        metrics,
        rng: Mutex::new(rng),
        shutdown: stop.clone(),
    })
}

fn spawn_rooms(
    tasks: &mut JoinSet<Result<(), Error>>,
    config: &Config,
    handle: &Handle,
    rooms: Rooms,
    metrics: &Metrics,
    stop: &CancellationToken,
) {
    let Rooms { mvcc, compactor, hub, tables, reserve } = rooms;
    let failed = |what| move |reason: String| Error::Task { what, reason };
    let watching = stop.clone();
    tasks.spawn(async move {
        let ended = hub.run(watching).await;
        ended.map_err(|error| failed("the watch hub")(error.to_string()))
    });
    let compacting = stop.clone();
    tasks.spawn(async move { Ok(compactor.run(compacting).await?) });
    let expired = metrics.server.lease_expired_total.clone();
    let leases = lease::Config::new(config.election_timeout);
    let expiry = lease::Expiry::new(tables.lessor, Arc::new(handle.clone()), leases, expired);
    let expiring = stop.clone();
    tasks.spawn(async move {
        expiry.run(expiring).await;
        Ok(())
    });
    let asking = stop.clone();
    tasks.spawn(async move {
        disk::run(reserve, asking).await;
        Ok(())
    });
    let (mode, consensus, stop) = (config.auto_compaction, Arc::new(handle.clone()), stop.clone());
    tasks.spawn(async move {
        auto_compaction::run(mode, consensus, mvcc, stop).await;
        Ok(())
    });
}

/// Publishes this member's name and client URLs, and says that it is ready.
async fn publish(
    config: Config,
    membership: raft::Membership,
    handle: Handle,
    context: rpc::Context,
) -> Result<(), Error> {
    let texts = |urls: &[crate::config::Url]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
    let member = pb::Member {
        id: membership.member,
        name: config.name.clone(),
        peer_ur_ls: texts(
            config.initial_cluster.peer_urls(&config.name).unwrap_or(&config.initial_advertise_peer_urls),
        ),
        client_ur_ls: texts(&config.advertise_client_urls),
        is_learner: false,
    };
    let command = Command::MemberPublish { member, incarnation: membership.incarnation };
    loop {
        let proposed = tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return Ok(()),
            proposed = handle.propose(command.clone()) => proposed,
        };
        match proposed {
            Ok(_) => break,
            // The proposal itself waited for a leader for its whole budget.
            Err(error) => tracing::warn!(target: "store", %error, "cannot publish this member yet; trying again"),
        }
    }
    context.recovered();
    tracing::info!(
        target: "store",
        local_member_id = format!("{:x}", membership.member),
        cluster_id = format!("{:x}", membership.cluster),
        "published local member to cluster through raft"
    );
    let clients = texts(&config.listen_client_urls).join(",");
    tracing::info!(target: "store", clients, "ready to serve client requests");
    Ok(())
}
