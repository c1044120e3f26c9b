//! The watchdog: a member whose raft core is dead must not go on answering.
//!
//! openraft keeps serving stale metrics after a panic or a storage error in its core; peers and clients would wait on a
//! member that only looks alive.

use openraft::async_runtime::watch::WatchReceiver;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::node::Node;

/// The line that tests and operators look for.
pub(crate) const MARKER: &str = "raft core is dead: this member ends";

/// Ends the process when openraft's core has ended outside a shutdown.
pub(super) async fn watch(node: Arc<Node>, shutdown: CancellationToken) {
    let mut metrics = node.raft().metrics();
    loop {
        let reason = match &metrics.borrow_and_update().running_state {
            Ok(()) => None,
            Err(fatal) => Some(fatal.to_string()),
        };
        if let Some(reason) = reason {
            return end(&reason, &shutdown);
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            changed = metrics.changed() => if changed.is_err() {
                return end("its task has gone", &shutdown);
            }
        }
    }
}

fn end(reason: &str, shutdown: &CancellationToken) {
    if shutdown.is_cancelled() {
        return;
    }
    tracing::error!(target: "raft", reason, "{MARKER}");
    std::process::abort();
}
