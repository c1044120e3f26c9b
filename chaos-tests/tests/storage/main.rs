//! The apiserver's storage over real stores: its conformance suite, leases and compaction, on Fairlead and on a real etcd.

mod expiry;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use fairlead_apiserver::storage::conformance::{Fixture, ThingCodec, assert_conforms};
use fairlead_apiserver::storage::etcd::Etcd;
use fairlead_apiserver::storage::{Backend, Collection, Direct, Storage};
use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_client::etcd::{Client, Options};

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

async fn uncached_conforms(target: Target, members: usize) -> anyhow::Result<()> {
    let (cluster, client) = start(target, members).await?;
    assert_conforms(&Uncached(Arc::new(Etcd::new(client)))).await;
    Ok(cluster.shutdown().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_conforms_over_a_real_etcd() -> anyhow::Result<()> {
    uncached_conforms(Target::etcd()?, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_conforms_over_three_members_of_ours() -> anyhow::Result<()> {
    uncached_conforms(Target::fairlead()?, 3).await
}
