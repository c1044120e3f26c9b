//! The cacher: one watch of the store per resource, however many read and watch it here.
//!
//! ```text
//!            ┌── feed: list once, watch ──▶ watch_cache: state + history at one revision
//!  store ◀───┤                                  │ lists and gets, once new enough (consistency, freshness)
//!            │                                  └─ dispatch ─▶ watcher ─▶ watcher ─▶ …
//!            └── exact and continued lists, writes, watchers from before the history (catch_up)
//! ```
//!
//! Promises: what [`Storage`] does, proved by the same suite; one list per start, and no more while nothing is lost; a reader
//! never sees this cache go back; 410 only for what the store has no more; memory bounded by the state and by the history's
//! bounds. Objects are decoded once per revision, their bytes shared.
//! Does not: cache writes, or answer before the first list.
//! Source: apiserver `storage/cacher`.

mod budget;
mod catch_up;
mod consistency;
mod digest;
mod dispatch;
mod feed;
mod freshness;
mod history;
mod ready;
mod shared;
mod watch_cache;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use digest::Digest;
pub use feed::Feed;

use catch_up::CatchUp;
use consistency::Source;
use ready::State;
use shared::Shared;

use crate::storage::{
    At, Backend, Codec, Collection, ContinueToken, Decoded, Direct, Error, Key, List, ListOptions, Read, Revision,
    Scope, Storage, Swapped, Watch, WatchFrom, WatchOptions, Write,
};

/// A cache's bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Changes that are kept for those who come back. Default 10,000.
    pub history_events_max: usize,
    /// Bytes that these may take. Default 32 MiB.
    pub history_bytes_max: usize,
    /// How many of the store's revisions a new cache looks back, so that those who watched another apiserver go on here without
    /// a list. Default 10,000.
    pub history_revisions_max: u64,
    /// Changes that may wait for one watcher. Default 1,000.
    pub watch_buffer_events_max: usize,
    /// Watchers from before the history that are served by watches of the store at a time; as many as come where the store's
    /// progress cannot be trusted. Default 16.
    pub catch_up_watches_max: usize,
    /// How long a read may wait for a revision. Default 3 s, as upstream.
    pub fresh_within: Duration,
    /// How long a request may wait for the first list, or for its turn to catch up. Default 3 s.
    pub ready_within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            history_events_max: 10_000,
            history_bytes_max: 32 << 20,
            history_revisions_max: 10_000,
            watch_buffer_events_max: 1_000,
            catch_up_watches_max: 16,
            fresh_within: Duration::from_secs(3),
            ready_within: Duration::from_secs(3),
        }
    }
}

/// What a cache holds, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Its revision.
    pub revision: Revision,
    /// Objects in it.
    pub objects: usize,
    /// Bytes they take, about.
    pub object_bytes: usize,
    /// Changes in its history.
    pub history_events: usize,
    /// Bytes they keep alive at most: a state that is also current counts twice.
    pub history_bytes: usize,
    /// The first revision whose changes are all in it.
    pub history_from: Revision,
    /// Those who watch it, catching up aside.
    pub watchers: usize,
    /// How often it was listed from the store.
    pub lists: usize,
}

/// A cache of one resource; cheap to clone. It answers while its [`Feed`] runs.
#[derive(Clone, Debug)]
pub struct Cacher {
    shared: Arc<Shared>,
}

impl Cacher {
    /// A cache of this collection, and the task that keeps it.
    #[must_use]
    pub fn new(
        backend: Arc<dyn Backend>,
        codec: Arc<dyn Codec>,
        collection: Collection,
        config: Config,
    ) -> (Self, Feed) {
        let shared = Arc::new(Shared::new(Direct::new(backend, codec), collection, config));
        (Cacher { shared: Arc::clone(&shared) }, Feed::new(shared))
    }

    /// Whether the first list is there: what readiness checks ask.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.ready().is_ready()
    }

    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let cache = self.shared.cache();
        Stats {
            revision: cache.revision(),
            objects: cache.len(),
            object_bytes: cache.bytes(),
            history_events: cache.history().len(),
            history_bytes: cache.history().bytes(),
            history_from: cache.history().low(),
            watchers: self.shared.outlets().len(),
            lists: self.shared.lists(),
        }
    }

    /// A digest of its state, to be compared with [`Digest::of_list`] of an exact list at the same revision.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let cache = self.shared.cache();
        Digest::of(cache.revision(), cache.keys())
    }

    /// Returns when the cache can answer.
    async fn ready(&self) -> Result<(), Error> {
        match self.shared.ready().within(self.shared.config().ready_within).await {
            State::Ready => Ok(()),
            State::Pending => Err(Error::NotReady { prefix: Arc::clone(self.shared.collection().prefix()) }),
            State::Stopped => Err(Error::Ended),
        }
    }

    /// Returns when the cache is as new as this.
    async fn reaches(&self, requested: Revision) -> Result<(), Error> {
        let freshness = self.shared.freshness();
        if freshness.within(requested, self.shared.config().fresh_within).await {
            return Ok(());
        }
        Err(Error::TooLargeRevision { requested, current: freshness.cached() })
    }

    fn cached_list(&self, options: &ListOptions) -> Result<List, Error> {
        let (objects, revision) = {
            let cache = self.shared.cache();
            (cache.list(&options.scope), cache.revision())
        };
        let limit = match (options.limit, options.at) {
            (Some(limit), At::MostRecent | At::NotOlderThan(_)) => limit.get(),
            _ => usize::MAX,
        };
        let (count, mut examined, mut selected) = (objects.len(), 0, Vec::with_capacity(objects.len().min(limit)));
        for object in objects {
            if selected.len() == limit {
                break;
            }
            examined += 1;
            let object = object.map_err(Error::Undecodable)?;
            if options.predicate.matches(&object.attributes) {
                selected.push(object);
            }
        }
        let left = count - examined;
        let last = selected.last().filter(|_| left > 0);
        let token = last.map(|last| ContinueToken::after(last.key.as_str(), Some(revision)).encode(&options.scope));
        let remaining = (left > 0 && options.predicate.is_everything()).then_some(left);
        Ok(List { objects: selected, revision, continue_token: token, remaining })
    }

    /// A watch that begins with the state.
    async fn watch_state(&self, options: WatchOptions) -> Result<Box<dyn Watch>, Error> {
        let required = match options.from {
            WatchFrom::Any => Revision::ZERO,
            WatchFrom::After(revision) => revision,
            WatchFrom::MostRecent => self.shared.direct().revision().await?,
        };
        if !self.shared.is_progress_trusted() && self.shared.freshness().cached() < required {
            // The cache might learn only much later that it is new enough.
            return self.shared.direct().watch(options).await;
        }
        if !options.initial_events {
            self.reaches(required).await?;
            return Ok(Box::new(self.shared.join_with_state(&options, None)));
        }
        Ok(Box::new(self.shared.join_with_state(&options, Some(required))))
    }
}

#[async_trait]
impl Storage for Cacher {
    async fn get(&self, key: &Key, at: At) -> Result<Read, Error> {
        let direct = self.shared.direct();
        if consistency::is_for_the_store(at, false) {
            return direct.get(key, at).await;
        }
        self.ready().await?;
        match consistency::for_get(at, self.shared.freshness().cached(), self.shared.is_progress_trusted()) {
            Source::Store => return direct.get(key, at).await,
            Source::Cache => {}
            Source::CacheFrom(revision) => self.reaches(revision).await?,
            Source::CacheUpToDate => self.reaches(direct.revision().await?).await?,
        }
        let cache = self.shared.cache();
        let object = cache.get(key).cloned().transpose().map_err(Error::Undecodable)?;
        Ok(Read { object, revision: cache.revision(), is_live: false })
    }

    async fn list(&self, options: &ListOptions) -> Result<List, Error> {
        let direct = self.shared.direct();
        if consistency::is_for_the_store(options.at, options.continue_token.is_some()) {
            return direct.list(options).await;
        }
        self.ready().await?;
        match consistency::for_list(options.at, self.shared.freshness().cached(), self.shared.is_progress_trusted()) {
            Source::Store => return direct.list(options).await,
            Source::Cache => {}
            Source::CacheFrom(revision) => self.reaches(revision).await?,
            Source::CacheUpToDate => {
                let now = direct.revision().await?;
                if self.reaches(now).await.is_err() {
                    tracing::warn!(%now, "cache is behind the store, which is asked instead");
                    return direct.list(options).await;
                }
            }
        }
        self.cached_list(options)
    }

    async fn count(&self, scope: &Scope) -> Result<usize, Error> {
        self.shared.direct().count(scope).await
    }

    async fn swap(&self, key: &Key, expected: Option<Revision>, write: Write) -> Result<Swapped<Decoded>, Error> {
        self.shared.direct().swap(key, expected, write).await
    }

    async fn watch(&self, options: WatchOptions) -> Result<Box<dyn Watch>, Error> {
        self.ready().await?;
        match options.from {
            WatchFrom::After(after) if !options.initial_events => match self.shared.join(after, &options) {
                Some(watch) => Ok(Box::new(watch)),
                None => Ok(Box::new(CatchUp::new(Arc::clone(&self.shared), options, after))),
            },
            WatchFrom::After(_) | WatchFrom::Any | WatchFrom::MostRecent => self.watch_state(options).await,
        }
    }

    async fn revision(&self) -> Result<Revision, Error> {
        self.shared.direct().revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.shared.direct().compact(revision).await
    }

    fn codec(&self) -> &dyn Codec {
        self.shared.direct().codec()
    }
}

#[cfg(test)]
mod cacher_test;
