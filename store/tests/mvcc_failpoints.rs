//! Crashes at MVCC's named failpoints: `cargo test -p fairlead-store --features failpoints --test mvcc_failpoints`.
//!
//! One test in a binary of its own, for failpoints are the process's.
#![cfg(feature = "failpoints")]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fairlead_proto::served::etcdserverpb as pb;
use fairlead_store::engine::Engine;
use fairlead_store::engine::mem::MemEngine;
use fairlead_store::mvcc::{Config, Hashed, Mvcc, Writer};
use tokio_util::sync::CancellationToken;

fn put(writer: &mut Writer, key: String) {
    let mut group = writer.begin();
    let r = pb::PutRequest { key: key.into(), value: "v".into(), ..Default::default() };
    group.put(&r, &|_| true).expect("applied").expect("put");
    group.commit().expect("committed");
}

fn compact(writer: &mut Writer, revision: i64) {
    let mut group = writer.begin();
    group.compact(revision).expect("applied").expect("recorded");
    group.commit().expect("committed");
}

fn hashes(mvcc: &Mvcc) -> Vec<Hashed> {
    let first = mvcc.compact_revision();
    (first..=mvcc.revision()).map(|at| mvcc.read(|view| view.hash_kv(at)).expect("readable")).collect()
}

/// Runs the compactor until the compaction is done or it panics.
fn run_compactor(mvcc: &Mvcc, revision: i64) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let shutdown = CancellationToken::new();
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            tokio::select! {
                result = mvcc.compactor().run(shutdown.clone()) => result.expect("ends only by a panic"),
                () = mvcc.physical_done(revision) => {}
            }
        });
    }));
    ended.is_ok()
}

#[test]
fn a_crash_at_each_failpoint_loses_no_revision_and_changes_no_hash() {
    let scenario = fail::FailScenario::setup();
    for flush in [false, true] {
        for point in [
            "compactBeforeCommitBatch",
            "compactAfterCommitBatch",
            "compactBeforeSetFinishedCompact",
            "compactAfterSetFinishedCompact",
        ] {
            let engine = Arc::new(MemEngine::new());
            let config = Config { compact_step_rows_max: 3, ..Config::default() };
            let (mvcc, mut writer) = Mvcc::open(engine.clone(), config.clone()).expect("opens");
            (0..20).for_each(|i| put(&mut writer, format!("k{}", i % 4)));
            compact(&mut writer, 14);
            engine.flush().expect("flushed");
            let before = hashes(&mvcc);
            fail::cfg(point, "panic").expect("armed");
            assert!(!run_compactor(&mvcc, 14), "{point} is passed");
            fail::remove(point);
            if flush {
                engine.flush().expect("flushed");
            }
            engine.crash();
            let (mvcc, writer) = Mvcc::open(engine.clone(), config).expect("opens");
            assert_eq!((mvcc.revision(), mvcc.compact_revision()), (21, 14), "{point}");
            assert_eq!(hashes(&mvcc), before, "{point}");
            assert!(run_compactor(&mvcc, 14), "{point}: taken up");
            assert_eq!(hashes(&mvcc), before, "{point}");
            drop(writer);
        }
    }
    for (point, revision) in [("beforeCommit", 2), ("afterCommit", 3)] {
        let engine = Arc::new(MemEngine::new());
        let (_, mut writer) = Mvcc::open(engine.clone(), Config::default()).expect("opens");
        put(&mut writer, "a".to_owned());
        fail::cfg(point, "panic").expect("armed");
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| put(&mut writer, "b".to_owned())));
        assert!(ended.is_err());
        fail::remove(point);
        drop(writer);
        let (mvcc, _) = Mvcc::open(engine, Config::default()).expect("opens");
        assert_eq!(mvcc.revision(), revision, "{point}");
    }
    scenario.teardown();
}
