//! Members come and go below a cache: its watchers miss nothing, and nobody lists again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use fairlead_apiserver::cacher::{Cacher, Config, Digest, Stats};
use fairlead_apiserver::storage::conformance::{ThingCodec, thing};
use fairlead_apiserver::storage::etcd::Etcd;
use fairlead_apiserver::storage::update::{Intent, Preconditions, guaranteed_update};
use fairlead_apiserver::storage::{
    At, Collection, Direct, Error, Event, ListOptions, Object, Storage, WatchFrom, WatchOptions,
};
use fairlead_chaos_tests::cluster::process::Target;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{LEADER_WITHIN, start};

/// All events, restarts included: a machine may be busy.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
/// Pause before a write that a restart has refused is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const WRITES_PER_RESTART: u64 = 20;

/// Writes `n`, as often as it takes: a write that has taken effect unnoticed is a no-op the second time.
async fn write(storage: &Direct, collection: &Collection, n: u64) -> Result<(), Error> {
    let put = |_: Option<&Arc<Object>>| Ok(Intent::Put { value: thing("ns", "a", "", n), ttl: None });
    let key = collection.object(Some("ns"), "a")?;
    loop {
        match guaranteed_update::<Error, _>(storage, &key, &Preconditions::default(), put).await {
            Ok(_) => return Ok(()),
            Err(Error::Unavailable { .. } | Error::OutcomeUnknown { .. }) => sleep(RETRY_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_the_store_costs_no_event_and_no_list() -> anyhow::Result<()> {
    let (cluster, client) = start(Target::fairlead()?, 3).await?;
    let backend = Arc::new(Etcd::new(client));
    let storage = Direct::new(backend.clone(), Arc::new(ThingCodec));
    let collection = Collection::new("/registry", "restart");
    write(&storage, &collection, 0).await?;

    let (cacher, feed) = Cacher::new(backend, Arc::new(ThingCodec), collection.clone(), Config::default());
    let shutdown = CancellationToken::new();
    let feed = tokio::spawn(feed.run(shutdown.clone()));
    let all = ListOptions::new(collection.everything(), At::MostRecent);
    let from = cacher.list(&all).await?.revision;
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(cacher.watch(WatchOptions::new(collection.everything(), WatchFrom::After(from))).await?);
    }

    let mut written = 0;
    for member in cluster.members() {
        member.kill().await?;
        for _ in 0..WRITES_PER_RESTART {
            written += 1;
            write(&storage, &collection, written).await?;
        }
        member.start().await?;
        cluster.wait_leader(LEADER_WITHIN).await?;
    }

    for watch in &mut watches {
        for n in 1..=written {
            let event = timeout(SEEN_WITHIN, watch.next()).await.context("an event is lost")??;
            let Event::Modified(object) = &event else { anyhow::bail!("{n}: {event:?}") };
            let seen: serde_json::Value = serde_json::from_slice(&object.encoded)?;
            ensure!(seen["n"] == n, "{seen} instead of {n}");
        }
    }
    let Stats { lists, watchers, .. } = cacher.stats();
    ensure!((lists, watchers) == (1, 10), "{lists} lists, {watchers} watchers");
    cacher.list(&all).await?;
    let digest = cacher.digest();
    let exact = storage.list(&ListOptions::new(collection.everything(), At::Exact(digest.revision))).await?;
    ensure!(Digest::of_list(&exact) == digest, "{} instead of {digest}", Digest::of_list(&exact));
    shutdown.cancel();
    feed.await?;
    Ok(cluster.shutdown().await?)
}
