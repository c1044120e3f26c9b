//! What every [`Engine`] must do, run by each implementation.

use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;

use super::mem::MemEngine;
use super::rocks::{self, RocksEngine};
use super::{Batch, Direction, Engine, Family, Snapshot};

/// How a suite opens an engine, and sees what a crash leaves of it.
trait Bench {
    type Of: Engine;
    fn open(folder: &Path) -> Self::Of;
    fn crashed(engine: &Self::Of, folder: &Path, to: &Path) -> Self::Of;
    fn checkpointed(folder: &Path) -> Self::Of;
}

struct Mem;
struct Rocks;

impl Bench for Mem {
    type Of = MemEngine;
    fn open(_: &Path) -> MemEngine {
        MemEngine::new()
    }
    fn crashed(engine: &MemEngine, _: &Path, to: &Path) -> MemEngine {
        engine.crash();
        let copy = to.join("copy");
        engine.checkpoint(&copy).expect("copied");
        MemEngine::open(&copy).expect("opens")
    }
    fn checkpointed(folder: &Path) -> MemEngine {
        MemEngine::open(folder).expect("opens")
    }
}

impl Bench for Rocks {
    type Of = RocksEngine;
    fn open(folder: &Path) -> RocksEngine {
        RocksEngine::open(folder, &rocks::Config::default()).expect("opens")
    }
    fn crashed(_: &RocksEngine, folder: &Path, to: &Path) -> RocksEngine {
        Self::open(&rocks::copy_as_crashed(folder, &to.join("copy")))
    }
    fn checkpointed(folder: &Path) -> RocksEngine {
        Self::open(folder)
    }
}

fn write(engine: &dyn Engine, change: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::default();
    change(&mut batch);
    engine.write(batch).expect("written");
}

fn rows(snapshot: &dyn Snapshot, from: &[u8], to: Option<&[u8]>, direction: Direction) -> Vec<String> {
    let mut out = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        out.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
        ControlFlow::Continue(())
    };
    snapshot.scan(Family::Latest, from, to, direction, &mut visit).expect("scanned");
    out
}

fn a_batch_is_ordered_and_families_are_apart<B: Bench>() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = B::open(folder.path());
    write(&engine, |b| {
        b.put(Family::Latest, "a", "1");
        b.put(Family::Latest, "b", "2");
        b.put(Family::Latest, "c", "3");
        b.delete_range(Family::Latest, "a", "c");
        b.put(Family::Latest, "b", "4");
        b.delete(Family::Latest, "c");
        b.put(Family::Graves, "a", "g");
    });
    assert_eq!(rows(&*engine.snapshot(), b"", None, Direction::Ascending), ["b=4"]);
    assert_eq!(engine.get(Family::Graves, b"a").expect("read"), Some("g".into()));
    let asked: Vec<Bytes> = ["c", "b"].map(Bytes::from).into();
    assert_eq!(engine.get_many(Family::Latest, &asked).expect("read"), [None, Some("4".into())]);
}

fn scans_keep_their_bounds_both_ways_and_stop_when_told<B: Bench>() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = B::open(folder.path());
    write(&engine, |b| ["a", "b", "c", "d"].iter().for_each(|k| b.put(Family::Latest, *k, *k)));
    let snapshot = engine.snapshot();
    assert_eq!(rows(&*snapshot, b"b", Some(b"d"), Direction::Ascending), ["b=b", "c=c"]);
    assert_eq!(rows(&*snapshot, b"b", Some(b"d"), Direction::Descending), ["c=c", "b=b"]);
    assert_eq!(rows(&*snapshot, b"c", None, Direction::Descending), ["d=d", "c=c"]);
    assert!(rows(&*snapshot, b"d", Some(b"b"), Direction::Ascending).is_empty());
    let mut seen = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        seen += 1;
        ControlFlow::Break(())
    };
    snapshot.scan(Family::Latest, b"", None, Direction::Ascending, &mut visit).expect("scanned");
    assert_eq!(seen, 1);
}

fn a_snapshot_never_changes<B: Bench>() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = B::open(folder.path());
    write(&engine, |b| b.put(Family::Latest, "a", "1"));
    let snapshot = engine.snapshot();
    write(&engine, |b| {
        b.put(Family::Latest, "a", "2");
        b.put(Family::Latest, "b", "2");
    });
    engine.flush().expect("flushed");
    assert_eq!(rows(&*snapshot, b"", None, Direction::Ascending), ["a=1"]);
    assert_eq!(snapshot.get(Family::Latest, b"b").expect("read"), None);
    assert_eq!(rows(&*engine.snapshot(), b"", None, Direction::Ascending), ["a=2", "b=2"]);
}

fn a_crash_goes_back_to_the_last_flush_in_all_families<B: Bench>() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = B::open(folder.path());
    write(&engine, |b| {
        b.put(Family::Latest, "a", "1");
        b.put(Family::Meta, "applied", "1");
    });
    engine.flush().expect("flushed");
    write(&engine, |b| {
        b.put(Family::Latest, "a", "2");
        b.put(Family::Meta, "applied", "2");
    });
    assert_eq!(engine.get_durable(Family::Meta, b"applied").expect("read"), Some("1".into()));
    assert_eq!(engine.get(Family::Meta, b"applied").expect("read"), Some("2".into()));
    let copy = tempfile::tempdir().expect("a folder");
    let after = B::crashed(&engine, folder.path(), copy.path());
    assert_eq!(after.get(Family::Meta, b"applied").expect("read"), Some("1".into()));
    assert_eq!(after.get(Family::Latest, b"a").expect("read"), Some("1".into()));
}

fn dropping_files_takes_only_rows_of_the_range<B: Bench>() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = B::open(folder.path());
    let key = |i: u32| Bytes::copy_from_slice(&i.to_be_bytes());
    for file in 0..4_u32 {
        write(&engine, |b| (0..100).for_each(|i| b.put(Family::History, key(file * 100 + i), vec![7; 64])));
        engine.flush().expect("flushed");
    }
    engine.compact_soon(Family::History, &key(0), &key(400));
    engine.drop_files(Family::History, &key(0), &key(200)).expect("dropped");
    for i in 200..400 {
        assert!(engine.get(Family::History, &key(i)).expect("read").is_some(), "{i}");
    }
}

fn a_checkpoint_holds_what_was_not_flushed_and_nothing_later<B: Bench>() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = B::open(folder.path());
    for i in 0..40 {
        write(&engine, |b| b.put(Family::Latest, format!("{i:02}"), "x"));
    }
    let to = tempfile::tempdir().expect("a folder");
    let to = to.path().join("checkpoint");
    engine.checkpoint(&to).expect("written");
    write(&engine, |b| b.put(Family::Latest, "later", "x"));
    let copy = B::checkpointed(&to);
    assert_eq!(rows(&*copy.snapshot(), b"", None, Direction::Ascending).len(), 40);
    assert!(engine.checkpoint(&to).is_err(), "the folder exists");
    assert!(engine.background_error().is_none());
    assert!(engine.disk_bytes() > 0);
}

macro_rules! for_each_engine {
    ($($name:ident),* $(,)?) => {
        mod mem_engine { $(#[test] fn $name() { super::$name::<super::Mem>(); })* }
        mod rocks_engine { $(#[test] fn $name() { super::$name::<super::Rocks>(); })* }
    };
}

for_each_engine!(
    a_batch_is_ordered_and_families_are_apart,
    scans_keep_their_bounds_both_ways_and_stop_when_told,
    a_snapshot_never_changes,
    a_crash_goes_back_to_the_last_flush_in_all_families,
    dropping_files_takes_only_rows_of_the_range,
    a_checkpoint_holds_what_was_not_flushed_and_nothing_later,
);
