//! etcd's rules one by one, and the lessons that others learned, which are named in brackets.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_proto::etcd::mvccpb;
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use fairlead_proto::served::etcdserverpb::request_op::Request;
use fairlead_proto::served::etcdserverpb::response_op::Response;
use prost::Message;

use super::{Config, Error, Group, Mvcc, Writer, compact};
use crate::apply::Refusal;
use crate::engine::Engine;
use crate::engine::mem::MemEngine;
use crate::engine::rocks::{self, RocksEngine};

fn open() -> (Mvcc, Writer) {
    Mvcc::open(Arc::new(MemEngine::new()), Config::default()).expect("opens")
}

fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

fn delete(key: &str, range_end: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), prev_kv: true }
}

fn range(key: &str, range_end: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..Default::default() }
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn is(target: CompareTarget, key: &str, with: TargetUnion) -> pb::Compare {
    pb::Compare { target: target as i32, key: key.to_owned().into(), target_union: Some(with), ..Default::default() }
}

fn lease_7(id: i64) -> bool {
    id == 7
}

/// One group with whatever `change` does; the revision after it.
fn apply<T>(writer: &mut Writer, change: impl FnOnce(&mut Group<'_>) -> T) -> (T, i64) {
    let mut group = writer.begin();
    let came = change(&mut group);
    group.commit().expect("committed");
    (came, writer.revision())
}

fn do_put(writer: &mut Writer, r: &pb::PutRequest) -> Result<pb::PutResponse, Refusal> {
    apply(writer, |group| group.put(r, &lease_7).expect("applied")).0
}

fn do_txn(writer: &mut Writer, r: &pb::TxnRequest) -> Result<pb::TxnResponse, Refusal> {
    apply(writer, |group| group.txn(r, &lease_7).expect("applied")).0
}

fn do_compact(writer: &mut Writer, revision: i64) -> Result<(), Refusal> {
    apply(writer, |group| group.compact(revision).expect("applied")).0
}

fn kvs(mvcc: &Mvcc, r: &pb::RangeRequest) -> Vec<mvccpb::KeyValue> {
    let ranged = mvcc.read(|view| view.range(r)).expect("readable");
    ranged.kvs.into_iter().map(|kv| mvccpb::KeyValue::decode(kv.0).expect("a record")).collect()
}

fn keys(mvcc: &Mvcc, r: &pb::RangeRequest) -> Vec<String> {
    kvs(mvcc, r).into_iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
}

#[test]
fn a_revision_rises_by_one_for_what_changes_something_and_not_else() {
    let (mvcc, mut writer) = open();
    assert_eq!((mvcc.revision(), mvcc.compact_revision()), (1, -1));
    do_put(&mut writer, &put("a", "1")).expect("put");
    assert_eq!(writer.revision(), 2);
    do_put(&mut writer, &put("a", "1")).expect("the same value is a change too");
    assert_eq!(writer.revision(), 3);
    let (gone, revision) = apply(&mut writer, |g| g.delete_range(&delete("x", "z")).expect("applied"));
    assert_eq!((gone.expect("answered").deleted, revision), (0, 3));
    let reading = pb::TxnRequest { success: vec![op(Request::RequestRange(range("a", "")))], ..Default::default() };
    do_txn(&mut writer, &reading).expect("run");
    assert_eq!(writer.revision(), 3);
    let three = pb::TxnRequest {
        success: vec![
            op(Request::RequestPut(put("b", "1"))),
            op(Request::RequestPut(put("c", "1"))),
            op(Request::RequestDeleteRange(delete("a", ""))),
        ],
        ..Default::default()
    };
    do_txn(&mut writer, &three).expect("run");
    assert_eq!(writer.revision(), 4);
    assert!(kvs(&mvcc, &range("b", "d")).iter().all(|kv| kv.mod_revision == 4));
}

#[test]
fn a_put_after_a_delete_starts_anew() {
    let (mvcc, mut writer) = open();
    let header = |mvcc: &Mvcc| {
        let kv = kvs(mvcc, &range("a", "")).remove(0);
        (kv.create_revision, kv.mod_revision, kv.version)
    };
    for expected in [(2, 2, 1), (2, 3, 2)] {
        do_put(&mut writer, &put("a", "1")).expect("put");
        assert_eq!(header(&mvcc), expected);
    }
    apply(&mut writer, |g| g.delete_range(&delete("a", "")).expect("applied").expect("deleted"));
    do_put(&mut writer, &put("a", "1")).expect("put");
    assert_eq!(header(&mvcc), (5, 5, 1));
}

/// a@2 b@3 c@4 d@5, then a@6: mod order b c d a, and a has version 2.
fn four_keys() -> (Mvcc, Writer) {
    let (mvcc, mut writer) = open();
    for (key, value) in [("a", "4"), ("b", "3"), ("c", "2"), ("d", "1"), ("a", "0")] {
        do_put(&mut writer, &put(key, value)).expect("put");
    }
    (mvcc, writer)
}

#[test]
fn range_options_do_what_etcd_says() {
    let (mvcc, _writer) = four_keys();
    let all = || range("a", "\0");
    for (name, r, expected, more, count) in [
        ("one key", range("b", ""), &["b"][..], false, 1),
        ("half-open", range("b", "d"), &["b", "c"], false, 2),
        ("from a key on", range("c", "\0"), &["c", "d"], false, 2),
        ("everything", range("\0", "\0"), &["a", "b", "c", "d"], false, 4),
        ("end before the key", range("c", "b"), &[], false, 0),
        ("limit", pb::RangeRequest { limit: 2, ..all() }, &["a", "b"], true, 4),
        ("limit that is just enough", pb::RangeRequest { limit: 4, ..all() }, &["a", "b", "c", "d"], false, 4),
        ("negative limit", pb::RangeRequest { limit: -1, ..all() }, &["a", "b", "c", "d"], false, 4),
        ("count only", pb::RangeRequest { count_only: true, limit: 1, ..all() }, &[], false, 4),
        ("keys descending", pb::RangeRequest { sort_order: 2, limit: 1, ..all() }, &["d"], true, 4),
        ("by mod revision", pb::RangeRequest { sort_target: 3, ..all() }, &["b", "c", "d", "a"], false, 4),
        ("by value, cut before", pb::RangeRequest { sort_target: 4, limit: 2, ..all() }, &["a", "c"], true, 4),
        (
            "by value ascending, cut after",
            pb::RangeRequest { sort_target: 4, sort_order: 1, limit: 2, ..all() },
            &["a", "d"],
            true,
            4,
        ),
        (
            "by version, descending",
            pb::RangeRequest { sort_target: 1, sort_order: 2, limit: 1, ..all() },
            &["a"],
            true,
            4,
        ),
        ("mod revision at least", pb::RangeRequest { min_mod_revision: 5, ..all() }, &["a", "d"], false, 4),
        ("mod revision at most", pb::RangeRequest { max_mod_revision: 4, limit: 1, ..all() }, &["b"], true, 4),
        ("created at least", pb::RangeRequest { min_create_revision: 4, ..all() }, &["c", "d"], false, 4),
        ("created at most", pb::RangeRequest { max_create_revision: 2, ..all() }, &["a"], false, 4),
        ("an older revision", pb::RangeRequest { revision: 3, ..all() }, &["a", "b"], false, 2),
        ("before everything", pb::RangeRequest { revision: 1, ..all() }, &[], false, 0),
        ("a negative revision is now", pb::RangeRequest { revision: -9, ..all() }, &["a", "b", "c", "d"], false, 4),
    ] {
        assert_eq!(keys(&mvcc, &r), expected, "{name}");
        let ranged = mvcc.read(|view| view.range(&r)).expect("readable");
        assert_eq!((ranged.more, ranged.count), (more, count), "{name}");
    }
    let future = mvcc.read(|view| view.range(&pb::RangeRequest { revision: 7, ..all() }));
    assert!(matches!(future, Err(Error::FutureRevision)));
}

#[test]
fn keys_only_has_neither_value_nor_lease_unless_sorted_by_value() {
    let (mvcc, mut writer) = open();
    do_put(&mut writer, &pb::PutRequest { lease: 7, ..put("a", "1") }).expect("put");
    for (sort_target, lease) in [(0, 0), (3, 0), (4, 7)] {
        let r = pb::RangeRequest { keys_only: true, sort_target, ..range("a", "b") };
        let found = kvs(&mvcc, &r).remove(0);
        assert_eq!((&found.value[..], found.lease, found.version), (&b""[..], lease, 1), "{sort_target}");
    }
}

#[test]
fn compares_follow_etcd_for_missing_keys_ranges_and_other_unions() {
    let (_mvcc, mut writer) = four_keys();
    let number = TargetUnion::Version;
    let greater = |c: pb::Compare| pb::Compare { result: CompareResult::Greater as i32, ..c };
    let over = |c: pb::Compare, end: &str| pb::Compare { range_end: end.to_owned().into(), ..c };
    for (name, compare, expected) in [
        ("version", is(CompareTarget::Version, "a", number(2)), true),
        ("created", is(CompareTarget::Create, "a", TargetUnion::CreateRevision(2)), true),
        ("modified", is(CompareTarget::Mod, "a", TargetUnion::ModRevision(6)), true),
        ("value", is(CompareTarget::Value, "a", TargetUnion::Value("0".into())), true),
        ("lease", is(CompareTarget::Lease, "a", TargetUnion::Lease(0)), true),
        ("a missing key has version 0", is(CompareTarget::Version, "x", number(0)), true),
        ("a missing key has no value", is(CompareTarget::Value, "x", TargetUnion::Value(Bytes::new())), false),
        ("every key of a range", over(greater(is(CompareTarget::Version, "a", number(0))), "e"), true),
        ("one key of a range does not", over(greater(is(CompareTarget::Version, "a", number(1))), "e"), false),
        ("an empty range is a missing key", over(is(CompareTarget::Version, "x", number(0)), "z"), true),
        ("another union counts as 0", is(CompareTarget::Version, "a", TargetUnion::Lease(2)), false),
    ] {
        let r = pb::TxnRequest { compare: vec![compare], ..Default::default() };
        assert_eq!(do_txn(&mut writer, &r).expect("run").succeeded, expected, "{name}");
    }
}

/// [txn_reads_own_writes] [txn_answer_kinds]
#[test]
fn a_txn_reads_its_own_writes_compares_the_state_before_and_answers_by_position() {
    let (_mvcc, mut writer) = open();
    do_put(&mut writer, &put("a", "1")).expect("put");
    let was_there = is(CompareTarget::Version, "a", TargetUnion::Version(1));
    let inner = pb::TxnRequest {
        compare: vec![was_there.clone()],
        success: vec![op(Request::RequestPut(put("inner", "1")))],
        ..Default::default()
    };
    let r = pb::TxnRequest {
        compare: vec![was_there],
        success: vec![
            op(Request::RequestDeleteRange(delete("a", ""))),
            op(Request::RequestRange(range("a", "z"))),
            op(Request::RequestPut(put("b", "2"))),
            op(Request::RequestRange(range("a", "z"))),
            op(Request::RequestTxn(inner)),
            op(Request::RequestRange(pb::RangeRequest { revision: 2, ..range("a", "z") })),
        ],
        failure: vec![],
    };
    let response = do_txn(&mut writer, &r).expect("run");
    assert!(response.succeeded && response.header.is_none());
    let mut answers = response.responses.into_iter().map(|r| r.response.expect("answered"));
    let mut next = || answers.next().expect("one for each operation");
    let revision = |header: Option<pb::ResponseHeader>| header.expect("there").revision;
    let Response::ResponseDeleteRange(deleted) = next() else { panic!("a delete first") };
    assert_eq!((deleted.deleted, deleted.prev_kvs.len(), revision(deleted.header)), (1, 1, 3));
    let Response::ResponseRange(empty) = next() else { panic!("a range second") };
    assert_eq!((empty.count, revision(empty.header)), (0, 3));
    let Response::ResponsePut(put) = next() else { panic!("a put third") };
    assert_eq!(revision(put.header), 3);
    let Response::ResponseRange(own) = next() else { panic!("a range fourth") };
    assert_eq!(own.count, 1, "its own put");
    let Response::ResponseTxn(inner) = next() else { panic!("a transaction fifth") };
    assert!(inner.succeeded, "a nested compare sees the state before the outer delete");
    assert_eq!(revision(inner.header), 0);
    let Response::ResponseRange(old) = next() else { panic!("a range last") };
    assert_eq!(old.count, 1, "the revision before still has a");
}

#[test]
fn a_refused_txn_leaves_no_effect() {
    let (mvcc, mut writer) = four_keys();
    do_compact(&mut writer, 3).expect("recorded");
    let first = || op(Request::RequestPut(put("new", "1")));
    let range_at = |revision| op(Request::RequestRange(pb::RangeRequest { revision, ..range("a", "") }));
    let ignoring = pb::PutRequest { ignore_value: true, ..put("missing", "") };
    let nested = pb::TxnRequest {
        success: vec![op(Request::RequestPut(pb::PutRequest { lease: 9, ..put("b", "1") }))],
        ..Default::default()
    };
    for (name, second, expected) in [
        ("no such key", op(Request::RequestPut(ignoring)), Refusal::KeyNotFound),
        ("no such lease, nested", op(Request::RequestTxn(nested)), Refusal::LeaseNotFound),
        ("compacted", range_at(2), Refusal::Compacted),
        ("negative is compacted within a transaction", range_at(-7), Refusal::Compacted),
        ("the future, which its own revision is too", range_at(7), Refusal::FutureRevision),
    ] {
        let r = pb::TxnRequest { success: vec![first(), second], ..Default::default() };
        assert_eq!(do_txn(&mut writer, &r), Err(expected), "{name}");
        assert_eq!((writer.revision(), keys(&mvcc, &range("new", "")).len()), (6, 0), "{name}");
    }
}

#[test]
fn leases_follow_their_keys() {
    let (mvcc, mut writer) = open();
    let attached = |mvcc: &Mvcc| mvcc.read(|view| view.lease_keys(7)).expect("read");
    let with_lease = |key| pb::PutRequest { lease: 7, ..put(key, "1") };
    assert_eq!(do_put(&mut writer, &pb::PutRequest { lease: 8, ..put("a", "") }), Err(Refusal::LeaseNotFound));
    for key in ["c", "a", "b"] {
        do_put(&mut writer, &with_lease(key)).expect("put");
    }
    assert_eq!(attached(&mvcc), ["a", "b", "c"]);
    do_put(&mut writer, &put("a", "2")).expect("lease 0 detaches");
    do_put(&mut writer, &pb::PutRequest { ignore_lease: true, ..put("b", "2") }).expect("keeps it");
    assert_eq!(attached(&mvcc), ["b", "c"]);
    let before = writer.revision();
    let (deleted, revision) = apply(&mut writer, |g| {
        g.put(&with_lease("d"), &lease_7).expect("applied").expect("put");
        g.delete_range(&delete("c", "")).expect("applied").expect("deleted");
        g.revoke(7).expect("applied")
    });
    assert_eq!((deleted, revision), (2, before + 3), "b and d in one revision; c was gone in the same group");
    assert_eq!((attached(&mvcc).len(), keys(&mvcc, &range("a", "z"))), (0, vec!["a".to_owned()]));
}

#[test]
fn ignore_value_and_ignore_lease_need_the_key_and_keep_what_it_has() {
    let (mvcc, mut writer) = open();
    let keep_value = pb::PutRequest { ignore_value: true, ..put("a", "") };
    assert_eq!(do_put(&mut writer, &keep_value), Err(Refusal::KeyNotFound));
    do_put(&mut writer, &pb::PutRequest { lease: 7, ..put("a", "1") }).expect("put");
    do_put(&mut writer, &keep_value).expect("put");
    let found = kvs(&mvcc, &range("a", "")).remove(0);
    assert_eq!((&found.value[..], found.lease, found.version), (&b"1"[..], 0, 2));
}

#[test]
fn compaction_is_refused_at_or_below_the_last_and_above_the_newest() {
    let (mvcc, mut writer) = four_keys();
    assert_eq!(do_compact(&mut writer, -1), Err(Refusal::Compacted));
    do_compact(&mut writer, 0).expect("a first one at 0");
    assert_eq!(do_compact(&mut writer, 0), Err(Refusal::Compacted));
    assert_eq!(do_compact(&mut writer, 7), Err(Refusal::FutureRevision));
    do_compact(&mut writer, 5).expect("recorded");
    for (revision, readable) in [(4, false), (5, true), (6, true)] {
        let r = pb::RangeRequest { revision, ..range("a", "") };
        assert_eq!(mvcc.read(|view| view.range(&r)).is_ok(), readable, "range at {revision}");
        assert_eq!(mvcc.read(|view| view.events(revision, 9, 9)).is_ok(), readable, "events from {revision}");
        assert_eq!(mvcc.read(|view| view.hash_kv(revision)).is_ok(), readable, "hash at {revision}");
    }
}

/// etcd issues 18089 and 19179.
#[test]
fn a_delete_at_the_compact_revision_is_still_an_event_after_removal() {
    let (mvcc, mut writer) = four_keys();
    apply(&mut writer, |g| g.delete_range(&delete("b", "")).expect("applied").expect("deleted"));
    do_compact(&mut writer, 7).expect("recorded");
    compact::run_to_end(&mvcc.shared).expect("removed");
    let events = mvcc.read(|view| view.events(7, 9, 999)).expect("readable");
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].revision, &events[0].events[0].key[..]), (7, &b"b"[..]));
    do_put(&mut writer, &put("x", "1")).expect("put");
    do_compact(&mut writer, 8).expect("recorded");
    compact::run_to_end(&mvcc.shared).expect("removed");
    let first = mvcc.read(|view| view.events(8, 9, 999)).expect("readable").remove(0);
    assert_eq!(first.revision, 8, "gone with the next");
}

#[test]
fn keys_made_anew_under_a_range_tombstone_are_there_at_each_boundary() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Arc::new(RocksEngine::open(folder.path(), &rocks::Config::default()).expect("opens"));
    let (mvcc, mut writer) = Mvcc::open(engine.clone(), Config::default()).expect("opens");
    let key = |i: u32| format!("k{i:04}");
    apply(&mut writer, |g| {
        (0..300).for_each(|i| drop(g.put(&put(&key(i), "old"), &lease_7).expect("applied")));
    });
    engine.flush().expect("flushed");
    let boundaries = [99, 100, 101, 199, 200, 201];
    for (round, flush) in [(0, false), (1, true), (2, false)] {
        let before = writer.revision();
        let (deleted, _) = apply(&mut writer, |g| {
            let gone = g.delete_range(&delete(&key(100), &key(200))).expect("applied").expect("deleted");
            // Anew in the same group, and so in the same batch.
            g.put(&put(&key(100), "new"), &lease_7).expect("applied").expect("put");
            g.put(&put(&key(199), "new"), &lease_7).expect("applied").expect("put");
            gone.deleted
        });
        assert_eq!(deleted, if round == 0 { 100 } else { 4 });
        if flush {
            engine.flush().expect("flushed");
        }
        apply(&mut writer, |g| {
            for i in [101, 150] {
                g.put(&put(&key(i), "later"), &lease_7).expect("applied").expect("put");
            }
        });
        let there = keys(&mvcc, &range("k0099", "k0202"));
        let expected: Vec<String> = [99, 100, 101, 150, 199, 200, 201].map(key).into();
        assert_eq!(there, expected, "round {round}");
        for i in boundaries {
            assert_eq!(kvs(&mvcc, &range(&key(i), "")).len(), 1, "{i} in round {round}");
        }
        let old = pb::RangeRequest { revision: before, count_only: true, ..range("k0099", "k0202") };
        let count = mvcc.read(|view| view.range(&old)).expect("readable").count;
        assert_eq!(count, if round == 0 { 103 } else { 7 }, "before round {round}");
    }
    let reversed = pb::RangeRequest { sort_order: 2, limit: 2, ..range("k0100", "k0200") };
    assert_eq!(keys(&mvcc, &reversed), [key(199), key(150)]);
}

/// [list_then_watch]
#[test]
fn a_list_and_the_events_after_it_miss_and_repeat_nothing_while_others_write() {
    let (mvcc, mut writer) = open();
    assert!(super::count::build_fences(&mvcc.shared).expect("built"));
    let writing = std::thread::spawn(move || {
        for i in 0..600 {
            apply(&mut writer, |g| {
                g.put(&put(&format!("k{}", i % 50), &i.to_string()), &lease_7).expect("applied").expect("put");
                if i % 3 == 0 {
                    let gone = delete(&format!("k{}", i % 7), "");
                    g.delete_range(&gone).expect("applied").expect("deleted");
                }
            });
        }
    });
    let everything = range("k", "l");
    let replay = |from: i64| {
        let (ranged, listed_at) = mvcc.read(|view| (view.range(&everything).expect("readable"), view.revision()));
        assert!(listed_at >= from);
        let mut keys: std::collections::BTreeMap<Bytes, Bytes> = Default::default();
        for kv in ranged.kvs {
            let kv = mvccpb::KeyValue::decode(kv.0).expect("a record");
            keys.insert(kv.key, kv.value);
        }
        let (events, then, at) = mvcc.read(|view| {
            let count_only = pb::RangeRequest { count_only: true, ..everything.clone() };
            assert_eq!(
                view.range(&count_only).expect("readable").count,
                view.range(&everything).expect("readable").count
            );
            let events = view.events(listed_at + 1, usize::MAX, usize::MAX).expect("readable");
            (events, view.range(&everything).expect("readable"), view.revision())
        });
        let revisions: Vec<i64> = events.iter().map(|r| r.revision).collect();
        assert_eq!(revisions, (listed_at + 1..=at).collect::<Vec<_>>());
        for event in events.into_iter().flat_map(|r| r.events) {
            let kv = mvccpb::Event::decode(event.encoded).expect("an event").kv.expect("a record");
            match event.kind {
                crate::watch::Kind::Delete => keys.remove(&kv.key),
                crate::watch::Kind::Put { .. } => keys.insert(kv.key, kv.value),
            };
        }
        let now = then.kvs.into_iter().map(|kv| mvccpb::KeyValue::decode(kv.0).expect("a record"));
        assert!(now.map(|kv| (kv.key, kv.value)).eq(keys), "list at {listed_at} and events to {at}");
        at
    };
    let mut at = 1;
    while !writing.is_finished() {
        at = replay(at);
    }
    writing.join().expect("wrote");
    replay(at);
}

/// [install_reloads_counters]
#[test]
fn another_engine_brings_its_own_revision_counts_and_headers() {
    let (mvcc, mut writer) = four_keys();
    let other = Arc::new(MemEngine::new());
    {
        let (_, mut ahead) = Mvcc::open(other.clone(), Config::default()).expect("opens");
        for i in 0..10 {
            do_put(&mut ahead, &put("a", &i.to_string())).expect("put");
        }
        do_compact(&mut ahead, 5).expect("recorded");
    }
    assert!(super::count::build_fences(&mvcc.shared).expect("built"));
    mvcc.replace_engine(&mut writer, other).expect("replaced");
    assert_eq!((mvcc.revision(), mvcc.compact_revision(), writer.revision()), (11, 5, 11));
    assert_eq!(keys(&mvcc, &range("\0", "\0")), ["a"]);
    do_put(&mut writer, &put("a", "x")).expect("put");
    let found = kvs(&mvcc, &range("a", "")).remove(0);
    assert_eq!((found.create_revision, found.mod_revision, found.version), (2, 12, 11));
    let count = pb::RangeRequest { count_only: true, ..range("\0", "\0") };
    assert_eq!(mvcc.read(|view| view.range(&count)).expect("readable").count, 1);
    compact::run_to_end(&mvcc.shared).expect("the compaction that came along is finished");
}

/// [space_returns]
#[test]
fn compaction_gives_space_back_by_itself_and_defragment_lowers_the_account() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Arc::new(RocksEngine::open(folder.path(), &rocks::Config::default()).expect("opens"));
    let (mvcc, mut writer) = Mvcc::open(engine.clone(), Config::default()).expect("opens");
    let mut random: u64 = 7;
    let mut noise = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{random:020}")
    };
    for _ in 0..200 {
        apply(&mut writer, |g| {
            for i in 0..20 {
                let value: String = (0..50).map(|_| noise()).collect();
                g.put(&put(&format!("k{i}"), &value), &lease_7).expect("applied").expect("put");
            }
        });
    }
    engine.flush().expect("flushed");
    let (full, account) = (engine.disk_bytes(), mvcc.sizes());
    assert!(account.in_use > 200 * 20 * 1000 && account.total == account.in_use);
    let newest = writer.revision();
    do_compact(&mut writer, newest).expect("recorded");
    compact::run_to_end(&mvcc.shared).expect("removed");
    let after = mvcc.sizes();
    assert!(after.in_use < account.in_use / 50, "{after:?}");
    assert_eq!(after.total, account.total, "the file has not shrunk");
    mvcc.defragmented();
    assert_eq!(mvcc.sizes().total, after.in_use);
    do_put(&mut writer, &put("k0", "small")).expect("put");
    assert_eq!(mvcc.sizes().total, mvcc.sizes().in_use);
    // RocksDB's own threads do the rest, and have no event for it.
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while engine.disk_bytes() >= full / 10 {
        assert!(std::time::Instant::now() < give_up, "{} of {full}", engine.disk_bytes());
        std::thread::yield_now();
    }
}
