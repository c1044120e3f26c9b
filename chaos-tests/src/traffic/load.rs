//! A closed loop of clients on some connections: each asks, waits for its answer, asks again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use fairlead_proto::etcd::etcdserverpb::{PutRequest, RangeRequest};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use super::cpu;

/// What each client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A put of a value to one of `keys` keys.
    Put,
    /// A linearizable get of one of `keys` keys.
    Get,
    /// A serializable get.
    GetSerializable,
}

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// What each client does.
    pub kind: Kind,
    /// Concurrent clients, spread over the connections.
    pub clients: usize,
    /// Connections, spread over the endpoints.
    pub connections: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Keys in use.
    pub keys: u64,
    /// How long.
    pub duration: Duration,
}

/// What a load saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Operations a second.
    pub per_second: f64,
    /// Half of the operations took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// CPU of all servers for an operation, in microseconds.
    pub cpu_us: f64,
    /// Operations that failed.
    pub failed: u64,
}

/// Runs `load` against `endpoints`, whose servers are the processes `pids`.
///
/// # Errors
/// When an endpoint cannot be reached, a server has ended, or nothing succeeded.
pub async fn run(load: &Load, endpoints: &[String], pids: &[u32]) -> anyhow::Result<Seen> {
    let mut channels: Vec<Channel> = Vec::new();
    for connection in 0..load.connections.max(1) {
        let url = &endpoints[connection % endpoints.len()];
        channels.push(Endpoint::from_shared(url.clone())?.tcp_nodelay(true).connect().await?);
    }
    let cpu = |pids: &[u32]| pids.iter().map(|pid| cpu::seconds(*pid)).sum::<std::io::Result<f64>>();
    let before = cpu(pids)?;
    let start = Instant::now();
    let end = start + load.duration;
    let mut clients = JoinSet::new();
    for client in 0..load.clients {
        let channel = channels[client % channels.len()].clone();
        clients.spawn(one_client(KvClient::new(channel), load.clone(), client as u64, end));
    }
    let (mut latencies, mut failed) = (Vec::new(), 0);
    while let Some(done) = clients.join_next().await {
        let (times, errors) = done?;
        latencies.extend(times);
        failed += errors;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu(pids)? - before;
    anyhow::ensure!(!latencies.is_empty(), "nothing succeeded, {failed} failed");
    latencies.sort_unstable();
    let at = |part: f64| Duration::from_micros(u64::from(latencies[((latencies.len() - 1) as f64 * part) as usize]));
    Ok(Seen {
        per_second: latencies.len() as f64 / elapsed,
        p50: at(0.5),
        p99: at(0.99),
        cpu_us: cpu_seconds * 1e6 / latencies.len() as f64,
        failed,
    })
}

/// Latencies in microseconds, and how many operations failed.
async fn one_client(mut kv: KvClient<Channel>, load: Load, client: u64, end: Instant) -> (Vec<u32>, u64) {
    let value = Bytes::from(vec![b'x'; load.value_bytes]);
    let (mut times, mut failed) = (Vec::new(), 0);
    // A multiplicative walk: every client visits all keys, none in the order of another.
    let mut at = client.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while Instant::now() < end {
        at = at.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let key = Bytes::from(format!("load/{:08}", (at >> 33) % load.keys.max(1)));
        let asked = Instant::now();
        let answered = match load.kind {
            Kind::Put => kv.put(PutRequest { key, value: value.clone(), ..Default::default() }).await.map(|_| ()),
            Kind::Get | Kind::GetSerializable => {
                let serializable = load.kind == Kind::GetSerializable;
                kv.range(RangeRequest { key, serializable, ..Default::default() }).await.map(|_| ())
            }
        };
        match answered {
            Ok(()) => times.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX)),
            Err(_) => failed += 1,
        }
    }
    (times, failed)
}
