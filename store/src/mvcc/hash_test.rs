//! The hash against a real etcd's.

use std::sync::Arc;

use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::etcdserverpb::request_op::Request;

use super::{Config, Mvcc, Writer, compact};
use crate::engine::mem::MemEngine;

fn put(writer: &mut Writer, key: &'static str, value: impl Into<bytes::Bytes>, lease: i64) {
    let mut group = writer.begin();
    let r = pb::PutRequest { key: key.into(), value: value.into(), lease, ..Default::default() };
    group.put(&r, &|_| true).expect("applied").expect("put");
    group.commit().expect("committed");
}

fn delete(writer: &mut Writer, key: &'static str, range_end: &'static str) {
    let mut group = writer.begin();
    let r = pb::DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false };
    group.delete_range(&r).expect("applied").expect("deleted");
    group.commit().expect("committed");
}

fn three_changes_at_once(writer: &mut Writer) {
    let put = |key: &'static str, value: &'static str| {
        Request::RequestPut(pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() })
    };
    let delete = pb::DeleteRangeRequest { key: "a".into(), range_end: "b".into(), prev_kv: false };
    let success = [put("c", "c"), put("d", ""), Request::RequestDeleteRange(delete)];
    let success = success.into_iter().map(|r| pb::RequestOp { request: Some(r) }).collect();
    let mut group = writer.begin();
    let r = pb::TxnRequest { success, ..Default::default() };
    group.txn(&r, &|_| true).expect("applied").expect("run");
    group.commit().expect("committed");
}

/// (compact revision, (revision, hash) …) of etcd 3.4.23 after the same operations, compacted physically each time. Taken
/// with `etcdctl endpoint hashkv --rev N`.
const OF_ETCD: [(i64, &[(i64, u32)]); 4] = [
    (
        -1,
        &[
            (2, 2_587_454_935),
            (3, 1_848_723_582),
            (4, 2_719_140_733),
            (5, 4_179_884_692),
            (6, 1_002_188_196),
            (7, 4_223_550_765),
            (8, 3_590_486_339),
            (9, 868_989_671),
            (10, 2_171_593_121),
            (11, 466_425_301),
        ],
    ),
    (
        5,
        &[
            (6, 3_397_902_955),
            (7, 953_880_807),
            (8, 1_725_795_908),
            (9, 3_294_357_377),
            (10, 4_190_057_041),
            (11, 2_860_970_193),
        ],
    ),
    (8, &[(9, 3_011_220_132), (10, 1_806_709_676), (11, 2_526_545_684)]),
    (10, &[(11, 235_557_134)]),
];

#[test]
fn the_hash_is_etcds_before_and_after_removal() {
    let (mvcc, mut writer) = Mvcc::open(Arc::new(MemEngine::new()), Config::default()).expect("opens");
    put(&mut writer, "a", "1", 0);
    put(&mut writer, "b", "2", 7);
    put(&mut writer, "a", "3", 0);
    delete(&mut writer, "b", "");
    three_changes_at_once(&mut writer);
    put(&mut writer, "b", "4", 0);
    delete(&mut writer, "c", "e");
    put(&mut writer, "e", "v".repeat(300), 0);
    delete(&mut writer, "e", "");
    put(&mut writer, "f", "f", 7);
    for (compact, expected) in OF_ETCD {
        if compact > 0 {
            let mut group = writer.begin();
            group.compact(compact).expect("applied").expect("recorded");
            group.commit().expect("committed");
        }
        let check = |when: &str| {
            for (revision, hash) in expected {
                let hashed = mvcc.read(|view| view.hash_kv(*revision)).expect("readable");
                assert_eq!(hashed.hash, *hash, "at {revision}, compacted at {compact}, {when} removal");
                assert_eq!((hashed.compact_revision, hashed.hash_revision), (compact, *revision));
            }
        };
        check("before");
        compact::run_to_end(&mvcc.shared).expect("removed");
        check("after");
    }
}
