//! A small call to every peer now and then, so that the way to each is measured from each, also where nothing else is said:
//! followers do not talk to each other.
//!
//! Source: etcd `server/etcdserver/api/rafthttp/probing_status.go`.

use std::time::Duration;

use fairlead_proto::peer::ProbeRequest;
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Peers;

/// Between two probes of a peer, and the longest wait for its answer: etcd's.
const PROBE_INTERVAL: Duration = Duration::from_secs(4);

/// Probes all peers until shutdown.
pub(crate) async fn run(peers: Peers, shutdown: CancellationToken) {
    let mut ticks = interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let all = peers.known().into_iter().map(|member| probe(&peers, member));
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = join_all(all) => {}
        }
    }
}

async fn probe(peers: &Peers, member: u64) {
    let Some(mut client) = peers.forward(member) else { return };
    let asked = Instant::now();
    // A failure is counted where the call passes.
    if let Ok(Ok(_)) = tokio::time::timeout(PROBE_INTERVAL, client.probe(ProbeRequest {})).await {
        peers.contacts().to(member).took(asked.elapsed());
    }
}
