//! Many keys: how long a member needs from kill -9 to serving, and what memory a key costs.
//!
//! `make test` does it with a few keys and asserts that nothing is lost; `make proof` with 100 k, 1 M and 3 M keys of 256 B
//! beside a real etcd, and asserts the aims: 1 M keys served again within [`READY_MAX`], [`KEY_BYTES_MAX`] a key above the
//! caches. One member: it has nobody to be caught up by.

use std::time::{Duration, Instant};

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Member, Target};
use fairlead_chaos_tests::traffic::cpu;
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::kv_client::KvClient;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

const VALUE_BYTES: usize = 256;
/// Puts in a transaction: below etcd's bound of 128.
const TXN_PUTS: u64 = 100;
const WRITERS: u64 = 8;
const KEYS_TEST: [u64; 1] = [20_000];
const KEYS_PROOF: [u64; 3] = [100_000, 1_000_000, 3_000_000];
/// Keys in one page of the read that warms all caches.
const PAGE: u64 = 10_000;

/// From the start of the process to the first linearizable read, with 1 M keys.
const READY_MAX: Duration = Duration::from_secs(2);
/// What memory may grow by for each key once the caches are full, bytes.
const KEY_BYTES_MAX: f64 = 4.0;
/// Restarts at each size. What one holds differs by megabytes from the next, with the allocator's luck and the moment: memory
/// is the least of them, time the longest.
const RESTARTS: u32 = 3;

type Kv = KvClient<Channel>;

async fn connect(member: &Member) -> anyhow::Result<Kv> {
    Ok(KvClient::new(Endpoint::from_shared(member.client_url())?.connect().await?).max_decoding_message_size(1 << 28))
}

fn key(at: u64) -> Vec<u8> {
    format!("capacity/{at:012}").into_bytes()
}

/// Puts the keys `from..to`.
async fn fill(member: &Member, from: u64, to: u64) -> anyhow::Result<()> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut kv = connect(member).await?;
        writers.spawn(async move {
            let step = usize::try_from(WRITERS * TXN_PUTS)?;
            for first in (from + writer * TXN_PUTS..to).step_by(step) {
                let put = |at| pb::PutRequest {
                    key: key(at).into(),
                    value: vec![b'x'; VALUE_BYTES].into(),
                    ..Default::default()
                };
                let op = |at| pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(at))) };
                let success = (first..to.min(first + TXN_PUTS)).map(op).collect();
                kv.txn(pb::TxnRequest { success, ..Default::default() }).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    Ok(())
}

/// Reads everything once, a page at a time; how many keys there are.
async fn read_all(kv: &mut Kv) -> anyhow::Result<u64> {
    let (mut next, mut seen) = (key(0), 0);
    loop {
        let request = pb::RangeRequest {
            key: next.clone().into(),
            range_end: b"capacity0".to_vec().into(),
            limit: PAGE as i64,
            ..Default::default()
        };
        let page = kv.range(request).await?.into_inner();
        seen += page.kvs.len() as u64;
        match page.kvs.last().filter(|_| page.more) {
            Some(last) => next = [&last.key[..], b"\0"].concat(),
            None => return Ok(seen),
        }
    }
}

struct Seen {
    keys: u64,
    ready: Duration,
    /// Resident right after the restart, and after everything was read once.
    fresh_bytes: u64,
    warm_bytes: u64,
}

fn resident(member: &Member) -> anyhow::Result<u64> {
    Ok(cpu::resident_bytes(member.pid().ok_or_else(|| anyhow::anyhow!("the member has ended"))?)?)
}

async fn measure(member: &Member, keys: u64) -> anyhow::Result<Seen> {
    let mut all = restarted(member, keys).await?;
    for _ in 1..RESTARTS {
        let seen = restarted(member, keys).await?;
        all.ready = all.ready.max(seen.ready);
        all.fresh_bytes = all.fresh_bytes.min(seen.fresh_bytes);
        all.warm_bytes = all.warm_bytes.min(seen.warm_bytes);
    }
    Ok(all)
}

async fn restarted(member: &Member, keys: u64) -> anyhow::Result<Seen> {
    member.kill().await?;
    let started = Instant::now();
    member.start().await?;
    let mut kv = connect(member).await?;
    let last = kv.range(pb::RangeRequest { key: key(keys - 1).into(), ..Default::default() }).await?.into_inner();
    let ready = started.elapsed();
    anyhow::ensure!(last.count == 1, "the last of {keys} keys is gone");
    let fresh_bytes = resident(member)?;
    let read = read_all(&mut kv).await?;
    anyhow::ensure!(read == keys, "{read} of {keys} keys are there");
    Ok(Seen { keys, ready, fresh_bytes, warm_bytes: resident(member)? })
}

async fn figures(name: &str, target: Target, sizes: &[u64]) -> anyhow::Result<Vec<Seen>> {
    let mut config = Config { members: 1, ..Config::new(target) };
    config.args = vec!["--quota-backend-bytes=17179869184".to_owned()];
    config.ready_within = Duration::from_secs(120);
    let cluster = Cluster::start(config).await?;
    let member = cluster.member("n1")?;
    let (mut there, mut all) = (0, Vec::new());
    for keys in sizes {
        fill(member, there, *keys).await?;
        there = *keys;
        let seen = measure(member, *keys).await?;
        println!(
            "capacity {name:9} {keys:>8} keys  kill -9 to first read {:>8.2?}  resident {:>6.1} MiB, {:>6.1} MiB when all was read",
            seen.ready,
            seen.fresh_bytes as f64 / 1_048_576.0,
            seen.warm_bytes as f64 / 1_048_576.0
        );
        all.push(seen);
    }
    cluster.shutdown().await?;
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_cost_neither_time_at_start_nor_memory() -> anyhow::Result<()> {
    if std::env::var_os("FAIRLEAD_PROOF").is_none() {
        figures("fairlead", Target::fairlead()?, &KEYS_TEST).await?;
        return Ok(());
    }
    figures("etcd", Target::etcd()?, &KEYS_PROOF).await?;
    let ours = figures("fairlead", Target::fairlead()?, &KEYS_PROOF).await?;
    let (million, most) = (&ours[1], &ours[2]);
    assert!(million.ready <= READY_MAX, "{} keys: {:?} to the first read", million.keys, million.ready);
    for (when, from, to) in [
        ("after the restart", million.fresh_bytes, most.fresh_bytes),
        ("when all was read", million.warm_bytes, most.warm_bytes),
    ] {
        let each = (to as f64 - from as f64) / (most.keys - million.keys) as f64;
        println!("capacity fairlead  {when}: {each:.2} B a key from {} to {} keys", million.keys, most.keys);
        assert!(each <= KEY_BYTES_MAX, "{when}: {each:.1} B a key");
    }
    Ok(())
}
