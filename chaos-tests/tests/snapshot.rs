//! Snapshots with real processes: a follower that lags until it needs one, and a backup that becomes a new cluster.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::mvccpb;
use pb::kv_client::KvClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(60);

/// In each of two bursts: more than `--snapshot-count`, the entries kept behind it and a batch of purged ones together, so
/// that the log alone cannot help.
const CHANGES: usize = 400;

/// Between the bursts: calls to the lost member have timed out by then and hold no entry of the log any more.
const GIVEN_UP: Duration = Duration::from_secs(2);

async fn connect(url: &str) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.connect().await?)
}

async fn put(kv: &mut KvClient<Channel>, key: String) -> anyhow::Result<i64> {
    let request = pb::PutRequest { key: key.clone().into(), value: key.into(), ..Default::default() };
    Ok(kv.put(request).await?.into_inner().header.map_or(0, |header| header.revision))
}

async fn hash(url: &str) -> anyhow::Result<(u32, i64)> {
    // A barrier first: HashKV is local.
    KvClient::new(connect(url).await?).range(pb::RangeRequest { key: "k".into(), ..Default::default() }).await?;
    let answer = MaintenanceClient::new(connect(url).await?).hash_kv(pb::HashKvRequest { revision: 0 }).await?;
    let answer = answer.into_inner();
    Ok((answer.hash, answer.header.map_or(0, |header| header.revision)))
}

/// A counter's sum over its labels on a member's metrics page.
async fn metric(url: &str, name: &str) -> anyhow::Result<f64> {
    let address = url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    let lines = page.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// All puts under `front` that a watch from `from` on brings, until one at `last`.
async fn watched(url: &str, front: &str, from: i64, last: i64) -> anyhow::Result<Vec<mvccpb::KeyValue>> {
    let create = pb::WatchCreateRequest {
        key: format!("{front}/").into(),
        range_end: format!("{front}0").into(),
        start_revision: from,
        ..Default::default()
    };
    let request = pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut responses = WatchClient::new(connect(url).await?).watch(requests).await?.into_inner();
    let mut seen: Vec<mvccpb::KeyValue> = Vec::new();
    while seen.last().is_none_or(|kv| kv.mod_revision < last) {
        let response = responses.message().await?.ok_or_else(|| anyhow::anyhow!("the watch ended"))?;
        anyhow::ensure!(!response.canceled, "the watch was cancelled: {response:?}");
        seen.extend(response.events.into_iter().filter_map(|event| event.kv));
    }
    Ok(seen)
}

/// `watch_over_snapshot_install`, `install_reloads_counters`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_needs_a_snapshot_installs_it_and_its_watches_miss_nothing() -> anyhow::Result<()> {
    let mut config = Config::new(Target::fairlead()?);
    config.args = ["--snapshot-count=50", "--snapshot-catchup-entries=10"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(config).await?;
    let leader = cluster.wait_leader(PATIENCE).await?;
    let others: Vec<String> =
        cluster.members().iter().map(|member| member.name().to_owned()).filter(|name| *name != leader).collect();
    let (lagging, url) = (&others[0], cluster.member(&others[0])?.client_url());
    let mut kv = KvClient::new(connect(&cluster.member(&leader)?.client_url()).await?);
    let first = put(&mut kv, "w/before".to_owned()).await?;
    hash(&url).await?;
    let before = metric(&url, "etcd_network_snapshot_receive_success").await?;

    for round in 0..3 {
        let from = if round == 0 { first } else { put(&mut kv, format!("w/round{round}")).await? };
        hash(&url).await?;
        cluster.partition(&[&[lagging.as_str()]])?;
        let mut revisions = Vec::new();
        for change in 0..2 * CHANGES {
            if change == CHANGES {
                tokio::time::sleep(GIVEN_UP).await;
            }
            revisions.push(put(&mut kv, format!("w/{round}/{change:04}")).await?);
        }
        let last = *revisions.last().expect("there are changes");
        // The watch is open on the lagging member while the snapshot replaces its state.
        let watcher = tokio::spawn({
            let url = url.clone();
            async move { tokio::time::timeout(PATIENCE, watched(&url, "w", from, last)).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.heal();
        let seen = watcher.await???;
        let seen: Vec<i64> = seen.into_iter().map(|kv| kv.mod_revision).collect();
        let wanted: Vec<i64> = std::iter::once(from).chain(revisions).collect();
        assert_eq!(seen, wanted, "round {round}: a gap, a repeat or a step back");
        // What comes after the install goes on from the new state.
        let after = put(&mut KvClient::new(connect(&url).await?), format!("w/after{round}")).await?;
        assert_eq!(after, last + 1, "round {round}");
        let hashes = [hash(&url).await?, hash(&cluster.member(&leader)?.client_url()).await?];
        assert_eq!(hashes[0], hashes[1], "round {round}: members differ");
    }
    let received = metric(&url, "etcd_network_snapshot_receive_success").await? - before;
    assert!(received >= 3.0, "{received} snapshots were installed: the follower caught up from the log");

    // Installed state survives its own restart.
    cluster.member(lagging)?.restart().await?;
    assert_eq!(hash(&url).await?, hash(&cluster.member(&leader)?.client_url()).await?);
    Ok(cluster.shutdown().await?)
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "{command:?}: {out}{err}");
    Ok(out.into_owned())
}

async fn all(url: &str) -> anyhow::Result<(BTreeMap<Vec<u8>, (i64, i64)>, i64)> {
    let mut kv = KvClient::new(connect(url).await?);
    let request = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let answer = kv.range(request).await?.into_inner();
    let keys = answer.kvs.into_iter().map(|kv| (kv.key.to_vec(), (kv.mod_revision, kv.version)));
    Ok((keys.collect(), answer.header.map_or(0, |header| header.revision)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_becomes_a_new_cluster_with_the_same_keys_and_revisions() -> anyhow::Result<()> {
    let Target::Fairlead(binary) = Target::fairlead()? else { anyhow::bail!("fairlead is ours") };
    let folder = tempfile::tempdir()?;
    let backup = folder.path().join("backup.snap");
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    let url = cluster.client_urls()[0].clone();
    let mut kv = KvClient::new(connect(&url).await?);
    for key in 0..50 {
        put(&mut kv, format!("k/{:02}", key % 20)).await?;
    }
    kv.delete_range(pb::DeleteRangeRequest { key: "k/03".into(), ..Default::default() }).await?;
    let (saved, hashed) = (all(&url).await?, hash(&url).await?);
    let etcdctl = |args: &[&str]| {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &url]).args(args);
        run(&mut command)
    };
    let path = backup.to_str().expect("temporary folders have plain names").to_owned();
    tokio::task::block_in_place(|| etcdctl(&["snapshot", "save", &path]))?;
    put(&mut kv, "k/later".to_owned()).await?;
    cluster.shutdown().await?;

    // The new cluster's own flags decide its ids; each member is restored from the same file.
    let restored = Cluster::prepare(Config::new(Target::fairlead()?)).await?;
    let initial: Vec<String> =
        restored.members().iter().map(|member| format!("{}={}", member.name(), member.peer_url())).collect();
    let initial = initial.join(",");
    // The harness's.
    let token = format!("fairlead-{}", restored.dir().display());
    for member in restored.members() {
        if member.data_dir().exists() {
            std::fs::remove_dir_all(member.data_dir())?;
        }
        let mut command = Command::new(&binary);
        command.args(["snapshot", "restore", &path, "--name", member.name(), "--initial-cluster", &initial]);
        command.args(["--initial-advertise-peer-urls", &member.peer_url(), "--initial-cluster-token", &token]);
        command.arg("--data-dir").arg(member.data_dir());
        tokio::task::block_in_place(|| run(&mut command))?;
        let again = tokio::task::block_in_place(|| run(&mut command)).expect_err("a directory is never overwritten");
        assert!(again.to_string().contains("exists"), "{again}");
    }
    for member in restored.members() {
        member.spawn()?;
    }
    for member in restored.members() {
        member.ready().await?;
    }
    for url in restored.client_urls() {
        assert_eq!(all(&url).await?, saved, "{url}");
        assert_eq!(hash(&url).await?, hashed, "{url}");
    }
    let next = put(&mut KvClient::new(connect(&restored.client_urls()[1]).await?), "k/new".to_owned()).await?;
    assert_eq!(next, saved.1 + 1, "revisions go on");
    for member in restored.members() {
        member.restart().await?;
    }
    assert_eq!(all(&restored.client_urls()[2]).await?.1, next);
    Ok(restored.shutdown().await?)
}
