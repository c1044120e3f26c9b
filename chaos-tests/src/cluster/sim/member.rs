//! One member: its disk and engines, and the life that runs on them now.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fairlead_proto::etcd::etcdserverpb::RangeRequest;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use fairlead_store::config::Config;
use fairlead_store::engine::{Engine as _, Family, schema};
use fairlead_store::log::{self, MemDisk};
use fairlead_store::mvcc::removal_of;
use fairlead_store::net::Network;
use fairlead_store::{Seams, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::power::{Engines, Plug};
use super::seams::{self, Matter, Tell};

/// Small, so that a short run fills, purges and reuses many.
const SEGMENT_BYTES: u64 = 128 << 10;
/// How long the tasks of a life may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(20);
/// How long one question whether a member serves may take, and the pause before the next.
const ASK_WITHIN: Duration = Duration::from_millis(500);
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// What was seen of a member at the moment its power went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// Applied entries were not flushed: they come back from the log.
    pub state_behind: bool,
    /// The log no longer reaches back to its beginning: the flushed state alone has what was there.
    pub log_purged: bool,
    /// What of the log survived ends before the flushed state.
    pub log_behind: bool,
    /// The rows of the newest compaction were not all removed.
    pub compaction_midway: bool,
    /// The same, and sorting them out had begun.
    pub compaction_between_steps: bool,
}

/// A member of a [`Cluster`](super::Cluster).
pub struct Member {
    config: Config,
    engines: Engines,
    disk: MemDisk,
    rng: StdRng,
    /// Its disk fails by our own will: it may end.
    is_failing: bool,
    life: Option<Life>,
}

/// A run of a member.
struct Life {
    /// Taken only when it ends.
    runtime: Option<Runtime>,
    plug: Arc<Plug>,
    shutdown: CancellationToken,
    /// Why it has ended, or would have ended its process.
    ended: watch::Receiver<Option<String>>,
}

impl Member {
    pub(super) fn new(config: Config, seed: u64) -> Member {
        let disk = MemDisk::new(!config.unsafe_no_fsync);
        Member {
            config,
            engines: Engines::default(),
            disk,
            rng: StdRng::seed_from_u64(seed),
            is_failing: false,
            life: None,
        }
    }

    /// Where clients reach it.
    #[must_use]
    pub fn client_url(&self) -> String {
        self.config.advertise_client_urls[0].to_string()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Counts the steps of this life's compactions.
    ///
    /// # Errors
    /// When it has no power.
    pub fn compaction_steps(&self) -> anyhow::Result<watch::Receiver<u64>> {
        Ok(self.life()?.plug.compaction_steps())
    }

    /// From its disk's `changes`th change from now on, every change fails. [`dead`](Self::dead) tells when it has noticed.
    pub fn power_off_in(&mut self, changes: u64) {
        self.is_failing = true;
        self.disk.power_off_at(self.disk.counts().changes + changes);
    }

    /// Syncs of its disk hang from now on, until its power is cut.
    pub fn hold_syncs(&self) {
        self.disk.hold_syncs(true);
    }

    /// Waits until the member would have ended its process; why.
    ///
    /// # Errors
    /// When it has no power, or its run was lost.
    pub async fn dead(&self) -> anyhow::Result<String> {
        let mut ended = self.life()?.ended.clone();
        let reason = ended.wait_for(Option::is_some).await.context("the member's run has panicked")?;
        Ok(reason.clone().unwrap_or_default())
    }

    /// Waits until the member serves linearizable reads.
    ///
    /// # Errors
    /// When it ends first or does not serve in time.
    pub async fn ready(&self, within: Duration) -> anyhow::Result<()> {
        let (name, ended) = (self.name(), &self.life()?.ended);
        let channel = Endpoint::from_shared(self.client_url())?.connect_lazy();
        let deadline = Instant::now() + within;
        loop {
            if let Some(reason) = &*ended.borrow() {
                bail!("{name} has ended: {reason}");
            }
            let asked = RangeRequest { key: "ready".into(), ..Default::default() };
            match timeout(ASK_WITHIN, KvClient::<Channel>::new(channel.clone()).range(asked)).await {
                Ok(Ok(_)) => return Ok(()),
                answer => ensure!(Instant::now() < deadline, "{name} does not serve after {within:?}: {answer:?}"),
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }

    fn life(&self) -> anyhow::Result<&Life> {
        self.life.as_ref().with_context(|| format!("{} has no power", self.config.name))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.config.data_dir.join("member").join(name)
    }

    /// Starts it on what the last life has left.
    pub(super) fn power_on(&mut self) -> anyhow::Result<()> {
        ensure!(self.life.is_none(), "{} has power already", self.config.name);
        let plug = Plug::new(StdRng::from_rng(&mut self.rng));
        let (tell, ended) = watch::channel(None);
        let tell = Arc::new(move |reason: String| {
            tell.send_if_modified(|known| known.is_none() && known.replace(reason).is_none());
        });
        let seams = self.seams(&plug, {
            let tell = Arc::clone(&tell);
            Arc::new(move |reason| tell(reason))
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(&self.config.name)
            .enable_all()
            .build()?;
        let (config, shutdown) = (self.config.clone(), CancellationToken::new());
        let stop = shutdown.clone();
        drop(runtime.spawn(async move {
            let run = async { Store::build_on(config, seams).await?.run(stop).await };
            tell(
                run.await.map_or_else(
                    |error| format!("{:#}", anyhow::Error::from(error)),
                    |()| "it was asked to".to_owned(),
                ),
            );
        }));
        self.life = Some(Life { runtime: Some(runtime), plug, shutdown, ended });
        self.is_failing = false;
        Ok(())
    }

    fn seams(&mut self, plug: &Arc<Plug>, tell: Tell) -> Seams {
        let matter = Matter { disk: self.disk.clone(), engines: self.engines.clone(), plug: Arc::clone(plug) };
        let log = log::Config { segment_bytes: SEGMENT_BYTES, ..log::Config::default() };
        seams::seams(matter, StdRng::from_rng(&mut self.rng), Network::Sockets, log, tell)
    }

    /// Power goes: from here on nothing of the running life lasts. `None` where there is none.
    ///
    /// The disk goes first: a state that is flushed a moment longer than the log takes writes is what a slow sync would
    /// leave too, while a log that is purged behind a flush which did not happen would be our own making.
    pub(super) fn pull_the_plug(&mut self) -> anyhow::Result<Option<Cut>> {
        let Some(life) = &self.life else { return Ok(None) };
        let ended = life.ended.borrow().clone().filter(|_| !self.is_failing);
        self.disk = self.disk.power_cut(self.rng.random());
        let seen = life.plug.pull(|| {
            let seen = self.look();
            self.engines.crash();
            seen
        });
        match ended {
            Some(reason) => bail!("{} had ended before its power was cut: {reason}", self.config.name),
            None => seen.map(Some),
        }
    }

    fn look(&self) -> anyhow::Result<Cut> {
        let state = self.folder("state");
        let Ok(current) = std::fs::read_to_string(state.join("CURRENT")) else { return Ok(Cut::default()) };
        let Some(engine) = self.engines.get(&state.join(current.trim())) else { return Ok(Cut::default()) };
        let applied = engine.get(Family::Meta, schema::META_APPLIED)?;
        let flushed = engine.get_durable(Family::Meta, schema::META_APPLIED)?;
        let removal = removal_of(&*engine.snapshot())?;
        let log = log::inspect(&self.disk, &self.folder("log"));
        let log = log.ok().flatten().map(|found| found.state).unwrap_or_default();
        let index = |record: &[u8]| record.get(8..16).map(|at| u64::from_be_bytes(at.try_into().expect("eight bytes")));
        let last = log.last.map(|last| last.index);
        Ok(Cut {
            state_behind: applied != flushed,
            log_purged: log.purged.is_some(),
            log_behind: flushed.as_deref().and_then(index) > last,
            compaction_midway: removal.removed < removal.scheduled,
            compaction_between_steps: removal.removed < removal.scheduled && removal.is_under_way,
        })
    }

    /// The life that has ended, to be buried.
    pub(super) fn take_life(&mut self) -> Option<Remains> {
        self.life.take().map(|life| Remains { name: self.config.name.clone(), life })
    }

    pub(super) fn has_power(&self) -> bool {
        self.life.is_some()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // Waited for, so that nothing writes into a folder that is being removed; on a thread of its own, since a test's
        // runtime forbids it on its.
        let ended = std::thread::spawn(move || runtime.shutdown_timeout(GONE_WITHIN));
        if ended.join().is_err() {
            tracing::warn!("the tasks of a simulated member could not be ended");
        }
    }
}

/// A life whose end has been decided.
pub(super) struct Remains {
    name: String,
    life: Life,
}

impl Remains {
    /// Ends every task and thread of a life. Blocks.
    pub(super) fn bury(mut self) -> anyhow::Result<()> {
        let from = Instant::now();
        if let Some(runtime) = self.life.runtime.take() {
            runtime.shutdown_timeout(GONE_WITHIN);
        }
        ensure!(from.elapsed() < GONE_WITHIN, "{} has tasks that do not end", self.name);
        Ok(())
    }

    /// Ends a life as SIGTERM would.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.life.shutdown.cancel();
        let ended = timeout(GONE_WITHIN, self.life.ended.wait_for(Option::is_some)).await;
        ended.with_context(|| format!("{} does not end", self.name))?.context("its run has panicked")?;
        tokio::task::spawn_blocking(|| self.bury()).await?
    }
}
