//! One small load for both servers: everything that a family counts happens at least once.

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::Cluster;
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::request_op::Request as Op;
use pb::watch_client::WatchClient;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(30);

/// In each of two bursts: more than the snapshot count, the entries kept behind it and a batch of purged ones together.
const CHANGES: usize = 350;

/// Between the bursts: calls to the dead member have ended by then and hold no entry of the log any more.
const GIVEN_UP: Duration = Duration::from_millis(1500);

async fn connect(url: &str) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?)
}

async fn put(kv: &mut KvClient<Channel>, key: &str, value: &str, lease: i64) -> anyhow::Result<i64> {
    let put =
        pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), lease, ..Default::default() };
    Ok(kv.put(put).await?.into_inner().header.map_or(0, |header| header.revision))
}

fn prefix(front: &str) -> (Vec<u8>, Vec<u8>) {
    (format!("{front}/").into_bytes(), format!("{front}0").into_bytes())
}

/// Puts, reads, transactions, deletes.
async fn keys(kv: &mut KvClient<Channel>) -> anyhow::Result<i64> {
    for at in 0..40 {
        put(kv, &format!("k/{:02}", at % 20), "value", 0).await?;
    }
    let (key, range_end) = prefix("k");
    let all = pb::RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
    kv.range(all.clone()).await?;
    kv.range(pb::RangeRequest { serializable: true, ..all.clone() }).await?;
    let op = |op| pb::RequestOp { request: Some(op) };
    let two = pb::PutRequest { key: "k/02".into(), value: "txn".into(), ..Default::default() };
    let three = pb::DeleteRangeRequest { key: "k/03".into(), ..Default::default() };
    let success = vec![op(Op::RequestPut(two)), op(Op::RequestDeleteRange(three)), op(Op::RequestRange(all))];
    kv.txn(pb::TxnRequest { success, ..Default::default() }).await?;
    let delete = pb::DeleteRangeRequest { key: "k/10".into(), range_end: "k/20".into(), ..Default::default() };
    kv.delete_range(delete).await?;
    put(kv, "k/99", "last", 0).await
}

/// A lease that is renewed and revoked, and one that expires.
async fn leases(channel: &Channel, kv: &mut KvClient<Channel>) -> anyhow::Result<()> {
    let mut lease = LeaseClient::new(channel.clone());
    let id = lease.lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 0 }).await?.into_inner().id;
    put(kv, "lease/1", "v", id).await?;
    put(kv, "lease/2", "v", id).await?;
    let requests = tokio_stream::once(pb::LeaseKeepAliveRequest { id });
    let mut renewals = lease.lease_keep_alive(requests).await?.into_inner();
    anyhow::ensure!(renewals.message().await?.is_some_and(|renewal| renewal.ttl == 60), "the lease was not renewed");
    lease.lease_revoke(pb::LeaseRevokeRequest { id }).await?;
    let id = lease.lease_grant(pb::LeaseGrantRequest { ttl: 1, id: 0 }).await?.into_inner().id;
    put(kv, "lease/3", "v", id).await?;
    let gone = async {
        loop {
            let range = pb::RangeRequest { key: "lease/3".into(), ..Default::default() };
            if kv.range(range).await?.into_inner().count == 0 {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await?
}

/// Compaction, defragmentation, hashes, a backup.
async fn maintenance(channel: &Channel, kv: &mut KvClient<Channel>, revision: i64) -> anyhow::Result<()> {
    kv.compact(pb::CompactionRequest { revision, physical: true }).await?;
    let mut maintenance = MaintenanceClient::new(channel.clone());
    maintenance.defragment(pb::DefragmentRequest {}).await?;
    maintenance.hash_kv(pb::HashKvRequest { revision: 0 }).await?;
    maintenance.status(pb::StatusRequest {}).await?;
    let mut backup = maintenance.snapshot(pb::SnapshotRequest {}).await?.into_inner();
    while backup.message().await?.is_some() {}
    Ok(())
}

/// A follower dies, is left behind by more than the log keeps, and comes back.
async fn lag(cluster: &Cluster, follower: &str, kv: &mut KvClient<Channel>) -> anyhow::Result<()> {
    cluster.member(follower)?.kill().await?;
    for burst in 0..2 {
        for change in 0..CHANGES {
            put(kv, &format!("lag/{:02}", change % 50), &format!("{burst}/{change}"), 0).await?;
        }
        tokio::time::sleep(GIVEN_UP).await;
    }
    cluster.member(follower)?.start().await?;
    // What it reads has caught up.
    let mut late = KvClient::new(connect(&cluster.member(follower)?.client_url()).await?);
    let read = async {
        while late.range(pb::RangeRequest { key: "lag/01".into(), ..Default::default() }).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, read).await?)
}

/// Puts without a quorum, given up by their client.
async fn fail(cluster: &Cluster, leader: &str, others: &[String]) -> anyhow::Result<()> {
    for other in others {
        cluster.member(other)?.pause()?;
    }
    let mut kv = KvClient::new(connect(&cluster.member(leader)?.client_url()).await?);
    let until_one_fails = async {
        loop {
            // A process takes a moment to stop.
            let mut request = tonic::Request::new(pb::PutRequest { key: "fail/1".into(), ..Default::default() });
            request.set_timeout(Duration::from_millis(500));
            if kv.put(request).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, until_one_fails).await?;
    for other in others {
        cluster.member(other)?.resume()?;
    }
    let mut kv = KvClient::new(connect(&cluster.client_urls()[0]).await?);
    let again = async {
        while put(&mut kv, "fail/1", "again", 0).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, again).await?)
}

/// Runs all of it.
///
/// # Errors
/// When a call fails that must not.
pub(crate) async fn run(cluster: &Cluster) -> anyhow::Result<()> {
    let leader = cluster.wait_leader(PATIENCE).await?;
    let others: Vec<String> =
        cluster.members().iter().map(|member| member.name().to_owned()).filter(|name| *name != leader).collect();
    let channel = connect(&cluster.member(&leader)?.client_url()).await?;
    let mut kv = KvClient::new(channel.clone());

    let (key, range_end) = prefix("k");
    let create = pb::WatchCreateRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
    let create = pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(create).chain(tokio_stream::pending());
    let mut watch = WatchClient::new(channel.clone()).watch(requests).await?.into_inner();
    let revision = keys(&mut kv).await?;
    let mut seen = 0;
    while seen < revision {
        let response = watch.message().await?.ok_or_else(|| anyhow::anyhow!("the watch ended"))?;
        let events = response.events.iter().filter_map(|event| event.kv.as_ref());
        seen = events.map(|kv| kv.mod_revision).max().unwrap_or(seen);
    }
    leases(&channel, &mut kv).await?;
    maintenance(&channel, &mut kv, revision).await?;
    lag(cluster, &others[0], &mut kv).await?;
    fail(cluster, &leader, &others).await
}
