//! Random histories against the naive model: every answer at every readable revision, through compactions that stop half
//! way, crashes that go back to the last flush, and replay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::etcdserverpb::compare::{CompareTarget, TargetUnion};
use fairlead_proto::served::etcdserverpb::request_op::Request;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::compact::{self, Step};
use super::model::{self, LEASES, Model, in_range};
use super::{Config, Error, Mvcc, View, Writer};
use crate::apply::Refusal;
use crate::engine::mem::MemEngine;
use crate::engine::rocks::{self, RocksEngine};
use crate::engine::{Engine, Family, schema};
use crate::watch::Kind;

/// Everything a command can come to.
#[derive(Clone, Debug, PartialEq)]
enum Came {
    Put(Result<pb::PutResponse, Refusal>),
    Delete(pb::DeleteRangeResponse),
    Txn(Result<pb::TxnResponse, Refusal>),
    Revoke(i64),
    Compact(Result<(), Refusal>),
}

#[derive(Clone, Debug)]
enum Do {
    Put(pb::PutRequest),
    Delete(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    Revoke(i64),
    Compact(i64),
}

/// An engine that can be crashed.
trait Crashing {
    fn engine(&self) -> Arc<dyn Engine>;
    fn crash(&mut self);
}

struct Mem(Arc<MemEngine>);

impl Crashing for Mem {
    fn engine(&self) -> Arc<dyn Engine> {
        self.0.clone()
    }
    fn crash(&mut self) {
        self.0.crash();
    }
}

struct Rocks {
    engine: Option<Arc<RocksEngine>>,
    folder: PathBuf,
    lives: u32,
    _root: tempfile::TempDir,
}

impl Rocks {
    fn new() -> Rocks {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("0");
        Rocks { engine: Some(Self::open(&folder)), folder, lives: 0, _root: root }
    }
    fn open(folder: &Path) -> Arc<RocksEngine> {
        Arc::new(RocksEngine::open(folder, &rocks::Config::default()).expect("opens"))
    }
}

impl Crashing for Rocks {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().expect("open")
    }
    fn crash(&mut self) {
        self.lives += 1;
        let next = self.folder.with_file_name(self.lives.to_string());
        rocks::copy_as_crashed(&self.folder, &next);
        self.engine = Some(Self::open(&next));
        self.folder = next;
    }
}

struct World<C> {
    rng: StdRng,
    under: C,
    mvcc: Mvcc,
    writer: Writer,
    /// Every entry so far and what each of its commands came to.
    log: Vec<Vec<(Do, Came)>>,
    model: Model,
}

fn config() -> Config {
    Config {
        compact_step_rows_max: 3,
        hash_buffer_bytes_max: 300,
        header_cache_bytes_max: 1500,
        fence_keys_max: 2,
        ..Config::default()
    }
}

impl<C: Crashing> World<C> {
    fn new(seed: u64, under: C) -> World<C> {
        let (mvcc, writer) = Mvcc::open(under.engine(), config()).expect("opens");
        World { rng: StdRng::seed_from_u64(seed), under, mvcc, writer, log: Vec::new(), model: Model::new() }
    }

    fn key(&mut self) -> Bytes {
        let keys = ["a", "b", "b\0", "ba", "c", "d", "d\u{ff}", "e", "\u{10ffff}"];
        keys[self.rng.random_range(0..keys.len())].into()
    }

    fn range_end(&mut self) -> Bytes {
        match self.rng.random_range(0..4) {
            0 => Bytes::new(),
            1 => Bytes::from_static(&[0]),
            _ => self.key(),
        }
    }

    fn put(&mut self) -> pb::PutRequest {
        let value = vec![b'x'; self.rng.random_range(0..40)];
        let lease = if self.rng.random_bool(0.3) { [7, -3, i64::MAX, 99][self.rng.random_range(0..4)] } else { 0 };
        let mut put = pb::PutRequest { key: self.key(), value: value.into(), lease, ..Default::default() };
        put.prev_kv = self.rng.random_bool(0.3);
        if self.rng.random_bool(0.1) {
            put.ignore_value = true;
            put.value = Bytes::new();
        }
        if self.rng.random_bool(0.1) {
            put.ignore_lease = true;
            put.lease = 0;
        }
        put
    }

    fn delete(&mut self) -> pb::DeleteRangeRequest {
        let (key, range_end) = (self.key(), self.range_end());
        pb::DeleteRangeRequest { key, range_end, prev_kv: self.rng.random_bool(0.5) }
    }

    fn range(&mut self, revision: i64) -> pb::RangeRequest {
        let mut r = pb::RangeRequest { key: self.key(), range_end: self.range_end(), revision, ..Default::default() };
        if self.rng.random_bool(0.4) {
            (r.key, r.range_end) = (Bytes::from_static(&[0]), Bytes::from_static(&[0]));
        }
        r.limit = self.rng.random_range(-1..5);
        r.sort_order = self.rng.random_range(0..3);
        r.sort_target = if self.rng.random_bool(0.5) { 0 } else { self.rng.random_range(0..5) };
        r.keys_only = self.rng.random_bool(0.3);
        r.count_only = self.rng.random_bool(0.1);
        for bound in [&mut r.min_mod_revision, &mut r.max_mod_revision, &mut r.min_create_revision] {
            if self.rng.random_bool(0.1) {
                *bound = self.rng.random_range(1..self.model.revision + 2);
            }
        }
        r
    }

    fn compare(&mut self) -> pb::Compare {
        let union = match self.rng.random_range(0..5) {
            0 => TargetUnion::Version(self.rng.random_range(0..3)),
            1 => TargetUnion::CreateRevision(self.rng.random_range(0..=self.model.revision)),
            2 => TargetUnion::ModRevision(self.rng.random_range(0..=self.model.revision)),
            3 => TargetUnion::Value(vec![b'x'; self.rng.random_range(0..40)].into()),
            _ => TargetUnion::Lease(LEASES[self.rng.random_range(0..3)]),
        };
        let target = match &union {
            TargetUnion::Version(_) => CompareTarget::Version,
            TargetUnion::CreateRevision(_) => CompareTarget::Create,
            TargetUnion::ModRevision(_) => CompareTarget::Mod,
            TargetUnion::Value(_) => CompareTarget::Value,
            TargetUnion::Lease(_) => CompareTarget::Lease,
        };
        let (key, range_end) = (self.key(), if self.rng.random_bool(0.3) { self.range_end() } else { Bytes::new() });
        let result = self.rng.random_range(0..4);
        pb::Compare { result, target: target as i32, key, range_end, target_union: Some(union) }
    }

    /// A transaction that the API would let pass: no key is put twice, or put and deleted, on one level.
    fn txn(&mut self, depth: u32) -> pb::TxnRequest {
        let compare = (0..self.rng.random_range(0..3)).map(|_| self.compare()).collect();
        let (success, failure) = (self.ops(depth), self.ops(depth));
        pb::TxnRequest { compare, success, failure }
    }

    fn ops(&mut self, depth: u32) -> Vec<pb::RequestOp> {
        let mut ops: Vec<pb::RequestOp> = Vec::new();
        let mut puts: Vec<Bytes> = Vec::new();
        let mut deletes: Vec<(Bytes, Bytes)> = Vec::new();
        for _ in 0..self.rng.random_range(0..5) {
            let request = match self.rng.random_range(0..10) {
                0..4 => {
                    let put = self.put();
                    if puts.contains(&put.key) || deletes.iter().any(|(k, e)| in_range(&put.key, k, e)) {
                        continue;
                    }
                    puts.push(put.key.clone());
                    Request::RequestPut(put)
                }
                4..6 => {
                    let delete = self.delete();
                    if puts.iter().any(|key| in_range(key, &delete.key, &delete.range_end)) {
                        continue;
                    }
                    deletes.push((delete.key.clone(), delete.range_end.clone()));
                    Request::RequestDeleteRange(delete)
                }
                6..9 => {
                    let revision = if self.rng.random_bool(0.6) {
                        0
                    } else {
                        self.rng.random_range(self.model.compact.max(1) - 1..self.model.revision + 2)
                    };
                    Request::RequestRange(self.range(revision))
                }
                _ if depth > 0 && puts.is_empty() && deletes.is_empty() => {
                    let inner = self.txn(depth - 1);
                    return vec![pb::RequestOp { request: Some(Request::RequestTxn(inner)) }];
                }
                _ => continue,
            };
            ops.push(pb::RequestOp { request: Some(request) });
        }
        ops
    }

    fn command(&mut self) -> Do {
        match self.rng.random_range(0..20) {
            0..9 => Do::Put(self.put()),
            9..12 => Do::Delete(self.delete()),
            12..17 => Do::Txn(self.txn(2)),
            17 => Do::Revoke([7, -3, i64::MAX][self.rng.random_range(0..3)]),
            _ => Do::Compact(self.rng.random_range(self.model.compact.max(1) - 1..self.model.revision + 2)),
        }
    }

    fn model_does(&mut self, command: &Do) -> Came {
        let came = match command {
            Do::Put(r) if r.lease != 0 && !LEASES.contains(&r.lease) => Came::Put(Err(Refusal::LeaseNotFound)),
            Do::Put(r) => Came::Put(self.model.put(r)),
            Do::Delete(r) => Came::Delete(self.model.delete(r)),
            Do::Txn(r) => Came::Txn(self.model.txn(r)),
            Do::Revoke(lease) => Came::Revoke(self.model.revoke(*lease)),
            Do::Compact(revision) => Came::Compact(self.model.compact(*revision)),
        };
        self.model.close();
        came
    }

    /// Applies entries as one group, and compares with what they came to before, or in the model.
    fn apply(&mut self, entries: std::ops::Range<usize>) {
        let mut group = self.writer.begin();
        let exists = |lease: i64| LEASES.contains(&lease);
        for (command, expected) in self.log[entries.clone()].iter().flatten() {
            let came = match command {
                Do::Put(r) => Came::Put(group.put(r, &exists).expect("applied")),
                Do::Delete(r) => Came::Delete(group.delete_range(r).expect("applied").expect("never refused")),
                Do::Txn(r) => Came::Txn(group.txn(r, &exists).expect("applied")),
                Do::Revoke(lease) => Came::Revoke(group.revoke(*lease).expect("applied")),
                Do::Compact(revision) => Came::Compact(group.compact(*revision).expect("applied")),
            };
            assert_eq!(&came, expected, "{command:?}");
        }
        let applied = Bytes::copy_from_slice(&(entries.end as u64).to_be_bytes());
        group.batch().put(Family::Meta, schema::META_APPLIED, applied);
        let before = group.revision();
        let events = group.commit().expect("committed");
        assert_eq!(self.writer.revision(), before);
        assert_eq!(self.mvcc.revision(), before);
        // What was published is what history gives back.
        if let Some(first) = events.first()
            && first.revision >= self.mvcc.compact_revision()
        {
            let read = self.mvcc.read(|view| view.events(first.revision, usize::MAX, usize::MAX)).expect("readable");
            assert_eq!(read, events);
        }
    }

    fn crash_and_replay(&mut self) {
        self.under.crash();
        let engine = self.under.engine();
        (self.mvcc, self.writer) = Mvcc::open(engine.clone(), config()).expect("opens");
        let applied = engine.get(Family::Meta, schema::META_APPLIED).expect("read");
        let mut at = applied.map_or(0, |b| u64::from_be_bytes(b[..].try_into().expect("eight bytes")) as usize);
        while at < self.log.len() {
            let to = (at + self.rng.random_range(1..4)).min(self.log.len());
            self.apply(at..to);
            at = to;
            if self.rng.random_bool(0.2) {
                self.compact_some();
            }
        }
    }

    fn compact_some(&mut self) {
        for _ in 0..self.rng.random_range(1..6) {
            match compact::step(&self.mvcc.shared).expect("stepped") {
                Step::More => {}
                Step::Drain(draining) if self.rng.random_bool(0.7) => {
                    compact::remove(&self.mvcc.shared, &draining).expect("removed");
                }
                Step::Drain(_) | Step::Idle => return,
            }
        }
    }

    fn turn(&mut self) {
        match self.rng.random_range(0..100) {
            0..70 => {
                let from = self.log.len();
                for _ in 0..self.rng.random_range(1..3) {
                    let mut entry = Vec::new();
                    for _ in 0..self.rng.random_range(1..5) {
                        let command = self.command();
                        let came = self.model_does(&command);
                        entry.push((command, came));
                    }
                    self.log.push(entry);
                }
                self.apply(from..self.log.len());
            }
            70..85 => self.compact_some(),
            85..90 => self.under.engine().flush().expect("flushed"),
            90..93 => self.crash_and_replay(),
            93..95 => assert!(super::count::build_fences(&self.mvcc.shared).expect("built")),
            _ => self.check(),
        }
    }

    fn check(&mut self) {
        assert_eq!(self.mvcc.revision(), self.model.revision);
        assert_eq!(self.mvcc.compact_revision(), self.model.compact);
        let in_use = self.mvcc.sizes().in_use - 5 * 4096;
        assert_eq!(in_use, self.model.in_use(), "size account");
        let first = self.model.compact.max(1);
        let mut asked = Vec::new();
        for revision in first..=self.model.revision {
            let everything = pb::RangeRequest {
                key: Bytes::from_static(&[0]),
                range_end: Bytes::from_static(&[0]),
                revision,
                ..Default::default()
            };
            asked.push(everything);
            asked.extend((0..4).map(|_| self.range(revision)));
        }
        let model = &self.model;
        self.mvcc.read(|view| {
            for r in &asked {
                let (kvs, more, count) = model::range(r, &model.at(r.revision));
                let found = view.range(r).expect("readable");
                assert_eq!((found.kvs, found.more, found.count), (kvs, more, count), "{r:?} at {}", view.revision());
            }
            check_pages(view, model, first);
            check_events(view, model);
            check_refusals(view, model);
            for revision in first..=model.revision {
                let hash = view.hash_kv(revision).expect("readable");
                assert_eq!(hash.hash, model.hash(revision), "hash at {revision}");
            }
            for lease in LEASES {
                assert_eq!(view.lease_keys(lease).expect("read"), model.attached(lease));
            }
        });
    }
}

/// Lists in pages at a pinned revision, as Kubernetes does: each page's count is what is left.
fn check_pages(view: &View<'_>, model: &Model, revision: i64) {
    for revision in [revision, model.revision] {
        let everything = model.at(revision);
        let mut r = pb::RangeRequest { limit: 2, revision, range_end: Bytes::from_static(&[0]), ..Default::default() };
        r.key = Bytes::from_static(&[0]);
        let mut left = everything.len() as i64;
        loop {
            let page = view.range(&r).expect("readable");
            assert_eq!(page.count, left, "a page from {:?} at {revision}", r.key);
            let Some(last) = page.kvs.last().filter(|_| page.more) else { break };
            let last = super::record::KeyValue::read(&last.0).expect("a record");
            r.key = [last.key, &[0]].concat().into();
            left -= 2;
        }
        assert!(left <= 2);
    }
}

fn check_events(view: &View<'_>, model: &Model) {
    let from_each = model.compact.max(0)..=model.revision + 1;
    for from in from_each {
        let found = view.events(from, usize::MAX, usize::MAX).expect("readable");
        let rows: Vec<&model::Row> = model.rows.iter().filter(|row| row.main >= from).collect();
        let flat = found.iter().flat_map(|r| r.events.iter().map(|event| (r.revision, event)));
        assert_eq!(flat.clone().count(), rows.len(), "from {from}");
        for ((revision, event), row) in flat.zip(rows) {
            assert_eq!((revision, &event.key), (row.main, &row.key));
            let decoded = fairlead_proto::etcd::mvccpb::Event::decode(event.encoded.clone()).expect("an event");
            let before = model.at(row.main - 1).get(&row.key).cloned();
            match &row.kv {
                Some(kv) => {
                    assert_eq!(decoded.kv.as_ref(), Some(kv));
                    assert_eq!(event.kind, Kind::Put { created: kv.version == 1 });
                }
                None => {
                    assert_eq!((decoded.r#type, event.kind), (1, Kind::Delete));
                    let kv = decoded.kv.expect("a record");
                    assert_eq!((kv.key, kv.mod_revision, kv.version), (row.key.clone(), row.main, 0));
                }
            }
            check_previous(view, model, row, event, before);
        }
    }
    let some = view.events(model.compact.max(1), 2, usize::MAX).expect("readable");
    assert!(some.len() <= 2);
    assert!(view.events(model.compact.max(1), 9, 1).expect("readable").len() <= 1);
}

fn check_previous(
    view: &View<'_>,
    model: &Model,
    row: &model::Row,
    event: &crate::watch::Event,
    before: Option<fairlead_proto::etcd::mvccpb::KeyValue>,
) {
    // A key changed twice in one revision: only the first change has the state before the revision before it.
    let first = !model.rows.iter().any(|r| r.main == row.main && r.sub < row.sub && r.key == row.key);
    if !first {
        return;
    }
    let found = match event.previous {
        Some(previous) => view.previous(&event.key, previous).expect("read"),
        None => None,
    };
    let expected = before.map(|kv| Bytes::from(kv.encode_to_vec()));
    if row.main > model.compact {
        assert_eq!(found, expected, "previous of {row:?} with compact revision {}", model.compact);
    } else {
        assert!(found.is_none() || found == expected, "never a wrong one");
    }
}

fn check_refusals(view: &View<'_>, model: &Model) {
    let get = |revision| view.range(&pb::RangeRequest { key: "a".into(), revision, ..Default::default() });
    assert!(matches!(get(model.revision + 1), Err(Error::FutureRevision)));
    assert!(matches!(view.hash_kv(model.revision + 1), Err(Error::FutureRevision)));
    assert!(get(-5).is_ok(), "negative is the current one at the top level");
    if model.compact > 1 {
        assert!(matches!(get(model.compact - 1), Err(Error::Compacted)));
        assert!(matches!(view.hash_kv(model.compact - 1), Err(Error::Compacted)));
        assert!(matches!(view.events(model.compact - 1, 1, 1), Err(Error::Compacted)));
    }
}

fn run<C: Crashing>(seed: u64, turns: usize, under: C) {
    let mut world = World::new(seed, under);
    let dying = Dying(seed);
    for _ in 0..turns {
        world.turn();
    }
    world.check();
    compact::run_to_end(&world.mvcc.shared).expect("compacted");
    world.check();
    std::mem::forget(dying);
}

/// Says which seed failed.
struct Dying(u64);

impl Drop for Dying {
    fn drop(&mut self) {
        eprintln!("failed with seed {}", self.0);
    }
}

#[test]
fn random_histories_answer_as_the_model_does_in_memory() {
    let seeds = std::env::var("MVCC_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(40);
    let first: u64 = std::env::var("MVCC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for seed in first..first + seeds {
        run(seed, 60, Mem(Arc::new(MemEngine::new())));
    }
}

#[test]
fn random_histories_answer_as_the_model_does_on_rocks() {
    for seed in 1000..1004 {
        run(seed, 60, Rocks::new());
    }
}
