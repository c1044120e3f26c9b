//! Raft as it is seen from outside: terms that stay, members that come back, and members that must not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_chaos_tests::cluster::proxy::LinkState;
use fairlead_chaos_tests::traffic::writers::Writers;
use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_store::log::{RealDisk, committed, inspect};
use pb::cluster_client::ClusterClient;
use pb::kv_client::KvClient;
use pb::maintenance_client::MaintenanceClient;
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(30);
/// Three elections at default timing, and a little.
const CUT: Duration = Duration::from_secs(4);

fn lazily(url: &str) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.connect_lazy())
}

/// What a member says itself of its term.
async fn term(url: &str) -> anyhow::Result<u64> {
    Ok(MaintenanceClient::new(lazily(url)?).status(pb::StatusRequest {}).await?.into_inner().raft_term)
}

async fn terms(cluster: &Cluster) -> anyhow::Result<Vec<u64>> {
    let mut all = Vec::new();
    for url in cluster.client_urls() {
        all.push(term(&url).await?);
    }
    Ok(all)
}

/// Puts `count` keys of 100 bytes each.
async fn fill(url: &str, front: &str, count: usize) -> anyhow::Result<()> {
    let mut kv = KvClient::new(lazily(url)?);
    for number in 0..count {
        let key = format!("{front}/{number:05}");
        kv.put(pb::PutRequest { key: key.into(), value: vec![b'v'; 100].into(), ..Default::default() }).await?;
    }
    Ok(())
}

async fn keys(url: &str) -> anyhow::Result<BTreeMap<Vec<u8>, (i64, i64)>> {
    let all = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), keys_only: true, ..Default::default() };
    let answer = KvClient::new(lazily(url)?).range(all).await?.into_inner();
    Ok(answer.kvs.into_iter().map(|kv| (kv.key.to_vec(), (kv.mod_revision, kv.version))).collect())
}

async fn members(url: &str) -> anyhow::Result<Vec<(u64, String, Vec<String>)>> {
    let listed = ClusterClient::new(lazily(url)?).member_list(pb::MemberListRequest { linearizable: false }).await?;
    let mut members: Vec<_> =
        listed.into_inner().members.into_iter().map(|member| (member.id, member.name, member.peer_ur_ls)).collect();
    members.sort();
    Ok(members)
}

/// What a partition of a follower does: its term while it is alone, all terms afterwards, and the longest gap of puts from
/// shortly before the heal on.
async fn partition_a_follower(pre_vote: bool) -> anyhow::Result<(u64, u64, Vec<u64>, Duration)> {
    let mut config = Config::new(Target::fairlead()?);
    config.args = vec![format!("--pre-vote={pre_vote}")];
    let cluster = Cluster::start(config).await?;
    let leader = cluster.wait_leader(PATIENCE).await?;
    let member = cluster.members().iter().find(|member| member.name() != leader).expect("there are three");
    let others: Vec<String> = cluster
        .members()
        .iter()
        .filter(|other| other.name() != member.name())
        .map(|other| other.client_url())
        .collect();
    let before = term(&member.client_url()).await?;
    let writers = Writers::start("raft", 4, &others)?;
    cluster.partition(&[&[member.name()]])?;
    tokio::time::sleep(CUT).await;
    let alone = term(&member.client_url()).await?;
    let healed = Instant::now();
    cluster.heal();
    // A linearizable read on it says that it is back.
    let back = async {
        let read = pb::RangeRequest { key: "k".into(), ..Default::default() };
        while KvClient::new(lazily(&member.client_url())?).range(read.clone()).await.is_err() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, back).await??;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gap = writers.stop().await.longest_gap(healed, Instant::now());
    let after = terms(&cluster).await?;
    cluster.shutdown().await?;
    Ok((before, alone, after, gap))
}

/// H-21.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_comes_back_from_a_partition_raises_the_term_only_without_pre_vote() -> anyhow::Result<()> {
    let (before, alone, after, gap) = partition_a_follower(true).await?;
    println!(
        "with pre-vote: term {before}, {alone} when alone, {after:?} after; puts paused for {gap:?} after the heal"
    );
    assert_eq!((alone, after), (before, vec![before; 3]));
    let (before, alone, after, gap) = partition_a_follower(false).await?;
    println!("without: term {before}, {alone} when alone, {after:?} after; puts paused for {gap:?} after the heal");
    assert!(alone > before && after.iter().all(|term| *term > before), "the control shows nothing");
    Ok(())
}

/// A follower that the leader does not reach, but another follower does (Cloudflare 2020): it must go on asking that one in
/// vain, and never depose a leader that works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_cut_off_from_the_leader_alone_does_not_stop_the_others() -> anyhow::Result<()> {
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    let leader = cluster.wait_leader(PATIENCE).await?;
    let lone = cluster.members().iter().find(|member| member.name() != leader).expect("there are three").name();
    let before = terms(&cluster).await?;
    let urls: Vec<String> =
        cluster.members().iter().filter(|member| member.name() != lone).map(|member| member.client_url()).collect();
    let (from, writers) = (Instant::now(), Writers::start("half", 4, &urls)?);
    cluster.links().set(&leader, lone, LinkState::Hold);
    cluster.links().set(lone, &leader, LinkState::Hold);
    tokio::time::sleep(CUT).await;
    let after = terms(&cluster).await?;
    let seen = writers.stop().await;
    let gap = seen.longest_gap(from, Instant::now());
    println!("terms {before:?} before, {after:?} after; longest gap {gap:?} in {} puts", seen.acknowledged.len());
    assert_eq!(after, before, "the cut-off member raised a term");
    assert!(gap < Duration::from_secs(1), "puts paused for {gap:?}");
    cluster.heal();
    Ok(cluster.shutdown().await?)
}

/// Wipes a member and starts it again: what it and the others do.
async fn wipe_a_member(is_leader: bool) -> anyhow::Result<()> {
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    let leader = cluster.wait_leader(PATIENCE).await?;
    let wiped =
        cluster.members().iter().find(|member| (member.name() == leader) == is_leader).expect("there are three");
    let others: Vec<String> =
        cluster.members().iter().filter(|other| other.name() != wiped.name()).map(|other| other.client_url()).collect();
    fill(&others[0], "before", 20).await?;
    wiped.kill().await?;
    cluster.wait_leader(PATIENCE).await?;
    fill(&others[0], "without", 1).await?;
    let before = term(&others[0]).await?;
    let lines = std::fs::read_to_string(wiped.log_path())?.lines().count();
    std::fs::remove_dir_all(wiped.data_dir())?;
    wiped.spawn()?;
    let status = wiped.gone(PATIENCE).await?;
    assert!(!status.success(), "it ended well: {status}");
    let log = std::fs::read_to_string(wiped.log_path())?;
    let log: Vec<&str> = log.lines().skip(lines).collect();
    let cause = log.iter().find(|line| line.contains("its disk was emptied or copied"));
    assert!(cause.is_some(), "its log does not say why: {}", log.join("\n"));
    assert!(!log.iter().any(|line| line.contains("panicked")), "it panicked: {}", log.join("\n"));
    fill(&others[0], "after", 20).await?;
    for url in &others {
        assert_eq!(keys(url).await?.len(), 41);
        assert_eq!(term(url).await?, before, "the refused member raised a term");
    }
    Ok(cluster.shutdown().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_data_dir_under_a_known_member_id_is_refused_and_the_others_go_on() -> anyhow::Result<()> {
    wipe_a_member(false).await?;
    wipe_a_member(true).await
}

/// How far a stopped member's log has been purged.
fn purged(data_dir: &Path) -> anyhow::Result<Option<u64>> {
    let folder = data_dir.join("member/log");
    let found = inspect(&RealDisk::new(&folder, true)?, &folder)?;
    Ok(found.and_then(|found| found.state.purged).map(|purged| purged.index))
}

/// `restart_after_purge`, `membership_survives_purge`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_whose_log_was_purged_come_back_with_their_keys_and_their_membership() -> anyhow::Result<()> {
    let mut config = Config::new(Target::fairlead()?);
    config.args = ["--snapshot-count=50", "--snapshot-catchup-entries=10"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(config).await?;
    cluster.wait_leader(PATIENCE).await?;
    let url = cluster.client_urls()[0].clone();
    // One by one, so that each is an entry; more than is kept behind a snapshot and purged at once.
    fill(&url, "purged", 700).await?;
    let (stored, listed) = (keys(&url).await?, members(&url).await?);
    assert_eq!(listed.len(), 3);
    for round in 0..2 {
        for member in cluster.members() {
            member.kill_now()?;
        }
        for member in cluster.members() {
            member.gone(PATIENCE).await?;
            let purged = purged(member.data_dir())?;
            assert!(purged.is_some_and(|index| index > 100), "{}: the log was purged up to {purged:?}", member.name());
            member.spawn()?;
        }
        for member in cluster.members() {
            member.ready().await?;
        }
        for url in cluster.client_urls() {
            assert_eq!(keys(&url).await?, stored, "round {round}");
            assert_eq!(members(&url).await?, listed, "round {round}");
        }
    }
    // It is a cluster still: a majority of the three goes on, one alone does not.
    cluster.members()[1].kill().await?;
    // A put that is on its way to a leader that dies has no known outcome.
    cluster.wait_leader(PATIENCE).await?;
    fill(&url, "two", 1).await?;
    cluster.members()[2].kill().await?;
    let mut kv = KvClient::new(lazily(&url)?);
    let put = kv.put(pb::PutRequest { key: "one".into(), ..Default::default() });
    assert!(
        !matches!(tokio::time::timeout(Duration::from_secs(3), put).await, Ok(Ok(_))),
        "one of three is no majority"
    );
    Ok(cluster.shutdown().await?)
}

/// What a run's checkers rest on: they read a member's log right after its last change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_member_that_has_ended_in_order_says_that_its_last_entry_is_committed() -> anyhow::Result<()> {
    let cluster = Cluster::start(Config { members: 1, ..Config::new(Target::fairlead()?) }).await?;
    cluster.wait_leader(PATIENCE).await?;
    let (url, member) = (cluster.client_urls()[0].clone(), &cluster.members()[0]);
    fill(&url, "last", 1).await?;
    member.terminate(PATIENCE).await?;
    let folder = member.data_dir().join("member/log");
    let committed = committed(&RealDisk::new(&folder, true)?, &folder)?.expect("there is a log");
    let puts = committed.iter().filter(|entry| entry.payload.windows(10).any(|bytes| bytes == b"last/00000"));
    assert_eq!(puts.count(), 1, "of {} entries", committed.len());
    Ok(cluster.shutdown().await?)
}

/// Entries are batches: few may be long. No flag says how long; 40 MiB are more than the default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_long_in_bytes_is_purged_though_its_entries_are_few() -> anyhow::Result<()> {
    const PUTS: usize = 80;
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    cluster.wait_leader(PATIENCE).await?;
    let url = cluster.client_urls()[0].clone();
    let mut kv = KvClient::new(lazily(&url)?);
    for number in 0..PUTS {
        let value = vec![u8::try_from(number)?; 512 << 10];
        kv.put(pb::PutRequest { key: format!("long/{number}").into(), value: value.into(), ..Default::default() })
            .await?;
    }
    let stored = keys(&url).await?;
    for member in cluster.members() {
        // The purge is the member's own doing, behind a flush: its end is in the files alone.
        let short = async {
            while purged(member.data_dir()).ok().flatten().is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, short).await.map_err(|_| anyhow::anyhow!("{} keeps its log", member.name()))?;
        member.kill_now()?;
    }
    for member in cluster.members() {
        member.gone(PATIENCE).await?;
        let log = std::fs::read_dir(member.data_dir().join("member/log"))?;
        let bytes: u64 = log.map(|file| Ok(file?.metadata()?.len())).sum::<std::io::Result<u64>>()?;
        assert!(bytes <= 64 << 20, "{}: the log takes {bytes} bytes", member.name());
        member.spawn()?;
    }
    for member in cluster.members() {
        member.ready().await?;
    }
    for url in cluster.client_urls() {
        assert_eq!(keys(&url).await?, stored);
    }
    Ok(cluster.shutdown().await?)
}
