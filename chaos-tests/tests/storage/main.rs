//! The apiserver's storage and cacher over real stores: their conformance suite, leases, compaction and restarts, on Fairlead
//! and on a real etcd.

mod expiry;
mod restart;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use fairlead_apiserver::cacher::{Cacher, Config as CacherConfig};
use fairlead_apiserver::storage::conformance::{Fixture, ThingCodec, assert_conforms};
use fairlead_apiserver::storage::etcd::Etcd;
use fairlead_apiserver::storage::{Backend, Collection, Direct, Storage};
use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_client::etcd::{Client, Options};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a leader may take.
const LEADER_WITHIN: Duration = Duration::from_secs(20);

/// A cluster of so many members, and a client of them all.
async fn start(target: Target, members: usize) -> anyhow::Result<(Cluster, Client)> {
    let args = vec!["--heartbeat-interval=300".to_owned(), "--election-timeout=3000".to_owned()];
    let cluster = Cluster::start(Config { members, args, direct_peers: true, ..Config::new(target) }).await?;
    cluster.wait_leader(LEADER_WITHIN).await?;
    let urls = cluster.members().iter().map(|member| member.client_url());
    let client = Client::connect(urls, Options::default()).context("client")?;
    Ok((cluster, client))
}

/// Storage without a cache.
struct Uncached(Arc<dyn Backend>);

#[async_trait]
impl Fixture for Uncached {
    async fn open(&self, _: &Collection) -> Arc<dyn Storage> {
        Arc::new(Direct::new(Arc::clone(&self.0), Arc::new(ThingCodec)))
    }
}

/// Storage with a cache for each collection.
struct Cached {
    backend: Arc<dyn Backend>,
    feeds: Mutex<JoinSet<()>>,
}

#[async_trait]
impl Fixture for Cached {
    async fn open(&self, collection: &Collection) -> Arc<dyn Storage> {
        let (backend, codec) = (Arc::clone(&self.backend), Arc::new(ThingCodec));
        let (cacher, feed) = Cacher::new(backend, codec, collection.clone(), CacherConfig::default());
        self.feeds.lock().expect("nothing panics under this lock").spawn(feed.run(CancellationToken::new()));
        Arc::new(cacher)
    }
}

async fn both_conform(target: Target, members: usize) -> anyhow::Result<()> {
    let (cluster, client) = start(target, members).await?;
    let backend: Arc<dyn Backend> = Arc::new(Etcd::new(client));
    assert_conforms(&Uncached(Arc::clone(&backend))).await;
    assert_conforms(&Cached { backend, feeds: Mutex::default() }).await;
    Ok(cluster.shutdown().await?)
}

/// Its progress cannot be trusted, so this is also the proof for such stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_and_cacher_conform_over_a_real_etcd() -> anyhow::Result<()> {
    both_conform(Target::etcd()?, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_and_cacher_conform_over_three_members_of_ours() -> anyhow::Result<()> {
    both_conform(Target::fairlead()?, 3).await
}
