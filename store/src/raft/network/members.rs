//! Whom this member can call: follows the group's membership, so that every member of it has an address.
//!
//! openraft makes channels only where it replicates, which is at the leader; a follower forwards too.

use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use tokio_util::sync::CancellationToken;

use super::super::state_machine::StateMachine;
use super::super::types::TypeConfig;
use super::Peers;

/// Learns the addresses of each membership that becomes effective, until shutdown.
pub(crate) async fn follow(peers: Peers, raft: Raft<TypeConfig, StateMachine>, shutdown: CancellationToken) {
    let mut changes = raft.server_metrics();
    loop {
        let effective = changes.borrow_and_update().membership_config.clone();
        peers.learn(effective.nodes());
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
