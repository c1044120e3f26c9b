//! The one task that keeps a cache: lists the resource once, watches it from then on, and dispatches what comes.
//!
//! ```text
//! list at R ─▶ watch from R − window ─▶ changes ≤ R: history only │ changes > R: state, history, watchers
//!    ▲                  │ connection lost: resumes by itself
//!    │                  │ compacted, nothing lost: watch from where it goes on
//!    └── compacted, changes lost: watchers end, list again
//! ```
//!
//! Promises: one list per start, and one more each time that changes are really lost; one watch of the store, however many
//! watchers. Source: apiserver `storage/cacher/cacher.go` (`startCaching`), client-go `tools/cache/reflector.go`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::dispatch::dispatch;
use super::freshness::ProgressSchedule;
use super::shared::Shared;
use super::watch_cache::{Incoming, Recovery};
use crate::storage::backend::{BackendWatch, Range, RawChange, Update};
use crate::storage::{Codec, Decoded, Error, Key, Revision, current, decode};

/// Records of a list that are read at a time.
const LIST_RECORDS_MAX: usize = 10_000;
/// How often a store whose progress is not trusted is asked for its version again.
const TRUST_INTERVAL: Duration = Duration::from_secs(30);
/// First pause after the store could not be asked; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Keeps a cache; see the module's head.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
}

/// A list under one revision.
struct Listed {
    objects: Vec<(Key, Decoded)>,
    revision: Revision,
}

impl Feed {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Feed { shared }
    }

    /// Keeps the cache until it is told to end; then all its watchers end.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.keep() => {}
            () = self.learn_trust() => {}
        }
        self.shared.ready().stop();
        self.shared.outlets().end_all(&Error::Ended);
    }

    async fn keep(&self) {
        let mut pause = Pause::default();
        loop {
            match self.list().await {
                Ok(listed) => {
                    pause = Pause::default();
                    let from = self.begin(listed);
                    self.watch(from).await;
                }
                Err(error) => {
                    tracing::warn!(collection = %self.shared.collection().prefix(), %error, "cannot list, trying again");
                    pause.wait().await;
                }
            }
        }
    }

    /// Asks until the store's progress is trusted: at first a member may be down, so that its version is not known.
    async fn learn_trust(&self) {
        while !self.shared.backend().is_progress_trusted().await {
            sleep(TRUST_INTERVAL).await;
        }
        self.shared.trust_progress();
        std::future::pending().await
    }

    /// Reads the whole resource at one revision; what cannot be decoded is kept as that.
    async fn list(&self) -> Result<Listed, Error> {
        let (backend, codec) = (self.shared.backend(), self.shared.codec());
        self.shared.listed();
        let scope = self.shared.collection().everything();
        let (mut objects, mut revision, mut start) = (Vec::new(), None, None::<String>);
        loop {
            let range = Range { scope: &scope, start: start.as_deref(), limit: Some(LIST_RECORDS_MAX), revision };
            let ranged = backend.range(range).await?;
            let at = *revision.get_or_insert(ranged.revision);
            let (read, count) = (ranged.records.len(), ranged.count);
            objects.extend(ranged.records.into_iter().map(|record| (record.key.clone(), decode(&*codec, &record))));
            match objects.last() {
                Some((last, _)) if count > read => start = Some(format!("{last}\0")),
                _ => return Ok(Listed { objects, revision: at }),
            }
        }
    }

    /// Takes what was listed as the new state; returns from where to watch.
    fn begin(&self, listed: Listed) -> Revision {
        let Listed { objects, revision } = listed;
        let from = revision.back(self.shared.config().history_revisions_max).min(revision.next());
        {
            let mut cache = self.shared.cache_mut();
            if revision < cache.revision() {
                // A store that was put back to a backup: what clients know is from another history.
                let cached = cache.revision();
                tracing::error!(%revision, %cached, "the store has gone back in time: restart all that watches it");
            }
            cache.replace(objects, revision, from);
            // Those who watched have a gap now, which only their next watch can tell.
            self.shared.outlets().end_all(&Error::Ended);
        }
        self.shared.freshness().reached(revision);
        self.shared.dispatched(revision);
        self.shared.ready().set();
        from
    }

    /// Follows the store until changes are lost.
    async fn watch(&self, from: Revision) {
        let scope = self.shared.collection().everything();
        let mut watch = self.shared.backend().watch(&scope, from);
        let mut progress = ProgressSchedule::new(Instant::now());
        let mut budget = Budget::full(Instant::now());
        let mut pause = Pause::default();
        loop {
            match self.step(&mut watch, &mut progress).await {
                Ok(update) => {
                    pause = Pause::default();
                    self.take(update, &mut budget).await;
                    if self.shared.is_progress_trusted() {
                        progress.answered(Instant::now(), self.wants_progress());
                    }
                }
                Err(Error::Expired { compacted, .. }) => {
                    let recovery = self.shared.cache_mut().recover(compacted);
                    let Recovery::Watch(from) = recovery else {
                        tracing::info!(collection = %self.shared.collection().prefix(), "changes are lost, listing again");
                        return;
                    };
                    watch = self.shared.backend().watch(&scope, from);
                }
                Err(error) => {
                    tracing::warn!(collection = %self.shared.collection().prefix(), %error, "cannot watch, trying again");
                    pause.wait().await;
                }
            }
        }
    }

    /// Waits for what comes next, and asks for progress when it is due.
    async fn step(&self, watch: &mut Box<dyn BackendWatch>, progress: &mut ProgressSchedule) -> Result<Update, Error> {
        loop {
            let is_trusted = self.shared.is_progress_trusted();
            tokio::select! {
                biased;
                update = watch.next() => return update,
                () = self.shared.freshness().begins() => progress.begins(Instant::now()),
                () = sleep_until(progress.due()), if is_trusted => {
                    watch.request_progress().await?;
                    progress.asked(Instant::now(), self.wants_progress());
                }
            }
        }
    }

    fn wants_progress(&self) -> bool {
        self.shared.freshness().is_awaited() || self.shared.cache().history().is_filling()
    }

    async fn take(&self, update: Update, budget: &mut Budget) {
        let changes = match update {
            Update::Changes(raws) => {
                let codec = self.shared.codec();
                let listed = self.shared.freshness().cached();
                let incoming = raws.iter().map(|raw| incoming(&*codec, raw, listed)).collect();
                self.shared.cache_mut().apply(incoming)
            }
            Update::Progress(revision) => {
                if self.shared.is_progress_trusted() {
                    self.shared.cache_mut().progress(revision);
                }
                Vec::new()
            }
        };
        let revision = self.shared.cache().revision();
        self.shared.freshness().reached(revision);
        dispatch(self.shared.outlets_lock(), &changes, budget).await;
        self.shared.dispatched(revision);
    }
}

/// Decodes a change. The state before it is decoded only where the cache does not know it: before what it has.
fn incoming(codec: &dyn Codec, raw: &RawChange, cached: Revision) -> Incoming {
    let previous = raw.previous.as_ref().filter(|_| raw.revision <= cached);
    Incoming {
        key: raw.key.clone(),
        revision: raw.revision,
        current: current(codec, raw),
        previous: previous.map(|record| decode(codec, record)),
        is_previous_lost: raw.previous.is_none() && !raw.created,
    }
}

/// Pauses that grow.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    async fn wait(&mut self) {
        sleep(PAUSE_MAX.min(PAUSE_MIN * 2_u32.saturating_pow(self.0))).await;
        self.0 = (self.0 + 1).min(16);
    }
}
