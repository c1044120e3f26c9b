//! A member of a simulation: its disk and engines, which outlive it, and the life that runs on them now.
//!
//! The store is whole, from `rpc` to `log`; its log lies on a disk in memory that forgets what was not synced, its state in an
//! engine in memory that goes back to its last flush, as RocksDB without its own log does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use fairlead_store::config::{Config, InitialCluster, Url};
use fairlead_store::log::{self, MemDisk};
use fairlead_store::net::{self, Fabric, Served};
use fairlead_store::{Seams, Store};
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use super::call::Caller;
use super::network::{Host, Network, Sender};
use super::world::World;
use crate::cluster::sim::power::{Engines, Plug};
use crate::cluster::sim::seams::{self, Matter, Tell};

/// Small, so that a short run fills, purges and reuses many.
const SEGMENT_BYTES: u64 = 64 << 10;

/// How a member ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its process ends; its disk has what was written.
    Kill,
    /// Its disk forgets what was not synced, and nothing answers for it.
    Power,
}

/// A member.
pub(crate) struct Member {
    host: Host,
    config: Config,
    engines: Engines,
    disk: MemDisk,
    chance: StdRng,
    plug: Option<Arc<Plug>>,
    /// Why it would have ended its process.
    ended: watch::Receiver<Option<String>>,
    /// Its disk fails by our own will: it may end.
    pub(crate) may_end: bool,
}

/// Where clients find a member.
pub(crate) fn client_url(host: Host) -> String {
    format!("http://10.0.0.{}:2379", host + 1)
}

fn peer_url(host: Host) -> String {
    format!("http://10.0.0.{}:2380", host + 1)
}

/// Members without power, with their folders in `folder`.
pub(crate) fn members(
    world: &World,
    store: &Config,
    count: usize,
    folder: &Path,
    seed: u64,
) -> anyhow::Result<Vec<Member>> {
    let mut chance = StdRng::seed_from_u64(seed);
    let cluster: Vec<String> = (0..count).map(|host| format!("n{}={}", host + 1, peer_url(host))).collect();
    let cluster = InitialCluster::parse(&cluster.join(","))?;
    (0..count)
        .map(|host| {
            let (client, peer) = (Url::parse(&client_url(host))?, Url::parse(&peer_url(host))?);
            world.network.name(&client.to_string(), host);
            world.network.name(&peer.to_string(), host);
            let name = format!("n{}", host + 1);
            let config = Config {
                data_dir: folder.join(&name),
                listen_client_urls: vec![client.clone()],
                advertise_client_urls: vec![client],
                listen_peer_urls: vec![peer.clone()],
                initial_advertise_peer_urls: vec![peer],
                initial_cluster: cluster.clone(),
                name,
                ..store.clone()
            };
            Ok(Member {
                host,
                config,
                engines: Engines::default(),
                disk: MemDisk::new(true),
                chance: StdRng::from_rng(&mut chance),
                plug: None,
                ended: watch::channel(None).1,
                may_end: false,
            })
        })
        .collect()
}

impl Member {
    /// Whether it runs, or has ended by itself and was not cleared away.
    pub(crate) fn has_power(&self) -> bool {
        self.plug.is_some()
    }

    /// Why it would have ended its process, if it would have.
    pub(crate) fn has_ended(&self) -> Option<String> {
        let folder = self.config.data_dir.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        self.has_power().then(|| self.ended.borrow().clone())?.map(|reason| reason.replace(&folder, "…"))
    }

    /// Starts it on what its last life has left.
    pub(crate) fn start(&mut self, world: &mut World) -> anyhow::Result<()> {
        ensure!(!self.has_power(), "{} runs already", self.config.name);
        let plug = Plug::new(StdRng::from_rng(&mut self.chance));
        let (tell, ended) = watch::channel(None);
        let network = world.network.clone();
        let (runtime, halt) = world.power_on(self.host)?;
        let runtime = runtime.handle().clone();
        let tell = Arc::new(move |reason: String| {
            tell.send_if_modified(|known| known.is_none() && known.replace(reason).is_none());
            halt.cancel();
        });
        let seams = self.seams(&network, &plug, {
            let tell = Arc::clone(&tell);
            Arc::new(move |reason| tell(reason))
        });
        let config = self.config.clone();
        drop(runtime.spawn(async move {
            // Nobody asks it to end: its life is cut off.
            let run = async { Store::build_on(config, seams).await?.run(CancellationToken::new()).await };
            let reason = run.await.err().map(|error| format!("{:#}", anyhow::Error::from(error)));
            tell(reason.unwrap_or_else(|| "it was asked to".to_owned()));
        }));
        (self.plug, self.ended, self.may_end) = (Some(plug), ended, false);
        Ok(())
    }

    fn seams(&mut self, network: &Network, plug: &Arc<Plug>, tell: Tell) -> Seams {
        let matter = Matter { disk: self.disk.clone(), engines: self.engines.clone(), plug: Arc::clone(plug) };
        let log = log::Config { segment_bytes: SEGMENT_BYTES, drive: log::Drive::Task, ..log::Config::default() };
        let addresses = Addresses { network: network.clone(), sender: network.sender(self.host) };
        seams::seams(
            matter,
            StdRng::from_rng(&mut self.chance),
            net::Network::InProcess(Arc::new(addresses)),
            log,
            tell,
        )
    }

    /// Its life ends where it is.
    pub(crate) fn end(&mut self, world: &mut World, how: End) {
        let Some(plug) = self.plug.take() else {
            // Killed while its disk failed: that is over for its next life too.
            if how == End::Power {
                self.disk.set_failing_syncs(false);
            }
            return;
        };
        self.disk = match how {
            End::Kill => self.disk.kill(),
            End::Power => self.disk.power_cut(self.chance.random()),
        };
        plug.pull(|| self.engines.crash());
        world.power_off(self.host, how == End::Power);
    }

    /// From its disk's `changes`th change from now on, every change fails.
    pub(crate) fn fail_after(&mut self, changes: u64) {
        self.may_end = true;
        self.disk.power_off_at(self.disk.counts().changes + changes);
    }

    /// The syncs of its disk fail from now on, until its power is cut.
    pub(crate) fn fail_syncs(&mut self) {
        self.may_end = true;
        self.disk.set_failing_syncs(true);
    }

    /// Its disk and where its log is on it.
    pub(crate) fn log(&self) -> (&MemDisk, PathBuf) {
        (&self.disk, self.config.data_dir.join("member").join("log"))
    }
}

/// The network as one life of a member sees it.
struct Addresses {
    network: Network,
    sender: Sender,
}

impl Fabric for Addresses {
    fn way(&self, url: &str) -> fairlead_store::raft::InProcess {
        BoxCloneSyncService::new(Caller { network: self.network.clone(), from: self.sender, url: url.to_owned() })
    }

    fn serve(&self, url: &str, service: Served, stop: CancellationToken) -> BoxFuture<'static, ()> {
        self.network.serve(url, service);
        let (network, url) = (self.network.clone(), url.to_owned());
        Box::pin(async move {
            stop.cancelled().await;
            network.withdraw(&url);
        })
    }
}
