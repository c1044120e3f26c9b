//! Failpoints armed from outside, as gofail's tools do it: what is slow is named in the log, and a crash is where it was asked
//! for.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Member, State, Target};
use fairlead_chaos_tests::page::{Page, ask};
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::kv_client::KvClient;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(20);

/// Above `--warning-unary-request-duration`, whose default is 300 ms.
const DELAY_MS: u64 = 600;

/// A lone member, and where its failpoints are armed.
async fn start() -> anyhow::Result<(Cluster, String)> {
    let door = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut config = Config { members: 1, ..Config::new(Target::fairlead()?) };
    config.env = vec![("GOFAIL_HTTP".to_owned(), door.clone())];
    Ok((Cluster::start(config).await?, door))
}

async fn arm(door: &str, name: &str, terms: &str) -> anyhow::Result<()> {
    let (status, text) = ask(door, "PUT", &format!("/{name}"), terms).await?;
    anyhow::ensure!(status == 204, "{name}={terms}: {status} {text}");
    Ok(())
}

async fn disarm(door: &str, name: &str) -> anyhow::Result<()> {
    let (status, text) = ask(door, "DELETE", &format!("/{name}"), "").await?;
    anyhow::ensure!(status == 204, "{name}: {status} {text}");
    Ok(())
}

async fn client(member: &Member) -> anyhow::Result<KvClient<Channel>> {
    Ok(KvClient::new(Endpoint::from_shared(member.client_url())?.connect().await?))
}

async fn put(mut kv: KvClient<Channel>, key: &'static str) -> anyhow::Result<()> {
    kv.put(pb::PutRequest { key: key.into(), value: "v".into(), ..Default::default() }).await?;
    Ok(())
}

/// The log's lines with this message.
fn logged(member: &Member, message: &str) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(member.log_path())?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter(|line| line["msg"] == message).collect())
}

/// Waits for the line about a slow call on `key`, which is written when its answer is on its way.
async fn slow_line(member: &Member, key: &str) -> anyhow::Result<Value> {
    let found = async {
        loop {
            let lines = logged(member, "request took too long")?;
            if let Some(line) = lines.into_iter().find(|line| line["key"] == key) {
                return anyhow::Ok(line);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await?
}

/// Asserts that the line blames `phase`, and that this phase was about as long as the delay.
fn assert_blames(line: &Value, phase: &str) {
    assert_eq!(line["guilty"], phase, "{line}");
    let spent = line[format!("{phase}_ms")].as_u64().unwrap_or(0);
    assert!(spent >= DELAY_MS / 2, "{line}");
    let took = line["took_ms"].as_u64().unwrap_or(0);
    let parts = ["queue", "barrier", "replicate", "apply", "read", "compact"];
    let sum: u64 = parts.iter().filter_map(|part| line[format!("{part}_ms")].as_u64()).sum();
    assert!(sum <= took && took - sum <= parts.len() as u64, "the parts are not the whole: {line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_write_is_logged_with_the_guilty_phase() -> anyhow::Result<()> {
    let (cluster, door) = start().await?;
    let member = cluster.member("n1")?;
    let kv = client(member).await?;
    put(kv.clone(), "fast").await?;

    arm(&door, "beforeCommit", &format!("sleep({DELAY_MS})")).await?;
    put(kv.clone(), "slow-apply").await?;
    disarm(&door, "beforeCommit").await?;
    assert_blames(&slow_line(member, "slow-apply").await?, "apply");
    let applied = logged(member, "apply request took too long")?;
    assert!(applied.iter().any(|line| line["guilty"] == "commit"), "{applied:?}");
    assert!(Page::of(&member.client_url()).await?.sum("etcd_server_slow_apply_total") >= 1.0);

    arm(&door, "raftBeforeSave", &format!("sleep(\"{DELAY_MS}ms\")")).await?;
    put(kv.clone(), "slow-sync").await?;
    disarm(&door, "raftBeforeSave").await?;
    assert_blames(&slow_line(member, "slow-sync").await?, "replicate");

    // The second waits behind the first, whose sync alone is slow.
    arm(&door, "raftBeforeSave", &format!("1*sleep({DELAY_MS})")).await?;
    let first = tokio::spawn(put(kv.clone(), "ahead"));
    tokio::time::sleep(Duration::from_millis(DELAY_MS / 6)).await;
    put(kv.clone(), "behind").await?;
    first.await??;
    assert_blames(&slow_line(member, "ahead").await?, "replicate");
    assert_blames(&slow_line(member, "behind").await?, "queue");

    assert!(logged(member, "request took too long")?.iter().all(|line| line["key"] != "fast"));
    Ok(cluster.shutdown().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_crashes_where_gofail_says_and_goes_on() -> anyhow::Result<()> {
    let (cluster, door) = start().await?;
    let member = cluster.member("n1")?;
    put(client(member).await?, "before").await?;
    let (status, list) = ask(&door, "GET", "/", "").await?;
    assert_eq!(status, 200);
    for name in ["beforeCommit", "raftBeforeSave", "compactBeforeCommitBatch"] {
        assert!(list.contains(&format!("{name}=\n")), "{list}");
    }
    let (status, text) = ask(&door, "PUT", "/beforeCommit", "explode").await?;
    assert!(status == 400 && text.contains("known are off, panic, sleep and return"), "{status} {text}");

    arm(&door, "raftAfterSave", "panic").await?;
    put(client(member).await?, "durable").await.expect_err("the member dies before it can answer");
    member.gone(PATIENCE).await?;
    assert_eq!(member.state(), State::Stopped);
    member.start().await?;
    let range = pb::RangeRequest { key: "durable".into(), ..Default::default() };
    assert_eq!(client(member).await?.range(range).await?.into_inner().count, 1, "what was durable was lost");
    Ok(cluster.shutdown().await?)
}
