//! What every service needs: the doors of the other rooms, the limits and the metrics.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use super::snapshot_stream::Snapshots;
use super::status::STOPPED;
use crate::alarm::Alarms;
use crate::disk::Reserve;
use crate::member::Members;
use crate::metrics::Metrics;
use crate::mvcc::{Mvcc, View};
use crate::quota::Quota;
use crate::raft::Consensus;
use crate::simulated;
use crate::watch::Hub;

/// How long after its start a member holds serializable reads until it has caught up: etcd waits as long before it
/// serves clients at all. Source: etcd `server/embed/config.go` (`--wait-cluster-ready-timeout`).
const RECOVERY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How large, how many, how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of an encoded request (`--max-request-bytes`; etcd's default 1.5 MiB).
    pub request_bytes_max: usize,
    /// Operations of a transaction (`--max-txn-ops`; etcd's default 128).
    pub txn_ops_max: usize,
    /// Keys that a read may touch on the runtime's own threads; a larger one goes to the blocking threads.
    pub read_inline_keys_max: i64,
    /// Such larger reads at once; more of them wait their turn.
    pub reads_large_inflight_max: usize,
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
            reads_large_inflight_max: 32,
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

    /// The shortest TTL of a lease, in seconds: one and a half elections.
    #[must_use]
    pub fn lease_ttl_min(&self) -> i64 {
        i64::try_from(self.election_timeout.as_millis().saturating_mul(3).div_ceil(2000)).unwrap_or(i64::MAX)
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
    /// The key space.
    pub mvcc: Mvcc,
    /// Committed events.
    pub hub: Hub,
    /// Leases, for listing.
    pub leases: Arc<dyn Leases>,
    /// Backups for clients.
    pub snapshots: Arc<dyn Snapshots>,
    /// Members by id.
    pub members: Members,
    /// Active alarms.
    pub alarms: Alarms,
    /// How large the state may grow.
    pub quota: Quota,
    /// What is kept free of the device.
    pub disk: Reserve,
    /// Bounds.
    pub limits: Limits,
    /// All metrics.
    pub metrics: Metrics,
    /// Randomness, for the ids of leases.
    pub rng: std::sync::Mutex<StdRng>,
    /// Cancelled when the member stops: streams end with "server stopped".
    pub shutdown: CancellationToken,
}

struct Shared {
    parts: Parts,
    reads_large: Semaphore,
    raising_no_space: Mutex<()>,
    tasks: TaskTracker,
    /// Until when serializable reads are held; `None`: they are not.
    held_until: watch::Sender<Option<Instant>>,
}

/// The parts, shared. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

impl Context {
    /// Shares `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Context {
        let reads_large = Semaphore::new(parts.limits.reads_large_inflight_max);
        let (raising_no_space, tasks, held_until) = (Mutex::new(()), TaskTracker::new(), watch::Sender::new(None));
        Context { shared: Arc::new(Shared { parts, reads_large, raising_no_space, tasks, held_until }) }
    }

    /// Holds serializable reads from now on, until this member has [`recovered`](Context::recovered) or five seconds have passed.
    pub fn hold_reads(&self) {
        self.shared.held_until.send_replace(Some(Instant::now() + RECOVERY_WAIT_MAX));
    }

    /// This member has applied all that was committed before it started.
    pub fn recovered(&self) {
        self.shared.held_until.send_replace(None);
    }

    /// Waits until a serializable read shows no less than this member has shown before it was started: what is applied is
    /// durable later than it is seen. Not for ever, since such reads are for when there is no quorum.
    pub(super) async fn reads_released(&self) {
        let Some(until) = *self.shared.held_until.borrow() else { return };
        let mut held = self.shared.held_until.subscribe();
        // Either way the read is served.
        tokio::time::timeout_at(until, held.wait_for(Option::is_none)).await.ok();
    }

    /// Reads on a view of now: here where the read is small, on a blocking thread where it is large.
    ///
    /// # Errors
    /// Where the member is stopping.
    ///
    /// # Cancel safety
    /// A dropped large read runs to its end and its answer is lost.
    pub async fn read<T: Send + 'static>(
        &self,
        large: bool,
        f: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let open = Open::new(&self.metrics);
        if !large {
            return Ok(self.mvcc.read(f));
        }
        let _turn = self.shared.reads_large.acquire().await.map_err(|_| STOPPED)?;
        let mvcc = self.mvcc.clone();
        let read = simulated::blocking(move || {
            let _open = open;
            mvcc.read(f)
        });
        read.await.map_err(|error| if error.is_panic() { Status::internal("a read panicked") } else { STOPPED.into() })
    }

    /// An id for a lease whose client leaves the choice: positive, as etcd's are.
    #[must_use]
    pub fn lease_id(&self) -> i64 {
        self.rng.lock().expect("no holder of the lock panics").random_range(1..=i64::MAX)
    }

    /// What calls leave behind them: to be closed and awaited when the member stops.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.shared.tasks
    }

    /// Counts the end of a client's stream of requests, unless the client ended it or is gone.
    pub(super) fn stream_failed(&self, api: &str, status: &Status) {
        if !matches!(status.code(), Code::Cancelled | Code::Unknown | Code::Unavailable) {
            self.metrics.network.server_stream_failures_total.with_label_values(&["receive", api]).inc();
        }
    }

    /// Held while the NOSPACE alarm is being raised.
    pub(super) fn raising_no_space(&self) -> &Mutex<()> {
        &self.shared.raising_no_space
    }
}

/// A read in progress, counted as etcd counts open read transactions.
struct Open(prometheus::IntGauge);

impl Open {
    fn new(metrics: &Metrics) -> Open {
        metrics.mvcc.db_open_read_transactions.inc();
        Open(metrics.mvcc.db_open_read_transactions.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.shared.parts
    }
}
