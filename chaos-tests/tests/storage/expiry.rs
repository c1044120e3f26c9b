//! What needs a real store's clock: objects with a time to live, and compactors that share a store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use fairlead_apiserver::storage::compactor::Compactor;
use fairlead_apiserver::storage::conformance::{ThingCodec, thing};
use fairlead_apiserver::storage::etcd::Etcd;
use fairlead_apiserver::storage::{
    At, Collection, Direct, Error, Event, ListOptions, Storage, WatchFrom, WatchOptions, update,
};
use fairlead_chaos_tests::cluster::process::Target;
use fairlead_client::etcd::{Client, kv};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::start;

const TTL: Duration = Duration::from_secs(2);
/// As upstream's events have it.
const LONG_TTL: Duration = Duration::from_secs(3600);
/// A lease is revoked within its time to live and what an election and a busy machine may add.
const GONE_WITHIN: Duration = Duration::from_secs(20);
/// Far shorter than in production, so that a few intervals pass.
const COMPACTION_INTERVAL: Duration = Duration::from_millis(200);

fn things(client: &Client) -> (Direct, Collection) {
    let storage = Direct::new(Arc::new(Etcd::new(client.clone())), Arc::new(ThingCodec));
    (storage, Collection::new("/registry", "expiry"))
}

async fn objects_expire_on_shared_leases(target: Target) -> anyhow::Result<()> {
    let (cluster, client) = start(target, 1).await?;
    let (storage, collection) = things(&client);
    let start = storage.revision().await?;
    for name in ["a", "b", "c"] {
        let key = collection.object(Some("ns"), name)?;
        update::create(&storage, &key, thing("ns", name, "", 1), Some(TTL)).await?;
    }
    update::create(&storage, &collection.object(Some("ns"), "d")?, thing("ns", "d", "", 1), None).await?;
    let short = client.leases().await?.leases.len();
    for name in ["e", "f", "g"] {
        let key = collection.object(Some("ns"), name)?;
        update::create(&storage, &key, thing("ns", name, "", 1), Some(LONG_TTL)).await?;
    }
    ensure!(client.leases().await?.leases.len() <= short + 1, "objects of one minute share a lease");
    let mut watch = storage.watch(WatchOptions::new(collection.everything(), WatchFrom::After(start))).await?;
    let gone = async {
        let mut gone = Vec::new();
        while gone.len() < 3 {
            if let Event::Deleted(object) = watch.next().await? {
                gone.push(object.attributes.name.to_string());
            }
        }
        gone.sort();
        anyhow::Ok(gone)
    };
    ensure!(timeout(GONE_WITHIN, gone).await.context("objects do not expire")?? == ["a", "b", "c"]);
    ensure!(storage.count(&collection.everything()).await? == 4, "the others stay");
    Ok(cluster.shutdown().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_expire_on_a_real_etcd() -> anyhow::Result<()> {
    objects_expire_on_shared_leases(Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_expire_on_ours() -> anyhow::Result<()> {
    objects_expire_on_shared_leases(Target::fairlead()?).await
}

async fn compactors_share_a_store(target: Target) -> anyhow::Result<()> {
    let (cluster, client) = start(target, 1).await?;
    let (storage, collection) = things(&client);
    let key = collection.object(Some("ns"), "a")?;
    let first = update::create(&storage, &key, thing("ns", "a", "", 1), None).await?.revision;
    let shutdown = CancellationToken::new();
    let compactors: Vec<_> = (0..2)
        .map(|_| tokio::spawn(Compactor::new(client.clone(), COMPACTION_INTERVAL).run(shutdown.clone())))
        .collect();
    let compacted = async {
        loop {
            let old = storage.list(&ListOptions::new(collection.everything(), At::Exact(first))).await;
            match old {
                Err(Error::Expired { .. }) => return anyhow::Ok(()),
                // A compaction by somebody else cannot be subscribed to.
                old => drop(old?),
            }
            sleep(COMPACTION_INTERVAL / 4).await;
        }
    };
    timeout(GONE_WITHIN, compacted).await.context("nothing is compacted")??;
    shutdown.cancel();
    for compactor in compactors {
        compactor.await?;
    }
    let clock = client.range(kv::key("compact_rev_key")).await?.kvs;
    let [clock] = &clock[..] else { anyhow::bail!("compact_rev_key: {clock:?}") };
    let compacted: i64 = std::str::from_utf8(&clock.value)?.parse().context("its value is a revision")?;
    ensure!(clock.version >= 2 && compacted <= clock.mod_revision, "{clock:?}");
    Ok(cluster.shutdown().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compactors_share_a_real_etcd() -> anyhow::Result<()> {
    compactors_share_a_store(Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compactors_share_ours() -> anyhow::Result<()> {
    compactors_share_a_store(Target::fairlead()?).await
}
