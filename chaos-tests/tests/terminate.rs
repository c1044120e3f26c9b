//! SIGTERM under load: watches, keep-alives and writers are open on every member, and it ends in time all the same.
//!
//! The contract: the process ends within 1.5 s, and where it led, another leads within 0.5 s, one term later. The bounds
//! here leave room for a busy machine; what was measured is printed.

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_chaos_tests::traffic::writers::Writers;
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::IntervalStream;
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(20);
const ENDED_WITHIN: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(700);
const ASK_INTERVAL: Duration = Duration::from_millis(5);

/// Watch streams, and keep-alive streams, on each member.
const STREAMS: usize = 20;

/// Opens streams on a member; they last until it ends them or the set is dropped.
async fn open_streams(url: &str, streams: &mut JoinSet<()>) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    for _ in 0..STREAMS {
        let create = pb::WatchCreateRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
        let create = pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
        let requests = tokio_stream::once(create).chain(tokio_stream::pending());
        let mut events = WatchClient::new(channel.clone()).watch(requests).await?.into_inner();
        streams.spawn(async move { while let Ok(Some(_)) = events.message().await {} });

        let mut lease = LeaseClient::new(channel.clone());
        let id = lease.lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 0 }).await?.into_inner().id;
        let requests = IntervalStream::new(interval(Duration::from_millis(50)));
        let requests = requests.map(move |_| pb::LeaseKeepAliveRequest { id });
        let mut renewals = lease.lease_keep_alive(requests).await?.into_inner();
        streams.spawn(async move { while let Ok(Some(_)) = renewals.message().await {} });
    }
    Ok(())
}

/// The member that says it leads, and its term.
async fn leads(channel: &Channel) -> Option<u64> {
    let mut maintenance = MaintenanceClient::new(channel.clone());
    let status =
        timeout(Duration::from_millis(200), maintenance.status(pb::StatusRequest {})).await.ok()?.ok()?.into_inner();
    (status.leader == status.header?.member_id).then_some(status.raft_term)
}

/// How long until one of `channels` leads, and its term.
async fn next_leader(channels: Vec<Channel>) -> (Duration, u64) {
    let from = Instant::now();
    loop {
        for channel in &channels {
            if let Some(term) = leads(channel).await {
                return (from.elapsed(), term);
            }
        }
        sleep(ASK_INTERVAL).await;
    }
}

async fn terminate(leader: bool) -> anyhow::Result<()> {
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    let first = cluster.wait_leader(PATIENCE).await?;
    let is_wanted = |name: &str| (name == first) == leader;
    let ended = cluster.members().iter().find(|member| is_wanted(member.name())).expect("three members, one leads");
    let mut streams = JoinSet::new();
    for url in cluster.client_urls() {
        open_streams(&url, &mut streams).await?;
    }
    let writers = Writers::start("w", 8, &cluster.client_urls())?;
    sleep(WARM_UP).await;

    let channel = |name: &str| anyhow::Ok(Endpoint::from_shared(cluster.member(name)?.client_url())?.connect_lazy());
    let term = leads(&channel(&first)?).await.ok_or_else(|| anyhow::anyhow!("{first} no longer leads"))?;
    let others = cluster.members().iter().filter(|member| member.name() != ended.name());
    let others = others.map(|member| channel(member.name())).collect::<anyhow::Result<Vec<_>>>()?;
    let from = std::time::Instant::now();
    let (ended, led) = tokio::join!(ended.terminate(PATIENCE), timeout(PATIENCE, next_leader(others)));
    let (ended, (led_after, next_term)) = (ended?, led?);
    sleep(WARM_UP).await;
    let seen = writers.stop().await;
    println!(
        "terminate {}: gone after {:?} with {}, led again after {led_after:?}, longest gap between puts {:?}",
        if leader { "leader" } else { "follower" },
        ended.took,
        ended.status,
        seen.longest_gap(from, std::time::Instant::now()),
    );
    assert!(ended.took < ENDED_WITHIN, "gone after {:?}", ended.took);
    assert_eq!(ended.status.code(), Some(143), "an orderly end");
    assert!(led_after < ENDED_WITHIN, "led again after {led_after:?}");
    assert_eq!(next_term, term + u64::from(leader), "leadership was handed over once, or not at all");
    streams.shutdown().await;
    Ok(cluster.shutdown().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_open_streams_hands_over_and_ends() -> anyhow::Result<()> {
    terminate(true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_with_open_streams_ends() -> anyhow::Result<()> {
    terminate(false).await
}
