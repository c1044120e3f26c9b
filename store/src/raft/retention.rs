//! Keeps the log short in bytes.
//!
//! openraft counts entries, for its snapshots and for what it keeps behind them; but an entry of ours is a whole batch, so
//! five thousand may be 5 MB or 500. Promises: the log is purged only behind a snapshot, that is behind what is flushed, and
//! by openraft, which spares what a live stream still sends. Does not: shorten a log whose entries are not applied.

use openraft::async_runtime::watch::WatchReceiver;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::log::Log;

/// What is kept of a log that has become too long: followers that lag are spared a snapshot by that much.
const KEPT: u64 = 2;

/// How long the log may become.
pub(super) struct Retention {
    pub(super) log: Log,
    pub(super) bytes_max: u64,
}

impl Retention {
    /// Has the log purged whenever it is too long, until `shutdown`.
    pub(super) async fn run(self, node: Arc<Node>, shutdown: CancellationToken) {
        let mut applied = node.applied();
        let purging = async {
            while applied.changed().await.is_ok() {
                let last_applied = applied.borrow_and_update().checked_sub(1);
                let excess = self.log.excess(self.bytes_max, self.bytes_max / KEPT);
                if let Some((upto, last_applied)) = excess.zip(last_applied)
                    && upto <= last_applied
                    && !purge(&node, upto).await
                {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = purging => {}
        }
    }
}

/// Has openraft purge the entries up to `upto`, which are applied; behind a new snapshot where the last one does not reach so far.
/// `false`: openraft has ended, which the watchdog sees to.
async fn purge(node: &Node, upto: u64) -> bool {
    let mut metrics = node.raft().metrics();
    let (mut asked_behind, mut asked_purge) = (None, false);
    loop {
        let (snapshot, purged) = {
            let now = metrics.borrow_and_update();
            (now.snapshot.as_ref().map(|id| id.index()), now.purged.as_ref().map(|id| id.index()))
        };
        if purged >= Some(upto) {
            return true;
        }
        let asked = if snapshot >= Some(upto) {
            if std::mem::replace(&mut asked_purge, true) { Ok(()) } else { node.raft().trigger().purge_log(upto).await }
        } else if asked_behind.replace(snapshot) == Some(snapshot) {
            Ok(())
        } else {
            // One that was under way may end before `upto`: then it is asked for again.
            node.raft().trigger().snapshot().await
        };
        if asked.is_err() || metrics.changed().await.is_err() {
            return false;
        }
    }
}
