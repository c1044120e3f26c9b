//! The cacher over stores in memory, in paused time: the storage suite, and what only a cache promises.

use std::sync::Mutex;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::storage::conformance::{Fault, Faulty, Fixture, ThingCodec, assert_conforms, failures, thing};
use crate::storage::memory::Memory;
use crate::storage::{Event, update};

/// The suite's fixture: each collection's cache runs until the fixture goes.
struct Cached {
    backend: Arc<dyn Backend>,
    config: Config,
    feeds: Mutex<JoinSet<()>>,
}

impl Cached {
    fn new(backend: impl Backend + 'static) -> Self {
        Cached { backend: Arc::new(backend), config: Config::default(), feeds: Mutex::default() }
    }
}

#[async_trait]
impl Fixture for Cached {
    async fn open(&self, collection: &Collection) -> Arc<dyn Storage> {
        let (backend, codec) = (Arc::clone(&self.backend), Arc::new(ThingCodec));
        let (cacher, feed) = Cacher::new(backend, codec, collection.clone(), self.config.clone());
        self.feeds.lock().unwrap().spawn(feed.run(CancellationToken::new()));
        Arc::new(cacher)
    }
}

#[tokio::test(start_paused = true)]
async fn the_cacher_conforms_over_a_store_in_memory() {
    assert_conforms(&Cached::new(Memory::default())).await;
}

#[tokio::test(start_paused = true)]
async fn the_cacher_conforms_where_progress_cannot_be_trusted() {
    assert_conforms(&Cached::new(Memory::default().without_trusted_progress())).await;
}

#[tokio::test(start_paused = true)]
async fn the_cacher_conforms_over_a_store_that_lags() {
    for lag in [1, 150] {
        let lagging = Faulty::new(Memory::default(), Fault::Lag(Duration::from_millis(lag)));
        assert_conforms(&Cached::new(lagging)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_cacher_conforms_with_hardly_any_history() {
    let config =
        Config { history_events_max: 1, history_revisions_max: 1, catch_up_watches_max: 1, ..Config::default() };
    assert_conforms(&Cached { config, ..Cached::new(Memory::default()) }).await;
}

#[tokio::test(start_paused = true)]
async fn the_suite_notices_that_the_store_loses_events_below_the_cacher() {
    let failures = failures(&Cached::new(Faulty::new(Memory::default(), Fault::LoseEvery(3)))).await;
    assert!(failures.len() >= 3, "{failures:?}");
}

/// A cache of one collection with its feed.
struct Running {
    store: Memory,
    cacher: Cacher,
    collection: Collection,
    feed: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Running {
    /// Over this store, or as it seems with a fault.
    fn over(store: &Memory, backend: Arc<dyn Backend>, config: Config) -> Self {
        let collection = Collection::new("/registry", "things");
        let (cacher, feed) = Cacher::new(backend, Arc::new(ThingCodec), collection.clone(), config);
        let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(feed.run(shutdown.clone()));
        Running { store: store.clone(), cacher, collection, feed: tasks, shutdown }
    }

    fn new(config: Config) -> Self {
        let store = Memory::default();
        Self::over(&store, Arc::new(store.clone()), config)
    }

    fn key(&self, name: &str) -> Key {
        self.collection.object(Some("ns"), name).unwrap()
    }

    /// Writes whatever is there now; returns the revision.
    async fn put(&self, name: &str, n: u64) -> Revision {
        let put = |_: Option<&Arc<_>>| Ok(update::Intent::Put { value: thing("ns", name, "", n), ttl: None });
        let none = update::Preconditions::default();
        let direct = self.cacher.shared.direct();
        update::guaranteed_update::<Error, _>(direct, &self.key(name), &none, put).await.unwrap().object.revision
    }

    /// Writes bytes that no codec reads.
    async fn spoil(&self, name: &str) {
        let expected = self.store_revision_of(name).await;
        let write = Write::Put { value: Bytes::from_static(b"\0not a thing"), ttl: None };
        assert!(matches!(self.store.swap(&self.key(name), expected, write).await, Ok(Swapped::Done(_))));
    }

    async fn store_revision_of(&self, name: &str) -> Option<Revision> {
        match self.store.swap(&self.key(name), Some(Revision::new(u64::MAX)), Write::Delete).await.unwrap() {
            Swapped::Lost(record) => record.map(|record| record.revision),
            Swapped::Done(_) => None,
        }
    }

    fn options(&self, from: WatchFrom) -> WatchOptions {
        WatchOptions::new(self.collection.everything(), from)
    }

    async fn watch(&self, options: WatchOptions) -> Box<dyn Watch> {
        self.cacher.watch(options).await.unwrap()
    }

    async fn list(&self, at: At) -> Result<List, Error> {
        self.cacher.list(&ListOptions::new(self.collection.everything(), at)).await
    }
}

async fn revisions(watch: &mut Box<dyn Watch>, count: usize) -> Vec<u64> {
    let mut revisions = Vec::new();
    while revisions.len() < count {
        revisions.push(watch.next().await.unwrap().revision().get());
    }
    revisions
}

#[tokio::test(start_paused = true)]
async fn however_many_read_and_watch_the_store_sees_one_list_and_one_watch() {
    let running = Running::new(Config::default());
    let first = running.put("a", 1).await;
    running.list(At::MostRecent).await.unwrap();
    let (ranges, watches) = (running.store.ranges(), running.store.watches());
    assert_eq!(watches, 1);
    let mut all = Vec::new();
    for _ in 0..50 {
        all.push(running.watch(running.options(WatchFrom::After(first))).await);
        running.list(At::Any).await.unwrap();
        running.list(At::NotOlderThan(first)).await.unwrap();
        running.list(At::MostRecent).await.unwrap();
    }
    assert_eq!((running.store.ranges(), running.store.watches()), (ranges, watches));
    let second = running.put("a", 2).await;
    for watch in &mut all {
        assert_eq!(revisions(watch, 1).await, [second.get()]);
    }
    let stats = running.cacher.stats();
    assert_eq!((stats.watchers, stats.lists, stats.objects, stats.history_events), (50, 1, 1, 2));
    drop(all);
    assert_eq!(running.cacher.stats().watchers, 0);
}

#[tokio::test(start_paused = true)]
async fn all_watchers_share_an_objects_bytes() {
    let running = Running::new(Config::default());
    let first = running.put("a", 1).await;
    let mut watches = [
        running.watch(running.options(WatchFrom::After(first))).await,
        running.watch(running.options(WatchFrom::After(first))).await,
    ];
    running.put("a", 2).await;
    let mut seen = Vec::new();
    for watch in &mut watches {
        let Event::Modified(object) = watch.next().await.unwrap() else { panic!("it is an update") };
        seen.push(object.encoded.as_ptr());
    }
    let list = running.list(At::MostRecent).await.unwrap();
    assert!(seen.iter().all(|bytes| *bytes == list.objects[0].encoded.as_ptr()));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_from_before_the_history_catches_up_from_the_store_and_then_shares_its_watch() {
    let running = Running::new(Config { history_events_max: 3, ..Config::default() });
    running.list(At::Any).await.unwrap();
    let mut written = Vec::new();
    for n in 1..=20 {
        written.push(running.put("a", n).await.get());
    }
    running.list(At::MostRecent).await.unwrap();
    assert!(running.cacher.stats().history_from.get() > written[10]);
    let watches = running.store.watches();
    let mut watch = running.watch(running.options(WatchFrom::After(Revision::new(written[2])))).await;
    assert_eq!(revisions(&mut watch, 17).await, written[3..]);
    written.push(running.put("a", 21).await.get());
    assert_eq!(revisions(&mut watch, 1).await, written[20..]);
    assert_eq!((running.store.watches(), running.cacher.stats().watchers), (watches + 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_new_cache_knows_what_happened_before_it_was_there() {
    let store = Memory::default();
    let old = Running::over(&store, Arc::new(store.clone()), Config::default());
    let mut written = Vec::new();
    for n in 1..=20 {
        written.push(old.put("a", n).await.get());
    }
    store.compact(Revision::new(written[5])).await.unwrap();
    let new = Running::over(&store, Arc::new(store.clone()), Config::default());
    new.list(At::MostRecent).await.unwrap();
    let (ranges, watches) = (store.ranges(), store.watches());
    let mut watch = new.watch(new.options(WatchFrom::After(Revision::new(written[9])))).await;
    assert_eq!(revisions(&mut watch, 10).await, written[10..]);
    let mut gone = new.watch(new.options(WatchFrom::After(Revision::new(written[1])))).await;
    assert!(matches!(gone.next().await, Err(Error::Expired { .. })), "the store has it no more");
    assert_eq!(
        (store.ranges(), store.watches()),
        (ranges, watches + 1),
        "nobody lists again; one asks the store what is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_lost_end_the_watchers_and_cost_one_list() {
    let store = Memory::default();
    let late = Faulty::new(store.clone(), Fault::Lag(Duration::from_secs(1)));
    let running = Running::over(&store, Arc::new(late), Config::default());
    let first = running.put("a", 1).await;
    running.list(At::NotOlderThan(first)).await.unwrap();
    let mut watch = running.watch(running.options(WatchFrom::After(first))).await;
    // History from before the list has come.
    sleep(Duration::from_secs(5)).await;
    running.put("a", 2).await;
    sleep(Duration::from_millis(500)).await;
    // While that is on its way, what follows it is lost.
    running.put("a", 3).await;
    let last = running.put("a", 4).await;
    store.compact(last).await.unwrap();
    assert!(matches!(watch.next().await, Ok(Event::Modified(_))));
    assert!(matches!(watch.next().await, Err(Error::Ended)));
    assert_eq!(running.list(At::Any).await.unwrap().revision, last);
    assert_eq!(running.cacher.stats().lists, 2);
    let mut resumed = running.watch(running.options(WatchFrom::After(first.next()))).await;
    assert!(matches!(resumed.next().await, Err(Error::Expired { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_closed_and_goes_on_without_a_gap_while_others_never_wait() {
    let running = Running::new(Config { watch_buffer_events_max: 2, ..Config::default() });
    let first = running.put("a", 0).await;
    running.list(At::MostRecent).await.unwrap();
    let mut slow = running.watch(running.options(WatchFrom::After(first))).await;
    let mut quick = running.watch(running.options(WatchFrom::After(first))).await;
    let mut last = first;
    for n in 1..=10 {
        last = running.put("a", n).await;
        assert_eq!(revisions(&mut quick, 1).await, [last.get()]);
    }
    let mut got = vec![];
    let ended = loop {
        match slow.next().await {
            Ok(event) => got.push(event.revision().get()),
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, Error::TooSlow), "{ended}");
    let resumed_from = *got.last().unwrap();
    let mut resumed = running.watch(running.options(WatchFrom::After(Revision::new(resumed_from)))).await;
    let rest = usize::try_from(last.get() - resumed_from).unwrap();
    got.extend(revisions(&mut resumed, rest).await);
    assert_eq!(got, (first.get() + 1..=last.get()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_follow_the_store_though_the_resource_is_idle() {
    let running = Running::new(Config::default());
    let first = running.put("a", 1).await;
    let deadline = Some(Instant::now() + Duration::from_secs(250));
    let options = WatchOptions { bookmarks: true, deadline, ..running.options(WatchFrom::After(first)) };
    let mut watch = running.watch(options).await;
    let other = Collection::new("/registry", "others").object(None, "x").unwrap();
    let begun = Instant::now();
    let (mut expected, mut at) = (None, Vec::new());
    for n in 0..5 {
        let event = watch.next().await.unwrap();
        let Event::Bookmark { revision, initial_events_end: false } = event else { panic!("{event:?}") };
        at.push(begun.elapsed().as_secs());
        // What was written more than a minute ago is known by now.
        assert!(Some(revision) >= expected, "{revision} {expected:?}");
        expected = (n > 0).then(|| Revision::new(first.get() + n));
        let write = Write::Put { value: Bytes::from_static(b"x"), ttl: None };
        let before = running.store.swap(&other, None, write.clone()).await.unwrap();
        if let Swapped::Lost(Some(record)) = before {
            running.store.swap(&other, Some(record.revision), write).await.unwrap();
        }
    }
    assert_eq!(at, [60, 120, 180, 240, 248]);
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_though_changes_never_do() {
    let running = Arc::new(Running::new(Config::default()));
    running.put("a", 0).await;
    let writer = {
        let running = Arc::clone(&running);
        tokio::spawn(async move {
            for n in 1.. {
                running.put("a", n).await;
                sleep(Duration::from_millis(1)).await;
            }
        })
    };
    let options = running.options(WatchFrom::MostRecent);
    let mut watch = running.watch(WatchOptions { bookmarks: true, initial_events: true, ..options }).await;
    let (mut before, mut ended) = (Revision::ZERO, false);
    for _ in 0..200 {
        // It reads as fast as is written, so there is nearly always more.
        sleep(Duration::from_millis(1)).await;
        let event = watch.next().await.unwrap();
        match &event {
            Event::Bookmark { revision, initial_events_end } => {
                assert!(*initial_events_end && *revision >= before, "{revision} after {before}");
                ended = true;
            }
            event => assert!(event.revision() > before, "{event:?} after {before}"),
        }
        before = event.revision();
    }
    assert!(ended);
    writer.abort();
}

#[tokio::test(start_paused = true)]
async fn an_idle_resource_is_most_recent_without_a_list() {
    let running = Running::new(Config::default());
    running.put("a", 1).await;
    running.list(At::MostRecent).await.unwrap();
    let ranges = running.store.ranges();
    let other = Collection::new("/registry", "others");
    for n in 0..20 {
        let key = other.object(None, &n.to_string()).unwrap();
        let write = Write::Put { value: Bytes::from_static(b"x"), ttl: None };
        let Swapped::Done(revision) = running.store.swap(&key, None, write).await.unwrap() else { panic!("it is new") };
        assert!(running.list(At::MostRecent).await.unwrap().revision >= revision);
        assert!(running.list(At::NotOlderThan(revision)).await.is_ok());
    }
    assert_eq!(running.store.ranges(), ranges);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_an_error_until_it_is_written_anew_and_nobody_passes_it_by() {
    let running = Running::new(Config::default());
    let first = running.put("a", 1).await;
    running.put("b", 1).await;
    let mut watch = running.watch(running.options(WatchFrom::After(first))).await;
    let object = Scope::Object(running.key("b"));
    let mut other = running.watch(WatchOptions::new(object, WatchFrom::After(first))).await;
    running.spoil("a").await;
    assert_eq!(revisions(&mut watch, 1).await, [first.get() + 1]);
    assert!(matches!(watch.next().await, Err(Error::Undecodable(_))));
    for at in [At::MostRecent, At::Any] {
        assert!(matches!(running.list(at).await, Err(Error::Undecodable(_))), "{at:?}");
        assert!(matches!(running.cacher.get(&running.key("a"), at).await, Err(Error::Undecodable(_))), "{at:?}");
        assert!(running.cacher.get(&running.key("b"), at).await.is_ok(), "{at:?}");
    }
    let spoiled = running.store_revision_of("a").await;
    let write = Write::Put { value: thing("ns", "a", "", 2), ttl: None };
    let healed = running.store.swap(&running.key("a"), spoiled, write).await.unwrap();
    let Swapped::Done(healed) = healed else { panic!("{healed:?}") };
    let list = running.list(At::MostRecent).await.unwrap();
    assert_eq!((list.objects.len(), list.objects[0].revision), (2, healed));
    let mut again = running.watch(running.options(WatchFrom::After(spoiled.unwrap()))).await;
    assert!(matches!(again.next().await, Ok(Event::Added(_))), "nobody has seen it before");
    assert_eq!(revisions(&mut other, 1).await, [first.get() + 1], "other objects' watchers are not concerned");
}

#[tokio::test(start_paused = true)]
async fn before_the_first_list_it_says_so_and_after_its_end_too() {
    let collection = Collection::new("/registry", "things");
    let store: Arc<dyn Backend> = Arc::new(Memory::default());
    let (cacher, feed) = Cacher::new(store, Arc::new(ThingCodec), collection.clone(), Config::default());
    let list = ListOptions::new(collection.everything(), At::Any);
    assert!(matches!(cacher.list(&list).await, Err(Error::NotReady { .. })));
    assert!(!cacher.is_ready());
    let shutdown = CancellationToken::new();
    let feed = tokio::spawn(feed.run(shutdown.clone()));
    assert!(cacher.list(&list).await.is_ok());
    assert!(cacher.is_ready());
    let options = WatchOptions::new(collection.everything(), WatchFrom::Any);
    let mut watch = cacher.watch(options.clone()).await.unwrap();
    shutdown.cancel();
    feed.await.unwrap();
    assert!(matches!(watch.next().await, Err(Error::Ended)));
    assert!(matches!(cacher.watch(options).await.map(|_| ()), Err(Error::Ended)));
}

#[tokio::test(start_paused = true)]
async fn the_caches_digest_is_the_stores_at_its_revision() {
    let mut running = Running::new(Config::default());
    for n in 0..30 {
        running.put(&format!("t{}", n % 7), n).await;
        running.list(At::MostRecent).await.unwrap();
        let digest = running.cacher.digest();
        let exact = ListOptions::new(running.collection.everything(), At::Exact(digest.revision));
        assert_eq!(Digest::of_list(&running.cacher.list(&exact).await.unwrap()), digest);
    }
    running.shutdown.cancel();
    assert!(timeout(Duration::from_secs(1), running.feed.join_next()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_by_the_state_and_the_historys_bounds() {
    let running = Running::new(Config { history_bytes_max: 4_000, ..Config::default() });
    for n in 0..200 {
        running.put("a", n).await;
    }
    running.list(At::MostRecent).await.unwrap();
    let stats = running.cacher.stats();
    assert!(stats.history_bytes <= 4_000 && stats.history_events > 0 && stats.history_events < 20, "{stats:?}");
    assert!(stats.object_bytes < 1_000, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn who_catches_up_waits_for_a_turn_and_is_told_when_there_is_none() {
    let config = Config { history_events_max: 1, catch_up_watches_max: 1, ..Config::default() };
    let running = Running::new(config);
    running.list(At::Any).await.unwrap();
    let first = running.put("a", 0).await;
    for n in 1..=5 {
        running.put("a", n).await;
    }
    running.list(At::MostRecent).await.unwrap();
    let mut one = running.watch(running.options(WatchFrom::After(first))).await;
    let mut other = running.watch(running.options(WatchFrom::After(first))).await;
    assert_eq!(revisions(&mut one, 1).await.len(), 1, "its turn is over though it has not read all");
    assert_eq!(revisions(&mut other, 5).await.len(), 5);
    let _turn = running.cacher.shared.catch_ups().clone().acquire_owned().await.unwrap();
    let mut late = running.watch(running.options(WatchFrom::After(first))).await;
    assert!(matches!(late.next().await, Err(Error::NotReady { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_one_apiserver_has_shown_another_one_does_not_deny() {
    let store = Memory::default();
    let one = Running::over(&store, Arc::new(store.clone()), Config::default());
    let late = Faulty::new(store.clone(), Fault::Lag(Duration::from_millis(700)));
    let other = Running::over(&store, Arc::new(late), Config::default());
    other.list(At::Any).await.unwrap();
    for n in 0..5 {
        one.put("a", n).await;
        let seen = one.list(At::MostRecent).await.unwrap();
        assert!(other.list(At::Any).await.unwrap().revision < seen.revision, "it lags");
        let mut watch = other.watch(other.options(WatchFrom::After(seen.revision))).await;
        assert_eq!(other.list(At::NotOlderThan(seen.revision)).await.unwrap().objects, seen.objects);
        let next = one.put("b", n).await;
        assert_eq!(revisions(&mut watch, 1).await, [next.get()], "nothing of before, and nothing lost");
        assert_eq!(other.list(At::MostRecent).await.unwrap().revision, next);
    }
}

/// What a client knows: the revision of each object.
type Known = std::collections::BTreeMap<Key, u64>;

/// Lists, then watches until `end` is seen, resuming whenever the watch ends; returns the revisions of what it was sent, and
/// what it was listed at.
async fn follow(running: &Running, at: At, end: &Key) -> (u64, Vec<u64>, Known) {
    let list = running.list(at).await.unwrap();
    let mut known: Known = list.objects.iter().map(|object| (object.key.clone(), object.revision.get())).collect();
    let (mut last, mut seen) = (list.revision, Vec::new());
    while !known.contains_key(end) {
        let mut watch = running.watch(running.options(WatchFrom::After(last))).await;
        while !known.contains_key(end) {
            match watch.next().await {
                Ok(Event::Added(object) | Event::Modified(object)) => {
                    known.insert(object.key.clone(), object.revision.get());
                    last = object.revision;
                    seen.push(last.get());
                }
                Ok(Event::Deleted(object)) => {
                    known.remove(&object.key);
                    last = object.revision;
                    seen.push(last.get());
                }
                Ok(Event::Bookmark { .. }) => {}
                Err(Error::TooSlow | Error::NotReady { .. }) => break,
                Err(error) => panic!("nothing is lost: {error}"),
            }
        }
    }
    (list.revision.get(), seen, known)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_client_sees_the_stores_history_from_where_it_began() {
    const WRITES: u64 = 600;
    // So little of everything that watchers are closed, resume and catch up.
    let config =
        Config { history_events_max: 40, watch_buffer_events_max: 4, catch_up_watches_max: 2, ..Config::default() };
    let running = Arc::new(Running::new(config));
    let end = running.key("end");
    let clients: Vec<_> = (0..12)
        .map(|client| {
            let (running, end) = (Arc::clone(&running), end.clone());
            let at = if client % 2 == 0 { At::MostRecent } else { At::Any };
            tokio::spawn(async move { follow(&running, at, &end).await })
        })
        .collect();
    let writers = (0..3).map(|writer| {
        let running = Arc::clone(&running);
        tokio::spawn(async move {
            for n in 0..WRITES {
                let name = format!("{writer}-{}", n % 5);
                let current = running.store_revision_of(&name).await;
                let value = thing("ns", &name, "", n);
                let write = match current {
                    Some(_) if n % 7 == 0 => Write::Delete,
                    _ => Write::Put { value, ttl: None },
                };
                running.store.swap(&running.key(&name), current, write).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    running.put("end", 1).await;
    let truth = running.store.watch(&running.collection.everything(), Revision::new(1)).next().await.unwrap();
    let crate::storage::backend::Update::Changes(truth) = truth else { panic!("{truth:?}") };
    let live = running.list(At::MostRecent).await.unwrap();
    let live: Known = live.objects.iter().map(|object| (object.key.clone(), object.revision.get())).collect();
    for client in clients {
        let (from, seen, known) = timeout(Duration::from_secs(60), client).await.expect("an event is lost").unwrap();
        let expected: Vec<_> =
            truth.iter().map(|change| change.revision.get()).filter(|revision| *revision > from).collect();
        assert_eq!(seen, expected, "from {from}");
        assert_eq!(known, live);
    }
}
