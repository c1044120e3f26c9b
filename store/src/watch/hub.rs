//! Watch hub: hands committed events to watchers without ever slowing apply.
//!
//! A watcher is in exactly one group (`group`): synced (gets the next event at once), unsynced (catching up from the
//! engine) or victim (its stream was full; what was refused is kept and retried).
//! Promises, per watcher: revision order; a revision's events in one batch; no gap, no repeat; a watcher whose next
//! revision is compacted away is told so. Per process: `publish` never waits for a watcher, a stream or the disk; the
//! lock is held only for moves in memory.
//! Does not: check permissions (`rpc::watch`), survive a restart, merge revisions.
//! Source: etcd `server/storage/mvcc/watchable_store.go`.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::batch::Recorded;
use super::config::{Config, PROGRESS_INTERVAL_MIN};
use super::event::RevisionEvents;
use super::group::Groups;
use super::pipe::pipe;
use super::source::{Source, SourceError};
use super::stats::Stats;
use super::stream::Stream;
use crate::simulated;

/// Handle to the hub.
#[derive(Clone)]
pub struct Hub {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) source: Arc<dyn Source>,
    config: Config,
    groups: Mutex<Groups>,
    /// Somebody may have to catch up.
    wake: Notify,
    rng: Mutex<StdRng>,
}

impl Hub {
    /// A hub over what `source` holds now. Apply publishes everything that it commits from here on.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, config: Config, rng: StdRng) -> Hub {
        let groups = Mutex::new(Groups::new(source.revision(), config.clone()));
        Hub { shared: Arc::new(Shared { source, config, groups, wake: Notify::new(), rng: Mutex::new(rng) }) }
    }

    /// Hands committed revisions to the watchers that are up to date. Called by apply, after the commit and in order.
    ///
    /// # Panics
    /// Where a revision is left out or repeated: somebody would miss it.
    pub fn publish(&self, revisions: Vec<RevisionEvents>) {
        let recorded: Vec<Recorded> = revisions.into_iter().map(Recorded::from).collect();
        let mut groups = self.groups();
        let mut rest = &recorded[..];
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(chunk_len(rest, self.shared.config.batch_bytes_max));
            groups.publish(chunk);
            rest = later;
        }
    }

    /// The engine now holds everything up to `revision`, from a snapshot: every watcher catches up from its own next one.
    pub fn rebase(&self, revision: i64) {
        self.with_groups(|groups| groups.rebase(revision));
    }

    /// A new stream, with no watchers yet.
    #[must_use]
    pub fn open(&self) -> Stream {
        let (inlet, outlet) = pipe(&self.shared.config);
        let id = self.groups().open(inlet);
        Stream::new(self.clone(), id, outlet)
    }

    /// Where the values before are read.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.shared.source
    }

    /// The time between a stream's progress ticks: the configured one and up to a tenth more, drawn anew at each call, so
    /// that streams opened together do not tick together.
    #[must_use]
    pub fn progress_interval(&self) -> Duration {
        let base = self.shared.config.progress_notify_interval.max(PROGRESS_INTERVAL_MIN);
        let mut rng = self.shared.rng.lock().expect("no holder panics");
        base + base.mul_f64(rng.random_range(0.0..0.1))
    }

    /// What the hub holds now. Walks all watchers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.groups().stats()
    }

    /// Lets watchers catch up until `shutdown`.
    ///
    /// # Errors
    /// [`SourceError::Failed`]: history cannot be read, and the member must end.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), SourceError> {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = self.shared.wake.notified() => {}
            }
            while !shutdown.is_cancelled() {
                let Some(pass) = self.groups().plan() else { break };
                let source = Arc::clone(&self.shared.source);
                let read = simulated::blocking(move || pass.read(&*source)).await;
                let read = read.unwrap_or_else(|error| Err(SourceError::Failed(format!("catching up: {error}"))))?;
                self.groups().finish(read);
            }
        }
    }

    /// Runs `change` under the lock, and wakes the service where it left somebody to catch up.
    pub(super) fn with_groups<T>(&self, change: impl FnOnce(&mut Groups) -> T) -> T {
        let mut groups = self.groups();
        let result = change(&mut groups);
        if groups.has_unsynced() {
            self.shared.wake.notify_one();
        }
        result
    }

    pub(super) fn groups(&self) -> MutexGuard<'_, Groups> {
        self.shared.groups.lock().expect("no holder panics")
    }
}

/// How many of `revisions`, at least one, are worth one response.
fn chunk_len(revisions: &[Recorded], bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fitting = revisions.iter().take_while(|recorded| {
        bytes += recorded.bytes;
        bytes <= bytes_max
    });
    fitting.count().max(1)
}
