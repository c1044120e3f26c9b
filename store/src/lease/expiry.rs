//! The lease service: follows this member's leadership, and on the leader proposes the end of expired leases.
//!
//! Promises: nothing is proposed before leadership of the term was proved again after the lease had expired (etcd#15247),
//! and what is proposed has no effect in another term. It sleeps until the next expiry; nothing is scanned.
//! Bounds: `revokes_per_second_max`, `revokes_inflight_max`.
//! Does not: remove leases or keys; apply does. Source: etcd `server/etcdserver/server.go` (revokeExpiredLeases).

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::checkpoint;
use super::config::Config;
use super::lessor::Lessor;
use crate::apply::{Applied, Command};
use crate::planted::{self, Bug};
use crate::raft::Unserved;

/// What leases need of the replicated log.
#[tonic::async_trait]
pub trait Leadership: Send + Sync + 'static {
    /// The term that this member leads, as far as it knows; `None` where it does not lead.
    fn leads(&self) -> watch::Receiver<Option<u64>>;

    /// Proves that this member still leads `term`, and that everything committed before the call has been applied here.
    async fn confirm(&self, term: u64) -> bool;

    /// Replicates a command and waits until this member has applied it.
    ///
    /// # Errors
    /// [`Unserved`]: it may still be applied.
    async fn propose(&self, command: Command) -> Result<Applied, Unserved>;
}

/// No timer sleeps longer: some leases last for centuries.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// The service.
pub struct Expiry {
    lessor: Arc<Mutex<Lessor>>,
    leadership: Arc<dyn Leadership>,
    config: Config,
    expired_total: prometheus::IntCounter,
}

/// How many ends may still be proposed in this second.
struct Budget {
    second_max: usize,
    left: usize,
    renewed: Instant,
}

impl Expiry {
    /// A service over `lessor`. `expired_total` counts leases ended by it.
    #[must_use]
    pub fn new(
        lessor: Arc<Mutex<Lessor>>,
        leadership: Arc<dyn Leadership>,
        config: Config,
        expired_total: prometheus::IntCounter,
    ) -> Expiry {
        Expiry { lessor, leadership, config, expired_total }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut leads = self.leadership.leads();
        loop {
            let term = *leads.borrow_and_update();
            let work = async {
                match term {
                    Some(term) => self.lead(term).await,
                    None => self.follow().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = leads.changed() => if changed.is_err() { return },
                () = work => {}
            }
        }
    }

    async fn follow(&self) {
        self.lessor().demote();
        std::future::pending().await
    }

    async fn lead(&self, term: u64) {
        let sooner = self.lessor().sooner();
        self.lessor().promote(Instant::now(), self.config.extension);
        tracing::info!(target: "lease", term, leases = self.lessor().len(), "leads: leases run from here on");
        let mut budget = Budget::new(self.config.revokes_per_second_max);
        let mut inflight = JoinSet::new();
        let mut checkpointing = JoinSet::new();
        let mut pause = Instant::now();
        loop {
            while inflight.try_join_next().is_some() {}
            let now = Instant::now();
            let (next_expiry, next_checkpoint) = self.next();
            if next_checkpoint.is_some_and(|due| due <= now) && checkpointing.is_empty() {
                checkpointing.spawn(self.checkpoint());
            }
            let room = self.config.revokes_inflight_max - inflight.len();
            if next_expiry.is_some_and(|due| due <= now) && room > 0 && pause <= now && budget.left(now) > 0 {
                if planted::is(Bug::ExpiryUnconfirmed) || self.leadership.confirm(term).await {
                    // Some have ended meanwhile.
                    while inflight.try_join_next().is_some() {}
                    let room = self.config.revokes_inflight_max - inflight.len();
                    let ids = self.lessor().expired(Instant::now(), budget.take(Instant::now(), room));
                    ids.into_iter().for_each(|id| _ = inflight.spawn(self.end(id, term)));
                } else {
                    pause = Instant::now() + self.config.retry_after;
                }
                continue;
            }
            let expiry = next_expiry.map(|due| due.max(pause).max(budget.next(now)));
            let checkpoint = next_checkpoint.filter(|_| checkpointing.is_empty());
            let due = expiry.filter(|_| room > 0).into_iter().chain(checkpoint).min().unwrap_or(now + SLEEP_MAX);
            tokio::select! {
                _ = inflight.join_next(), if !inflight.is_empty() => {}
                _ = checkpointing.join_next(), if !checkpointing.is_empty() => {}
                () = sooner.notified() => {}
                () = sleep_until(due.min(now + SLEEP_MAX)) => {}
            }
        }
    }

    /// Proposes the end of a lease that this member found expired as leader of `term`.
    fn end(&self, id: i64, term: u64) -> impl Future<Output = ()> + Send + 'static {
        let (lessor, leadership) = (Arc::clone(&self.lessor), Arc::clone(&self.leadership));
        let (expired_total, retry_after) = (self.expired_total.clone(), self.config.retry_after);
        async move {
            match leadership.propose(Command::LeaseExpire { id, term }).await {
                Ok(applied) => expired_total.inc_by(u64::from(applied.outcome.is_ok())),
                Err(error) => {
                    tracing::warn!(target: "lease", lease = %format_args!("{id:016x}"), %error, "expiry was not applied");
                }
            }
            // Without effect where it was applied: the lease is gone.
            let retry = Instant::now() + retry_after;
            lessor.lock().expect("no holder panics").not_ended(id, retry);
        }
    }

    fn next(&self) -> (Option<Instant>, Option<Instant>) {
        let lessor = self.lessor();
        (lessor.next_expiry(), lessor.next_checkpoint())
    }

    fn checkpoint(&self) -> impl Future<Output = ()> + Send + 'static {
        let (lessor, leadership) = (Arc::clone(&self.lessor), Arc::clone(&self.leadership));
        let per_entry_max = self.config.checkpoints_per_entry_max;
        async move { checkpoint::propose_due(&lessor, &leadership, per_entry_max).await }
    }

    fn lessor(&self) -> MutexGuard<'_, Lessor> {
        self.lessor.lock().expect("no holder panics")
    }
}

impl Budget {
    fn new(second_max: usize) -> Budget {
        Budget { second_max, left: second_max, renewed: Instant::now() }
    }

    fn left(&mut self, now: Instant) -> usize {
        if now >= self.renewed + Duration::from_secs(1) {
            (self.left, self.renewed) = (self.second_max, now);
        }
        self.left
    }

    /// Up to `wanted` of what is left.
    fn take(&mut self, now: Instant, wanted: usize) -> usize {
        let taken = self.left(now).min(wanted);
        self.left -= taken;
        taken
    }

    /// When something is left.
    fn next(&self, now: Instant) -> Instant {
        if self.left > 0 { now } else { self.renewed + Duration::from_secs(1) }
    }
}
