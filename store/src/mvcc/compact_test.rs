//! Removal under crashes, and beside readers.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use fairlead_proto::served::etcdserverpb as pb;
use tokio_util::sync::CancellationToken;

use super::compact::{self, Step};
use super::{Config, Mvcc, Writer};
use crate::engine::mem::MemEngine;
use crate::engine::{Direction, Engine, Family};

fn config() -> Config {
    Config { compact_step_rows_max: 4, ..Config::default() }
}

fn fill(writer: &mut Writer, rounds: i64) {
    for i in 0..rounds {
        let mut group = writer.begin();
        let key = format!("k{}", i % 7);
        let r = pb::PutRequest { key: key.into(), value: i.to_string().into(), ..Default::default() };
        group.put(&r, &|_| true).expect("applied").expect("put");
        if i % 5 == 0 {
            let r = pb::DeleteRangeRequest { key: format!("k{}", i % 3).into(), ..Default::default() };
            group.delete_range(&r).expect("applied").expect("deleted");
        }
        group.commit().expect("committed");
    }
}

fn record(writer: &mut Writer, revision: i64) {
    let mut group = writer.begin();
    group.compact(revision).expect("applied").expect("recorded");
    group.commit().expect("committed");
}

fn rows(engine: &dyn Engine, family: Family) -> usize {
    let mut rows = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    engine.snapshot().scan(family, &[], None, Direction::Ascending, &mut count).expect("scanned");
    rows
}

/// What must be the same at every stage: each readable revision's list, its hash, and the events from it.
fn fingerprint(mvcc: &Mvcc) -> Vec<(i64, u32, usize, String)> {
    mvcc.read(|view| {
        let of = |revision| {
            let r = pb::RangeRequest { key: "k".into(), range_end: "l".into(), revision, ..Default::default() };
            let listed = format!("{:?}", view.range(&r).expect("readable"));
            let events = view.events(revision, usize::MAX, usize::MAX).expect("readable");
            (revision, view.hash_kv(revision).expect("readable").hash, events.len(), listed)
        };
        (view.compact_revision()..=view.revision()).map(of).collect()
    })
}

/// etcd issue 17780: a crash within a compaction must neither lose revisions nor change what is readable.
#[test]
fn a_compaction_cut_at_any_step_is_taken_up_and_changes_nothing_that_is_readable() {
    for flush in [false, true] {
        for cut in 0..40 {
            let engine = Arc::new(MemEngine::new());
            let (mvcc, mut writer) = Mvcc::open(engine.clone(), config()).expect("opens");
            fill(&mut writer, 30);
            record(&mut writer, 12);
            compact::run_to_end(&mvcc.shared).expect("a first one is done");
            record(&mut writer, 25);
            engine.flush().expect("flushed");
            let (newest, before) = (mvcc.revision(), fingerprint(&mvcc));
            let mut done = false;
            for _ in 0..cut {
                match compact::step(&mvcc.shared).expect("stepped") {
                    Step::More => {}
                    Step::Drain(draining) => compact::remove(&mvcc.shared, &draining).expect("removed"),
                    Step::Idle => done = true,
                }
                assert_eq!(fingerprint(&mvcc), before, "half done, at {cut}");
            }
            if flush {
                engine.flush().expect("flushed");
            }
            engine.crash();
            let (mvcc, mut writer) = Mvcc::open(engine.clone(), config()).expect("opens");
            assert_eq!((mvcc.revision(), mvcc.compact_revision()), (newest, 25));
            assert_eq!(fingerprint(&mvcc), before, "after a crash at {cut}, flushed {flush}");
            compact::run_to_end(&mvcc.shared).expect("taken up");
            assert_eq!(fingerprint(&mvcc), before, "taken up at {cut}, flushed {flush}");
            assert!(rows(&*engine, Family::History) < 40, "rows are gone");
            fill(&mut writer, 5);
            fingerprint(&mvcc);
            if done {
                break;
            }
            assert!(cut < 39, "the compaction ends");
        }
    }
}

#[test]
fn removal_leaves_no_row_that_no_readable_revision_needs() {
    let engine = Arc::new(MemEngine::new());
    let (mvcc, mut writer) = Mvcc::open(engine.clone(), config()).expect("opens");
    for round in 0..6 {
        fill(&mut writer, 20);
        let newest = writer.revision();
        // One that is overtaken by the next before it has begun, and one that is not.
        record(&mut writer, if round % 2 == 1 { newest } else { newest - 10 });
        if round % 2 == 0 {
            compact::run_to_end(&mvcc.shared).expect("removed");
        }
    }
    let r = pb::DeleteRangeRequest { key: "k".into(), range_end: "l".into(), prev_kv: false };
    let mut group = writer.begin();
    group.delete_range(&r).expect("applied").expect("deleted");
    group.commit().expect("committed");
    fill(&mut writer, 2);
    let newest = writer.revision();
    record(&mut writer, newest);
    compact::run_to_end(&mvcc.shared).expect("removed");
    assert_eq!(rows(&*engine, Family::Latest), 1, "k1 was put after k0 came and went");
    assert_eq!(rows(&*engine, Family::Base), 0, "nothing has changed since");
    assert_eq!(rows(&*engine, Family::Graves), 0, "all were dug below the compact revision");
    assert_eq!(rows(&*engine, Family::History), 1, "the compact revision itself");
}

#[tokio::test]
async fn rows_stay_until_readers_that_began_before_have_ended() {
    let engine = Arc::new(MemEngine::new());
    let (mvcc, mut writer) = Mvcc::open(engine, Config::default()).expect("opens");
    fill(&mut writer, 20);
    let shutdown = CancellationToken::new();
    let service = tokio::spawn(mvcc.compactor().run(shutdown.clone()));
    let (opened, is_open) = mpsc::sync_channel(1);
    let (go_on, told) = mpsc::sync_channel::<()>(1);
    let reader = std::thread::spawn({
        let mvcc = mvcc.clone();
        move || {
            mvcc.read(|view| {
                opened.send(()).expect("awaited");
                told.recv().expect("told");
                let r = pb::RangeRequest { key: "k1".into(), revision: 4, ..Default::default() };
                (view.range(&r).expect("still readable").count, view.events(1, 99, 9999).expect("readable").len())
            })
        }
    });
    is_open.recv().expect("opened");
    record(&mut writer, 15);
    let early = tokio::time::timeout(Duration::from_millis(100), mvcc.physical_done(15)).await;
    assert!(early.is_err(), "a reader is left");
    go_on.send(()).expect("waits");
    assert_eq!(reader.join().expect("read"), (1, writer.revision() as usize - 1));
    tokio::time::timeout(Duration::from_secs(20), mvcc.physical_done(15)).await.expect("removed");
    shutdown.cancel();
    service.await.expect("joined").expect("ended well");
}
