//! The watch contract, checked against a model: what each watcher gets is what history has for it, whatever happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fairlead_proto::etcd::mvccpb;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;

use super::fake::Fake;
use super::pass::{Pass, Read};
use super::*;

/// A watcher as the client knows it.
struct Expected {
    spec: Spec,
    /// First revision it may get.
    start: i64,
    /// Everything below it has been delivered, or does not concern the watcher.
    cursor: i64,
    /// The greatest revision that a response for it named.
    told: i64,
}

struct Client {
    stream: Stream,
    watchers: HashMap<i64, Expected>,
}

struct World {
    rng: StdRng,
    source: Arc<Fake>,
    door: Arc<dyn Source>,
    hub: Hub,
    clients: Vec<Client>,
    /// Committed and not yet published.
    unpublished: Vec<RevisionEvents>,
    pass: Option<Pass>,
    read: Option<Read>,
    runtime: tokio::runtime::Runtime,
    /// How much is caught up and read in one step: few worlds are always slow, few always up to date.
    pace: usize,
    tally: Tally,
}

/// How much of what the test is about has happened.
#[derive(Debug, Default)]
struct Tally {
    events: usize,
    progress: usize,
    compacted: usize,
    slow: usize,
}

fn key(rng: &mut StdRng) -> Bytes {
    let length = rng.random_range(1..3);
    (0..length).map(|_| rng.random_range(b'a'..b'd')).collect::<Vec<_>>().into()
}

fn new_hub(source: &Arc<Fake>, config: Config) -> Hub {
    Hub::new(Arc::clone(source) as Arc<dyn Source>, config, StdRng::seed_from_u64(1))
}

fn spec(range: KeyRange) -> Spec {
    let filters = Filters::default();
    Spec { range, filters, previous: false, progress_notify: false, fragment: false, start_revision: 0 }
}

fn everything() -> KeyRange {
    KeyRange::Range(Bytes::from_static(&[0]), End::Open)
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let config = Config {
            stream_responses_max: rng.random_range(1..6),
            stream_bytes_max: rng.random_range(50..2000),
            catchup_revisions_max: rng.random_range(1..8),
            catchup_watchers_max: rng.random_range(1..4),
            batch_bytes_max: rng.random_range(1..300),
            handover_revisions_max: rng.random_range(0..4),
            handover_bytes_max: rng.random_range(0..200),
            ..Config::default()
        };
        let pace = rng.random_range(1..30);
        let source = Arc::new(Fake::default());
        let hub = new_hub(&source, config);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let door = Arc::clone(&source) as Arc<dyn Source>;
        let (clients, unpublished) = (Vec::new(), Vec::new());
        World {
            rng,
            source,
            door,
            hub,
            clients,
            unpublished,
            pass: None,
            read: None,
            runtime,
            pace,
            tally: Tally::default(),
        }
    }

    fn commit(&mut self) {
        let changes: Vec<_> = (0..self.rng.random_range(1..4))
            .map(|_| (key(&mut self.rng), self.rng.random_bool(0.7).then(|| key(&mut self.rng))))
            .collect();
        self.unpublished.push(self.source.commit(&changes));
    }

    fn publish(&mut self) {
        let up_to = self.rng.random_range(0..=self.unpublished.len());
        let group: Vec<_> = self.unpublished.drain(..up_to).collect();
        self.hub.publish(group);
    }

    /// A snapshot brings revisions that are never published.
    fn rebase(&mut self) {
        for _ in 0..self.rng.random_range(0..12) {
            self.commit();
        }
        self.unpublished.clear();
        if self.rng.random_bool(0.3) {
            self.compact();
        }
        self.hub.rebase(self.source.revision());
    }

    fn compact(&mut self) {
        let (from, to) = (self.source.compact_revision(), self.source.revision());
        // Mostly a little: who is far behind should have a chance.
        let to = if self.rng.random_bool(0.8) { to.min(from + 8) } else { to };
        let revision = self.rng.random_range(from..=to);
        self.source.compact(revision);
    }

    fn create(&mut self) {
        if self.clients.is_empty() || self.rng.random_bool(0.2) {
            self.clients.push(Client { stream: self.hub.open(), watchers: HashMap::new() });
        }
        let current = self.source.revision();
        let range = match self.rng.random_range(0..3) {
            0 => KeyRange::Key(key(&mut self.rng)),
            1 => everything(),
            _ => loop {
                let (first, end) = (key(&mut self.rng), key(&mut self.rng));
                if first < end {
                    break KeyRange::Range(first, End::At(end));
                }
            },
        };
        let spec = Spec {
            range,
            filters: Filters { no_put: self.rng.random_bool(0.1), no_delete: self.rng.random_bool(0.1) },
            previous: self.rng.random_bool(0.5),
            progress_notify: self.rng.random_bool(0.5),
            fragment: false,
            start_revision: match self.rng.random_range(0..3) {
                0 => 0,
                1 => self.rng.random_range(1..=current),
                _ => current + self.rng.random_range(0..15),
            },
        };
        let n = self.rng.random_range(0..self.clients.len());
        let watch_id = if self.rng.random_bool(0.8) { 0 } else { self.rng.random_range(1..9) };
        let client = &mut self.clients[n];
        if client.watchers.len() >= 3 {
            return;
        }
        match client.stream.create(watch_id, spec.clone()) {
            Ok(created) => {
                assert!(created.revision >= current);
                let start = if spec.start_revision == 0 { created.revision + 1 } else { spec.start_revision };
                let expected = Expected { spec, start, cursor: start, told: 0 };
                assert!(client.watchers.insert(created.watch_id, expected).is_none(), "the id was free");
            }
            Err(refused) => {
                assert_eq!(refused, Refused::DuplicateId);
                assert!(client.watchers.contains_key(&watch_id));
            }
        }
    }

    fn cancel(&mut self) {
        let Some(n) = self.some_client() else { return };
        let watch_id = self.rng.random_range(0..9);
        let client = &mut self.clients[n];
        assert_eq!(client.stream.cancel(watch_id), client.watchers.remove(&watch_id).is_some());
    }

    fn some_client(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.rng.random_range(0..self.clients.len()))
    }

    /// One of the three steps of catching up, so that anything can happen between them.
    fn catch_up(&mut self) -> bool {
        if let Some(read) = self.read.take() {
            self.hub.with_groups(|groups| groups.finish(read));
        } else if let Some(pass) = self.pass.take() {
            self.read = Some(pass.read(&*self.source).unwrap());
        } else {
            self.pass = self.hub.groups().plan();
            return self.pass.is_some();
        }
        true
    }

    fn read_one(&mut self, n: usize) -> bool {
        let client = &mut self.clients[n];
        let Some(output) = client.stream.try_next() else { return false };
        match output {
            Output::Events(delivery) => {
                let compacted = self.source.compact_revision();
                let expected = client.watchers.get_mut(&delivery.watch_id()).expect("a watcher that was not cancelled");
                let events = self.runtime.block_on(delivery.events(&self.door)).unwrap();
                self.tally.events += events.len();
                let revision = delivery.revision();
                expected.events(&self.source, compacted, revision, events.into_iter().map(|event| event.0).collect());
            }
            Output::Progress { watch_id: -1, revision } => {
                self.tally.progress += client.watchers.len();
                client.watchers.values_mut().for_each(|expected| expected.progress(&self.source, revision));
            }
            Output::Progress { watch_id, revision } => {
                let expected = client.watchers.get_mut(&watch_id).expect("a watcher that was not cancelled");
                assert!(expected.spec.progress_notify);
                self.tally.progress += 1;
                expected.progress(&self.source, revision);
            }
            Output::Compacted { watch_id, compact_revision } => {
                self.tally.compacted += 1;
                let expected = client.watchers.remove(&watch_id).expect("a watcher that was not cancelled");
                assert!(compact_revision <= self.source.compact_revision());
                assert!(expected.start < compact_revision, "nothing it wants is gone");
                let missed = expected.missing(&self.source, self.source.revision());
                assert!(expected.told + 1 < compact_revision || missed.is_empty(), "it had got that far");
            }
        }
        true
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..25 => self.commit(),
            25..50 => self.publish(),
            50..53 => self.rebase(),
            53..56 => self.compact(),
            56..64 => self.create(),
            64..66 => self.cancel(),
            66..80 => (0..self.pace).for_each(|_| _ = self.catch_up()),
            80..91 => {
                if let Some(n) = self.some_client() {
                    (0..self.pace).for_each(|_| _ = self.read_one(n));
                }
            }
            91..98 => {
                if let Some(n) = self.some_client() {
                    match self.rng.random_bool(0.5) {
                        true => self.clients[n].stream.request_progress(),
                        false => self.clients[n].stream.tick(),
                    }
                }
            }
            98 if self.rng.random_bool(0.2) => {
                if let Some(n) = self.some_client() {
                    self.clients.swap_remove(n);
                }
            }
            _ => {}
        }
        self.hub.groups().check();
        self.tally.slow += self.hub.stats().slow_watchers;
    }

    /// When writes stop and everybody reads, everybody has everything.
    fn finish(&mut self) {
        let rest = std::mem::take(&mut self.unpublished);
        self.hub.publish(rest);
        loop {
            let mut moved = self.catch_up();
            for n in 0..self.clients.len() {
                while self.read_one(n) {
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        let last = self.source.revision();
        assert_eq!(self.hub.stats().slow_watchers, 0);
        for client in &mut self.clients {
            for expected in client.watchers.values() {
                assert!(expected.missing(&self.source, last).is_empty(), "{:?} misses events", expected.spec);
            }
            client.stream.request_progress();
            let all_started = client.watchers.values().all(|e| e.start <= last || e.spec.start_revision == 0);
            let answer = client.stream.try_next();
            assert_eq!(answer.is_some(), all_started && !client.watchers.is_empty());
        }
    }
}

impl Expected {
    /// What history has for it from its cursor up to `through`.
    fn missing(&self, source: &Fake, through: i64) -> Vec<(i64, Event)> {
        let all = source.all_from(self.cursor).into_iter().filter(|r| r.revision <= through);
        let all = all.flat_map(|r| r.events.into_iter().map(move |event| (r.revision, event)));
        all.filter(|(_, event)| self.spec.range.has(&event.key) && self.spec.filters.pass(event)).collect()
    }

    fn events(&mut self, source: &Fake, compacted: i64, revision: i64, events: Vec<Bytes>) {
        assert!(!events.is_empty() && revision >= self.told);
        let expected = self.missing(source, revision);
        assert_eq!(events.len(), expected.len(), "all that it misses up to {revision}, and nothing else");
        for (bytes, (revision, event)) in events.iter().zip(&expected) {
            let got = mvccpb::Event::decode(bytes.clone()).unwrap();
            let plain = mvccpb::Event { prev_kv: None, ..got.clone() };
            assert_eq!(plain.encode_to_vec(), event.encoded);
            let before = source.value_before(&event.key, *revision).filter(|_| self.spec.previous);
            assert!(got.prev_kv == before || (got.prev_kv.is_none() && *revision <= compacted), "prev_kv");
        }
        (self.cursor, self.told) = (self.cursor.max(revision + 1), revision);
    }

    fn progress(&mut self, source: &Fake, revision: i64) {
        assert!(revision >= self.told && revision >= self.spec.start_revision && revision <= source.revision());
        assert!(self.missing(source, revision).is_empty(), "progress passed an event");
        self.told = revision;
    }
}

#[test]
fn every_watcher_gets_what_history_has_for_it_whatever_happens() {
    let mut sum = Tally::default();
    for seed in 0..200 {
        let mut world = World::new(seed);
        println!("seed {seed}");
        for _ in 0..600 {
            world.step();
        }
        world.finish();
        sum.events += world.tally.events;
        sum.progress += world.tally.progress;
        sum.compacted += world.tally.compacted;
        sum.slow += world.tally.slow;
    }
    println!("{sum:?}");
    assert!(sum.events > 30_000 && sum.progress > 300 && sum.compacted > 500 && sum.slow > 10_000, "{sum:?}");
}

/// [watch_lag] A reader that stops gets everything later, with nothing lost and nothing twice; others are not disturbed.
#[tokio::test]
async fn a_slow_stream_is_caught_up_and_never_slows_publishing() {
    let source = Arc::new(Fake::default());
    let hub = new_hub(&source, Config { stream_responses_max: 4, ..Config::default() });
    let shutdown = CancellationToken::new();
    let service = tokio::spawn({
        let (hub, shutdown) = (hub.clone(), shutdown.clone());
        async move { hub.run(shutdown).await }
    });
    let (mut slow, mut quick) = (hub.open(), hub.open());
    slow.create(0, spec(everything())).unwrap();
    quick.create(0, spec(everything())).unwrap();
    for n in 0..5000 {
        hub.publish(vec![source.put("k", "v")]);
        let Output::Events(delivery) = quick.next().await else { panic!("only events come") };
        assert_eq!(delivery.revision(), n + 2);
    }
    assert_eq!(hub.stats().slow_watchers, 1);
    let mut got = Vec::new();
    while got.len() < 5000 {
        let Output::Events(delivery) = slow.next().await else { panic!("only events come") };
        let events = delivery.events(hub.source()).await.unwrap();
        got.extend(events.iter().map(|event| mvccpb::Event::decode(event.0.clone()).unwrap().kv.unwrap().mod_revision));
    }
    assert_eq!(got, (2..5002).collect::<Vec<i64>>());
    assert_eq!(hub.stats().slow_watchers, 0, "it is live again");
    shutdown.cancel();
    service.await.unwrap().unwrap();
}

/// [watch_create_race] A watcher made in the middle of writes, at a revision of the past, arrives at live delivery while the
/// writer goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_made_under_a_writer_see_each_revision_once() {
    let source = Arc::new(Fake::default());
    let hub = new_hub(&source, Config::default());
    let shutdown = CancellationToken::new();
    let service = tokio::spawn({
        let (hub, shutdown) = (hub.clone(), shutdown.clone());
        async move { hub.run(shutdown).await }
    });
    let writer = std::thread::spawn({
        let (source, hub) = (Arc::clone(&source), hub.clone());
        move || {
            for _ in 0..3000 {
                hub.publish(vec![source.put("k", "v")]);
                std::thread::yield_now();
            }
        }
    });
    let mut readers = Vec::new();
    for n in 0..40 {
        let hub = hub.clone();
        readers.push(tokio::spawn(async move {
            let mut stream = hub.open();
            let mut spec = spec(everything());
            spec.start_revision = if n % 2 == 0 { 0 } else { hub.source().revision() / 2 + 1 };
            let start = spec.start_revision;
            let created = stream.create(0, spec).unwrap();
            let mut next = if start == 0 { created.revision + 1 } else { start.max(2) };
            while next < 3002 {
                let Output::Events(delivery) = stream.next().await else { panic!("only events come") };
                for event in delivery.events(hub.source()).await.unwrap() {
                    let kv = mvccpb::Event::decode(event.0).unwrap().kv.unwrap();
                    assert_eq!(kv.mod_revision, next);
                    next += 1;
                }
            }
        }));
        tokio::task::yield_now().await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
    writer.join().unwrap();
    shutdown.cancel();
    service.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_value_before_is_read_once_for_all_watchers() {
    let source = Arc::new(Fake::default());
    let hub = new_hub(&source, Config::default());
    source.put("k", "before");
    hub.rebase(source.revision());
    let mut streams: Vec<_> = (0..50).map(|_| hub.open()).collect();
    for stream in &mut streams {
        stream.create(0, Spec { previous: true, ..spec(everything()) }).unwrap();
        stream.create(0, Spec { previous: true, ..spec(KeyRange::Key("k".into())) }).unwrap();
        stream.create(0, spec(everything())).unwrap();
    }
    hub.publish(vec![source.put("k", "after")]);
    for stream in &mut streams {
        for _ in 0..3 {
            let Output::Events(delivery) = stream.next().await else { panic!("only events come") };
            let event = delivery.events(hub.source()).await.unwrap().remove(0);
            let event = mvccpb::Event::decode(event.0).unwrap();
            assert_eq!(event.prev_kv.map(|kv| kv.value), (delivery.watch_id() < 2).then(|| "before".into()));
        }
    }
    assert_eq!(source.previous_reads.load(Ordering::Relaxed), 1);
}

#[test]
fn progress_intervals_have_a_floor_and_differ_by_up_to_a_tenth() {
    let source = Arc::new(Fake::default());
    let quick = new_hub(&source, Config { progress_notify_interval: Duration::ZERO, ..Config::default() });
    assert!(quick.progress_interval() >= PROGRESS_INTERVAL_MIN);
    let hub = new_hub(&source, Config::default());
    let drawn: Vec<_> = (0..20).map(|_| hub.progress_interval()).collect();
    assert!(drawn.iter().all(|d| (Duration::from_secs(600)..Duration::from_secs(660)).contains(d)));
    assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
}

#[test]
#[should_panic(expected = "follows the one before")]
fn a_revision_left_out_ends_the_process() {
    let source = Arc::new(Fake::default());
    let hub = new_hub(&source, Config::default());
    source.put("k", "v");
    hub.publish(vec![source.put("k", "v")]);
}
