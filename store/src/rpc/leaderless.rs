//! Streams whose client would rather be cut off than wait on a member without a leader (`hasleader`).
//!
//! Source: etcd `server/etcdserver/api/v3rpc/interceptor.go` (monitorLeader).

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tonic::metadata::MetadataMap;

use super::Context;
use crate::raft::MemberId;

/// Election timeouts without a leader after which such a stream ends.
const ELECTION_TIMEOUTS: u32 = 3;

/// Resolves once this member has had no leader for three election timeouts; never where the client did not ask for it.
pub(super) fn leaderless(ctx: &Context, metadata: &MetadataMap) -> BoxFuture<'static, ()> {
    if metadata.get("hasleader").is_none_or(|value| value != "true") {
        return Box::pin(std::future::pending());
    }
    let patience = ELECTION_TIMEOUTS * ctx.limits.election_timeout;
    Box::pin(without_leader(ctx.consensus.watch_leader(), patience))
}

async fn without_leader(mut leader: watch::Receiver<Option<MemberId>>, patience: Duration) {
    while leader.wait_for(Option::is_none).await.is_ok() {
        match tokio::time::timeout(patience, leader.wait_for(Option::is_some)).await {
            Err(_) => return,
            Ok(Ok(_)) => {}
            Ok(Err(_)) => break,
        }
    }
    // The member stops, which ends its streams by itself.
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_long_time_without_a_leader_counts() {
        let leader = watch::Sender::new(Some(MemberId(1)));
        let waiting = tokio::spawn(without_leader(leader.subscribe(), Duration::from_secs(3)));
        leader.send_replace(None);
        sleep(Duration::from_millis(2900)).await;
        leader.send_replace(Some(MemberId(2)));
        sleep(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished());
        leader.send_replace(None);
        let start = Instant::now();
        waiting.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}
