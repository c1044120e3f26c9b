//! Leadership handed over: by `MoveLeader`, and before this member stops.

use openraft::async_runtime::watch::WatchReceiver;
use std::time::Duration;

use tokio::time::Instant;

use super::consensus::{MemberId, Unserved};
use super::node::Node;

/// Hands leadership to `target` and waits until it leads.
pub(super) async fn move_leader(node: &Node, target: MemberId) -> Result<(), Unserved> {
    if !node.leads() {
        return Err(Unserved::NotLeader);
    }
    let voters: Vec<u64> = node.raft().voter_ids().collect();
    if !voters.contains(&target.0) {
        return Err(Unserved::BadTransferee);
    }
    if target.0 == node.identity().member {
        return Ok(());
    }
    tracing::info!(target: "raft", to = %target, "leadership transfer starts");
    node.raft().trigger().transfer_leader(target.0).await.map_err(|_| Unserved::Stopped)?;
    match wait_until_led_by(node, node.timing().election, |leader| leader == target.0).await {
        true => Ok(()),
        false => Err(Unserved::TransferTimeout),
    }
}

/// Hands leadership to the voter that has the most of the log, if this member leads and there is another. Bounded.
pub(super) async fn step_down(node: &Node, most: Duration) {
    if !node.leads() {
        return;
    }
    let me = node.identity().member;
    let voters: Vec<u64> = node.raft().voter_ids().filter(|id| *id != me).collect();
    let target = {
        let metrics = node.raft().metrics();
        let metrics = metrics.borrow_watched();
        let matching = |id: &u64| metrics.replication.as_ref().and_then(|all| all.get(id)).cloned().flatten();
        voters.into_iter().max_by_key(|id| matching(id))
    };
    let Some(target) = target else { return };
    if node.raft().trigger().transfer_leader(target).await.is_err() {
        return;
    }
    let moved = wait_until_led_by(node, most, |leader| leader != me).await;
    tracing::info!(target: "raft", to = %MemberId(target), moved, "leadership handed over before stopping");
}

async fn wait_until_led_by(node: &Node, most: Duration, wanted: impl Fn(u64) -> bool) -> bool {
    let mut changes = node.raft().server_metrics();
    let deadline = Instant::now() + most;
    loop {
        if changes.borrow_and_update().current_leader.is_some_and(&wanted) {
            return true;
        }
        match tokio::time::timeout_at(deadline, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
    }
}
