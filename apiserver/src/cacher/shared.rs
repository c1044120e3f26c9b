//! What a cache's feed, its readers and its watchers share.
//!
//! Two locks, always taken in this order: the cache, then the outlets. A watcher joins under both, so that what it finds in the
//! cache and what is dispatched to it have no gap between them; what they have in common it skips by revision.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Semaphore, mpsc, watch};

use super::Config;
use super::dispatch::{End, Outlets};
use super::freshness::Freshness;
use super::ready::Ready;
use super::watch_cache::{Bounds, WatchCache};
use super::watcher::{Beginning, CacheWatch, Registration};
use crate::storage::{Backend, Codec, Collection, Direct, Revision, WatchOptions};

#[derive(Debug)]
pub(crate) struct Shared {
    direct: Direct,
    collection: Collection,
    config: Config,
    cache: RwLock<WatchCache>,
    outlets: Mutex<Outlets>,
    ready: Ready,
    freshness: Arc<Freshness>,
    /// Everything up to this revision lies in the watchers' buffers.
    dispatched: watch::Sender<Revision>,
    is_progress_trusted: AtomicBool,
    catch_ups: Arc<Semaphore>,
    lists: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(direct: Direct, collection: Collection, config: Config) -> Self {
        let bounds = Bounds { events_max: config.history_events_max, bytes_max: config.history_bytes_max };
        Shared {
            cache: RwLock::new(WatchCache::new(bounds)),
            outlets: Mutex::new(Outlets::new(Arc::clone(collection.prefix()))),
            ready: Ready::pending(),
            freshness: Arc::new(Freshness::new()),
            dispatched: watch::channel(Revision::ZERO).0,
            is_progress_trusted: AtomicBool::new(false),
            catch_ups: Arc::new(Semaphore::new(config.catch_up_watches_max)),
            lists: AtomicUsize::new(0),
            direct,
            collection,
            config,
        }
    }

    pub(crate) fn direct(&self) -> &Direct {
        &self.direct
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        self.direct.backend()
    }

    pub(crate) fn codec(&self) -> Arc<dyn Codec> {
        self.direct.shared_codec()
    }

    pub(crate) fn collection(&self) -> &Collection {
        &self.collection
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn ready(&self) -> &Ready {
        &self.ready
    }

    pub(crate) fn freshness(&self) -> &Arc<Freshness> {
        &self.freshness
    }

    pub(crate) fn catch_ups(&self) -> &Arc<Semaphore> {
        &self.catch_ups
    }

    pub(crate) fn cache(&self) -> RwLockReadGuard<'_, WatchCache> {
        self.cache.read().expect("nothing panics under this lock")
    }

    pub(crate) fn cache_mut(&self) -> RwLockWriteGuard<'_, WatchCache> {
        self.cache.write().expect("nothing panics under this lock")
    }

    pub(crate) fn outlets(&self) -> MutexGuard<'_, Outlets> {
        self.outlets.lock().expect("nothing panics under this lock")
    }

    pub(crate) fn outlets_lock(&self) -> &Mutex<Outlets> {
        &self.outlets
    }

    pub(crate) fn is_progress_trusted(&self) -> bool {
        self.is_progress_trusted.load(Ordering::Relaxed)
    }

    /// From now on the store is asked for its progress.
    pub(crate) fn trust_progress(&self) {
        self.is_progress_trusted.store(true, Ordering::Relaxed);
        self.freshness.nudge();
    }

    /// How often the resource was listed from the store.
    pub(crate) fn lists(&self) -> usize {
        self.lists.load(Ordering::Relaxed)
    }

    pub(crate) fn listed(&self) {
        self.lists.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything up to this revision lies in the watchers' buffers now.
    pub(crate) fn dispatched(&self, revision: Revision) {
        self.dispatched.send_if_modified(|dispatched| std::mem::replace(dispatched, revision) != revision);
    }

    /// How far changes have been dispatched.
    pub(crate) fn dispatched_now(&self) -> Revision {
        *self.dispatched.borrow()
    }

    /// Returns when changes have been dispatched so far.
    pub(crate) async fn dispatched_from(&self, revision: Revision) {
        let mut dispatched = self.dispatched.subscribe();
        let reached = dispatched.wait_for(|dispatched| *dispatched >= revision).await;
        reached.expect("the sender is ours");
    }

    /// A watcher from just after this revision; `None` when history does not reach so far back.
    pub(crate) fn join(self: &Arc<Self>, after: Revision, options: &WatchOptions) -> Option<CacheWatch> {
        let cache = self.cache();
        let changes = cache.after(after, &options.scope)?;
        let upto = cache.revision().max(after);
        let beginning = Beginning { state: Vec::new(), changes, upto, end_from: None };
        Some(CacheWatch::new(self.register(options), beginning, options.clone()))
    }

    /// A watcher that begins with the state.
    pub(crate) fn join_with_state(self: &Arc<Self>, options: &WatchOptions, end_from: Option<Revision>) -> CacheWatch {
        let cache = self.cache();
        let beginning =
            Beginning { state: cache.list(&options.scope), changes: Vec::new(), upto: cache.revision(), end_from };
        CacheWatch::new(self.register(options), beginning, options.clone())
    }

    /// To be called with the cache locked.
    fn register(self: &Arc<Self>, options: &WatchOptions) -> Registration {
        let (sender, buffer) = mpsc::channel(self.config.watch_buffer_events_max);
        let end = End::default();
        let id = self.outlets().add(&options.scope, sender, Arc::clone(&end));
        Registration { shared: Arc::clone(self), scope: options.scope.as_str().into(), id, buffer, end }
    }
}
