//! kill -9 of all members under load: nothing acknowledged is lost, and all members hold the same at several revisions.
//!
//! `make test` does a few rounds; `make proof` two hundred. Puts, deletes, leases and transactions are in play, and each
//! round asks for a compaction just before the kill, so that its removal is cut short.

use std::collections::BTreeMap;
use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_chaos_tests::traffic::writers::{Acknowledged, Writers};
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tonic::transport::{Channel, Endpoint};

const WRITERS: usize = 6;
const ROUNDS_TEST: usize = 3;
const ROUNDS_PROOF: usize = 200;

async fn connect(url: &str) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.connect().await?)
}

/// A put under a lease, a delete and a transaction over both; the keys that must stand afterwards.
async fn mixed(url: &str, round: usize) -> anyhow::Result<Vec<Acknowledged>> {
    let channel = connect(url).await?;
    let (mut kv, mut lease) = (KvClient::new(channel.clone()), LeaseClient::new(channel));
    let granted = lease.lease_grant(pb::LeaseGrantRequest { ttl: 600, id: 0 }).await?.into_inner();
    let key = |name: &str| format!("mixed/{round:04}/{name}");
    let put = |name: &str, lease| pb::PutRequest {
        key: key(name).into(),
        value: key(name).into(),
        lease,
        ..Default::default()
    };
    kv.put(put("gone", 0)).await?;
    let leased = kv.put(put("leased", granted.id)).await?.into_inner().header.map_or(0, |header| header.revision);
    let gone = pb::DeleteRangeRequest { key: key("gone").into(), ..Default::default() };
    assert_eq!(kv.delete_range(gone).await?.into_inner().deleted, 1);
    let op = |name: &str| pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(name, 0))) };
    let txn = pb::TxnRequest { success: vec![op("one"), op("two")], ..Default::default() };
    let both = kv.txn(txn).await?.into_inner().header.map_or(0, |header| header.revision);
    let stands = |name: &str, revision| Acknowledged { key: key(name), revision };
    Ok(vec![stands("leased", leased), stands("one", both), stands("two", both)])
}

/// Every key with its revision, and the store's revision.
async fn stored(url: &str) -> anyhow::Result<(BTreeMap<String, i64>, i64)> {
    let mut kv = KvClient::new(connect(url).await?).max_decoding_message_size(1 << 30);
    let all = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), keys_only: true, ..Default::default() };
    let answer = kv.range(all).await?.into_inner();
    let keys = answer.kvs.iter().map(|kv| (String::from_utf8_lossy(&kv.key).into_owned(), kv.mod_revision));
    Ok((keys.collect(), answer.header.map_or(0, |header| header.revision)))
}

async fn hash(url: &str, revision: i64) -> anyhow::Result<(u32, i64)> {
    let mut maintenance = MaintenanceClient::new(connect(url).await?);
    // A barrier first: HashKV is local, and a member that has just come back may be behind.
    KvClient::new(connect(url).await?).range(pb::RangeRequest { key: "k".into(), ..Default::default() }).await?;
    let answer = maintenance.hash_kv(pb::HashKvRequest { revision }).await?.into_inner();
    Ok((answer.hash, answer.compact_revision))
}

async fn assert_members_agree(cluster: &Cluster, revision: i64, compacted: i64, round: usize) -> anyhow::Result<()> {
    for at in [revision, revision - (revision - compacted.max(1)) / 2, compacted.max(1)] {
        let mut hashes = Vec::new();
        for url in cluster.client_urls() {
            hashes.push(hash(&url, at).await?);
        }
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "round {round}: hashes at {at} differ: {hashes:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_all_members_are_killed() -> anyhow::Result<()> {
    let rounds = if std::env::var_os("FAIRLEAD_PROOF").is_some() { ROUNDS_PROOF } else { ROUNDS_TEST };
    let seed = rand::random();
    println!("durability seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    let (mut acknowledged, mut compacted) = (Vec::new(), 0);
    for round in 0..rounds {
        let writers = Writers::start(&format!("round{round:04}"), WRITERS, &cluster.client_urls())?;
        acknowledged.extend(mixed(&cluster.client_urls()[round % 3], round).await?);
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..600))).await;
        if round % 2 == 1 {
            let (_, revision) = stored(&cluster.client_urls()[0]).await?;
            let compact = pb::CompactionRequest { revision: revision / 2, physical: false };
            KvClient::new(connect(&cluster.client_urls()[0]).await?).compact(compact).await?;
            compacted = revision / 2;
        }
        for member in cluster.members() {
            member.kill_now()?;
        }
        acknowledged.extend(writers.stop().await.acknowledged);
        for member in cluster.members() {
            member.gone(Duration::from_secs(10)).await?;
            member.spawn()?;
        }
        for member in cluster.members() {
            member.ready().await?;
        }
        let (keys, revision) = stored(&cluster.client_urls()[0]).await?;
        for put in &acknowledged {
            assert_eq!(keys.get(&put.key), Some(&put.revision), "round {round}, seed {seed}: lost {}", put.key);
        }
        assert!(
            !keys.contains_key(&format!("mixed/{round:04}/gone")),
            "round {round}, seed {seed}: a delete is undone"
        );
        assert_members_agree(&cluster, revision, compacted, round).await?;
    }
    println!(
        "durability {rounds} rounds of kill -9 of all members, {} acknowledged changes, none lost",
        acknowledged.len()
    );
    assert!(acknowledged.len() > rounds * 3, "there was no load");
    Ok(cluster.shutdown().await?)
}
