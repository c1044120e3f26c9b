//! What every service needs: the doors of the other rooms, the limits and the metrics.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::alarm::Alarms;
use crate::member::Members;
use crate::metrics::Metrics;
use crate::quota::Quota;
use crate::raft::Consensus;

/// How large, how many, how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of an encoded request (`--max-request-bytes`; etcd's default 1.5 MiB).
    pub request_bytes_max: usize,
    /// Operations of a transaction (`--max-txn-ops`; etcd's default 128).
    pub txn_ops_max: usize,
    /// Keys that a read may touch on the runtime's own threads; a larger one goes to the blocking threads.
    pub read_inline_keys_max: i64,
    /// A unary call that takes longer is logged (`--warning-unary-request-duration`; etcd's default 300 ms).
    pub slow_request: Duration,
    /// `--election-timeout` (etcd's default 1 s): without a leader for three of them, calls that need one are refused.
    pub election_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_bytes_max: 1_572_864,
            txn_ops_max: 128,
            read_inline_keys_max: 64,
            slow_request: Duration::from_millis(300),
            election_timeout: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// Bytes of a gRPC message from a client: etcd leaves 512 KiB of room above a request.
    #[must_use]
    pub fn receive_bytes_max(&self) -> usize {
        self.request_bytes_max + 512 * 1024
    }

    /// etcd's budget for a request: 5 s for the disks and two elections.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.election_timeout
    }
}

/// This member's leases, as it has applied them.
pub trait Leases: Send + Sync + 'static {
    /// Their ids, by expiry.
    fn ids_by_expiry(&self) -> Vec<i64>;
}

/// What a [`Context`] is made of.
pub struct Parts {
    /// The replicated log.
    pub consensus: Arc<dyn Consensus>,
    /// Leases, for listing.
    pub leases: Arc<dyn Leases>,
    /// Members by id.
    pub members: Members,
    /// Active alarms.
    pub alarms: Alarms,
    /// How large the state may grow.
    pub quota: Quota,
    /// Bounds.
    pub limits: Limits,
    /// All metrics.
    pub metrics: Metrics,
    /// Cancelled when the member stops: streams end with "server stopped".
    pub shutdown: CancellationToken,
}

/// The parts, shared. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    parts: Arc<Parts>,
}

impl Context {
    /// Shares `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Context {
        Context { parts: Arc::new(parts) }
    }
}

impl Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}
