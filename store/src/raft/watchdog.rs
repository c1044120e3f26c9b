//! The watchdog: a member whose raft core or engine is dead must not go on answering.
//!
//! openraft keeps serving stale metrics after a panic or a storage error in its core; peers and clients would wait on a
//! member that only looks alive.

use openraft::async_runtime::watch::WatchReceiver;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::node::Node;
use super::start::End;
use super::state_dir::StateDir;

/// The line that tests and operators look for.
pub(crate) const MARKER: &str = "raft or its state is dead: this member ends";

/// Ends the process when openraft's core has ended outside a shutdown.
pub(super) async fn watch(node: Arc<Node>, abort: End, shutdown: CancellationToken) {
    let mut metrics = node.raft().metrics();
    loop {
        let reason = match &metrics.borrow_and_update().running_state {
            Ok(()) => None,
            Err(fatal) => Some(fatal.to_string()),
        };
        if let Some(reason) = reason {
            return end(&reason, &abort, &shutdown);
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            changed = metrics.changed() => if changed.is_err() {
                return end("its task has gone", &abort, &shutdown);
            }
        }
    }
}

/// How often the engine is asked: nothing tells of an error of its background work.
const ENGINE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Ends the process when the engine has met an error in the background that is not about space: it takes no more writes.
pub(super) async fn watch_engine(state: Arc<StateDir>, abort: End, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(ENGINE_CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Some(error) = state.engine().background_error() {
            return end(&error.to_string(), &abort, &shutdown);
        }
    }
}

fn end(reason: &str, abort: &End, shutdown: &CancellationToken) {
    if shutdown.is_cancelled() {
        return;
    }
    tracing::error!(target: "raft", reason, "{MARKER}");
    abort(reason);
}
