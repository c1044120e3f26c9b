//! Checkpoints: what is left of long leases, written into the state now and then, so that a cluster which changes leaders
//! often does not keep them for ever (etcd#13508).
//!
//! Does not: answer anybody. A checkpoint that fails is made again at the next interval.

use std::sync::{Arc, Mutex};

use fairlead_proto::served::etcdserverpb as pb;
use tokio::time::Instant;

use super::expiry::Leadership;
use super::lessor::Lessor;
use crate::apply::Command;

/// Proposes every checkpoint that is due, at most `per_entry_max` in an entry, one entry after another.
pub(super) async fn propose_due(lessor: &Mutex<Lessor>, leadership: &Arc<dyn Leadership>, per_entry_max: usize) {
    loop {
        let due = lessor.lock().expect("no holder panics").due_checkpoints(Instant::now(), per_entry_max);
        if due.is_empty() {
            return;
        }
        let checkpoints = due.iter().map(|&(id, remaining_ttl)| pb::LeaseCheckpoint { id, remaining_ttl }).collect();
        let command = Command::LeaseCheckpoint(pb::LeaseCheckpointRequest { checkpoints });
        if let Err(error) = leadership.propose(command).await {
            tracing::warn!(target: "lease", leases = due.len(), %error, "checkpoints were not written");
            return;
        }
    }
}
