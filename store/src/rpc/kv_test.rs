//! KV on a cluster of one: headers, barriers, what costs a log entry, and what is refused with which text.

use fairlead_proto::etcd::mvccpb;
use fairlead_proto::served::etcdserverpb as pb;
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;

use super::*;
use crate::raft::Unserved;
use crate::rpc::testing::{CLUSTER, MEMBER, Single, context, context_with};

fn service() -> (KvService, std::sync::Arc<Single>) {
    let (ctx, single) = context();
    (KvService::new(ctx), single)
}

fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

fn all() -> pb::RangeRequest {
    pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() }
}

fn keys(kvs: &[fairlead_proto::encoded::KeyValue]) -> Vec<String> {
    let key = |kv: &fairlead_proto::encoded::KeyValue| mvccpb::KeyValue::decode(kv.0.clone()).unwrap().key;
    kvs.iter().map(|kv| String::from_utf8(key(kv).to_vec()).unwrap()).collect()
}

async fn fill(kv: &KvService, count: usize, value: &str) {
    for at in 0..count {
        kv.put(Request::new(put(&format!("k{at:04}"), value))).await.unwrap();
    }
}

fn assert_refused<T: std::fmt::Debug>(result: Result<Response<T>, Status>, code: Code, text: &str) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, text));
}

#[tokio::test]
async fn a_header_names_the_member_the_cluster_the_term_and_the_revision() {
    let (kv, _) = service();
    let header = |revision| pb::ResponseHeader { cluster_id: CLUSTER, member_id: MEMBER, revision, raft_term: 5 };
    let empty = spliced::gathered(kv.range(Request::new(all())).await.unwrap());
    assert_eq!((empty.header, empty.count), (Some(header(1)), 0));
    assert_eq!(kv.put(Request::new(put("a", "1"))).await.unwrap().into_inner().header, Some(header(2)));
    assert_eq!(kv.put(Request::new(put("a", "2"))).await.unwrap().into_inner().header, Some(header(3)));
    let old = spliced::gathered(kv.range(Request::new(pb::RangeRequest { revision: 2, ..all() })).await.unwrap());
    assert_eq!(old.header, Some(header(3)), "the store's revision and not the asked one");
    let nothing = pb::DeleteRangeRequest { key: "zz".into(), ..Default::default() };
    assert_eq!(kv.delete_range(Request::new(nothing)).await.unwrap().into_inner().header, Some(header(3)));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_just_started_holds_serializable_reads_until_it_has_caught_up() {
    let (ctx, _) = context();
    let kv = KvService::new(ctx.clone());
    let serializable = || kv.range(Request::new(pb::RangeRequest { serializable: true, ..all() }));
    ctx.hold_reads();
    let second = std::time::Duration::from_secs(1);
    assert!(tokio::time::timeout(second, serializable()).await.is_err(), "it waits");
    assert!(tokio::time::timeout(6 * second, serializable()).await.is_ok(), "but without a quorum not for ever");
    let again = tokio::time::Instant::now();
    serializable().await.unwrap();
    assert_eq!(again.elapsed(), std::time::Duration::ZERO, "the time is over for all that come later");
    ctx.hold_reads();
    let (held, ()) = tokio::join!(serializable(), async { ctx.recovered() });
    held.unwrap();
    assert!(tokio::time::timeout(second, serializable()).await.is_ok());
}

#[tokio::test]
async fn a_linearizable_read_passes_a_barrier_and_a_serializable_one_does_not() {
    let (kv, single) = service();
    kv.range(Request::new(all())).await.unwrap();
    assert_eq!(single.barriers(), 1);
    kv.range(Request::new(pb::RangeRequest { serializable: true, ..all() })).await.unwrap();
    assert_eq!(single.barriers(), 1);
    single.refuse(Some(Unserved::Timeout));
    assert_refused(kv.range(Request::new(all())).await, Code::Unavailable, "etcdserver: request timed out");
    kv.range(Request::new(pb::RangeRequest { serializable: true, ..all() })).await.unwrap();
    single.refuse(Some(Unserved::LeaderChanged));
    assert_refused(kv.range(Request::new(all())).await, Code::Unavailable, "etcdserver: leader changed");
}

#[tokio::test]
async fn a_txn_that_only_reads_costs_no_log_entry() {
    let (kv, single) = service();
    let range =
        |serializable| pb::RequestOp { request: Some(Op::RequestRange(pb::RangeRequest { serializable, ..all() })) };
    let txn = |success| Request::new(pb::TxnRequest { success, ..Default::default() });
    kv.txn(txn(vec![range(false)])).await.unwrap();
    assert_eq!((single.proposed(), single.barriers()), (0, 1));
    kv.txn(txn(vec![range(true)])).await.unwrap();
    kv.txn(txn(vec![])).await.unwrap();
    assert_eq!((single.proposed(), single.barriers()), (0, 1), "serializable, or empty: no barrier either");
    let put = pb::RequestOp { request: Some(Op::RequestPut(put("a", "1"))) };
    let response = kv.txn(txn(vec![put])).await.unwrap().into_inner();
    assert_eq!((single.proposed(), response.header.unwrap().revision), (1, 2));
}

#[test]
fn a_txn_that_nests_one_goes_through_the_log() {
    let nested = pb::RequestOp { request: Some(Op::RequestTxn(pb::TxnRequest::default())) };
    let txn = pb::TxnRequest { success: vec![nested], ..Default::default() };
    assert!(!is_read_only(&txn) && !is_serializable(&txn));
}

#[test]
fn only_reads_that_may_touch_many_keys_leave_the_runtime() {
    let prefix = pb::RangeRequest { key: "a".into(), range_end: "b".into(), ..Default::default() };
    let rows = [
        ("one key", pb::RangeRequest { key: "a".into(), ..Default::default() }, false),
        ("a prefix", prefix.clone(), true),
        ("a page", pb::RangeRequest { limit: 64, ..prefix.clone() }, false),
        ("a large page", pb::RangeRequest { limit: 65, ..prefix.clone() }, true),
        ("a count", pb::RangeRequest { limit: 1, count_only: true, ..prefix.clone() }, true),
        ("a filter", pb::RangeRequest { limit: 1, max_create_revision: 9, ..prefix.clone() }, true),
        ("a sort", pb::RangeRequest { limit: 1, sort_target: 2, ..prefix.clone() }, true),
        ("a reverse", pb::RangeRequest { limit: 1, sort_order: 2, ..prefix }, true),
    ];
    for (name, range, large) in rows {
        assert_eq!(is_large(&range, 64), large, "{name}");
    }
}

#[tokio::test]
async fn errors_have_etcds_codes_and_texts() {
    let (ctx, single) = context();
    let compactor = tokio::spawn(ctx.mvcc.compactor().run(ctx.shutdown.clone()));
    let kv = KvService::new(ctx.clone());
    kv.put(Request::new(put("a", "1"))).await.unwrap();
    let (invalid, range) = (Code::InvalidArgument, Code::OutOfRange);
    assert_refused(
        kv.range(Request::new(pb::RangeRequest::default())).await,
        invalid,
        "etcdserver: key is not provided",
    );
    assert_refused(kv.put(Request::new(put("", "1"))).await, invalid, "etcdserver: key is not provided");
    assert_refused(
        kv.delete_range(Request::new(pb::DeleteRangeRequest::default())).await,
        invalid,
        "etcdserver: key is not provided",
    );
    let unsorted = pb::RangeRequest { sort_order: 7, ..all() };
    assert_refused(kv.range(Request::new(unsorted)).await, invalid, "etcdserver: invalid sort option");
    let future = pb::RangeRequest { revision: 9, ..all() };
    let text = "etcdserver: mvcc: required revision is a future revision";
    assert_refused(kv.range(Request::new(future)).await, range, text);
    let compact = |revision| Request::new(pb::CompactionRequest { revision, physical: true });
    assert_refused(kv.compact(compact(9)).await, range, text);
    kv.compact(compact(2)).await.unwrap();
    let text = "etcdserver: mvcc: required revision has been compacted";
    assert_refused(kv.compact(compact(2)).await, range, text);
    kv.put(Request::new(put("a", "2"))).await.unwrap();
    kv.compact(compact(3)).await.unwrap();
    assert_refused(kv.range(Request::new(pb::RangeRequest { revision: 2, ..all() })).await, range, text);
    kv.range(Request::new(pb::RangeRequest { revision: 3, ..all() })).await.unwrap();
    let leased = pb::PutRequest { lease: 77, ..put("a", "1") };
    assert_refused(kv.put(Request::new(leased)).await, Code::NotFound, "etcdserver: requested lease not found");
    single.refuse(Some(Unserved::TooManyRequests));
    assert_refused(kv.put(Request::new(put("a", "1"))).await, Code::Unknown, "etcdserver: too many requests");
    ctx.shutdown.cancel();
    compactor.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_above_its_limit_is_refused_before_it_is_proposed() {
    let (ctx, single) = context_with(|parts| parts.limits.request_bytes_max = 100);
    let kv = KvService::new(ctx);
    kv.put(Request::new(put("k", &"v".repeat(95)))).await.unwrap();
    let large = kv.put(Request::new(put("k", &"v".repeat(96)))).await;
    assert_refused(large, Code::InvalidArgument, "etcdserver: request is too large");
    assert_eq!(single.proposed(), 1);
}

#[tokio::test]
async fn above_the_quota_the_alarm_is_raised_and_only_growth_is_refused() {
    let (ctx, single) = context_with(|parts| parts.quota = crate::quota::Quota::from_flag(21_500));
    let kv = KvService::new(ctx.clone());
    let text = "etcdserver: mvcc: database space exceeded";
    kv.put(Request::new(put("k", &"v".repeat(300)))).await.unwrap();
    assert!(!ctx.alarms.no_space());
    assert_refused(kv.put(Request::new(put("k", &"v".repeat(500)))).await, Code::ResourceExhausted, text);
    assert!(ctx.alarms.is_active(MEMBER, pb::AlarmType::Nospace));
    let proposed = single.proposed();
    assert_refused(kv.put(Request::new(put("k", "v"))).await, Code::ResourceExhausted, text);
    let grows = pb::RequestOp { request: Some(Op::RequestPut(put("k", "v"))) };
    let txn = pb::TxnRequest { success: vec![grows], ..Default::default() };
    assert_refused(kv.txn(Request::new(txn)).await, Code::ResourceExhausted, text);
    assert_eq!(single.proposed(), proposed, "a refusal costs no log entry");
    kv.range(Request::new(all())).await.unwrap();
    kv.compact(Request::new(pb::CompactionRequest { revision: 2, physical: false })).await.unwrap();
    let delete = pb::DeleteRangeRequest { key: "k".into(), ..Default::default() };
    assert_eq!(kv.delete_range(Request::new(delete)).await.unwrap().into_inner().deleted, 1);
}

#[tokio::test]
async fn a_learner_reads_only_what_may_be_stale() {
    let (kv, single) = service();
    single.set_status(|status| status.learner = true);
    let refused = kv.range(Request::new(all())).await;
    assert_refused(refused, Code::FailedPrecondition, "etcdserver: rpc not supported for learner");
    kv.range(Request::new(pb::RangeRequest { serializable: true, ..all() })).await.unwrap();
}

#[tokio::test]
async fn a_streamed_range_merges_to_the_unary_one() {
    let (kv, _) = service();
    fill(&kv, 95, "v").await;
    for request in [
        all(),
        pb::RangeRequest { limit: 7, ..all() },
        pb::RangeRequest { limit: 10, ..all() },
        pb::RangeRequest { limit: 42, ..all() },
        pb::RangeRequest { limit: 95, ..all() },
        pb::RangeRequest { revision: 20, ..all() },
        pb::RangeRequest { count_only: true, ..all() },
        pb::RangeRequest { keys_only: true, ..all() },
        pb::RangeRequest { key: "zzz".into(), ..Default::default() },
    ] {
        let unary = spliced::gathered(kv.range(Request::new(request.clone())).await.unwrap());
        let stream = kv.range_stream(Request::new(request.clone())).await.unwrap().into_inner();
        let chunks: Vec<pb::RangeStreamResponse> = stream.try_collect().await.unwrap();
        let chunks: Vec<pb::RangeResponse> = chunks.into_iter().map(|chunk| chunk.range_response.unwrap()).collect();
        let (last, first) = chunks.split_last().unwrap();
        assert!(first.iter().all(|chunk| chunk.header.is_none() && !chunk.more && chunk.count == 0));
        let kvs = chunks.iter().flat_map(|chunk| chunk.kvs.clone()).collect();
        assert_eq!(pb::RangeResponse { kvs, ..last.clone() }, unary, "{request:?}");
    }
}

#[tokio::test]
async fn a_stream_begins_with_ten_keys_doubles_small_chunks_and_halves_large_ones() {
    let (ctx, _) = context_with(|parts| parts.limits.request_bytes_max = 8_000);
    let kv = KvService::new(ctx);
    fill(&kv, 100, &"v".repeat(1000)).await;
    let lengths = |chunks: Vec<pb::RangeStreamResponse>| -> Vec<usize> {
        chunks.into_iter().map(|chunk| chunk.range_response.unwrap().kvs.len()).collect()
    };
    let stream = kv.range_stream(Request::new(all())).await.unwrap().into_inner();
    assert_eq!(lengths(stream.try_collect().await.unwrap()), [10; 10], "about the target: as it is");
    let stream = kv.range_stream(Request::new(pb::RangeRequest { keys_only: true, ..all() })).await.unwrap();
    assert_eq!(lengths(stream.into_inner().try_collect().await.unwrap()), [10, 20, 40, 30]);
    let (ctx, _) = context_with(|parts| parts.limits.request_bytes_max = 1_200);
    let kv = KvService::new(ctx);
    fill(&kv, 20, &"v".repeat(1000)).await;
    let stream = kv.range_stream(Request::new(all())).await.unwrap().into_inner();
    assert_eq!(lengths(stream.try_collect().await.unwrap()), [10, 5, 2, 2, 1]);
}

#[tokio::test]
async fn a_stream_shows_one_revision_and_ends_when_compaction_overtakes_it() {
    let (kv, _) = service();
    fill(&kv, 30, "v").await;
    let mut stream = kv.range_stream(Request::new(all())).await.unwrap().into_inner();
    let first = stream.try_next().await.unwrap().unwrap().range_response.unwrap();
    assert_eq!(keys(&first.kvs).last().unwrap(), "k0009");
    kv.put(Request::new(put("k0010a", "later"))).await.unwrap();
    let second = stream.try_next().await.unwrap().unwrap().range_response.unwrap();
    assert_eq!(keys(&second.kvs)[..2], ["k0010", "k0011"]);
    assert_eq!(second.header.unwrap().revision, 31, "as of the stream's begin");
    let mut stream = kv.range_stream(Request::new(all())).await.unwrap().into_inner();
    stream.try_next().await.unwrap();
    kv.put(Request::new(put("z", "later"))).await.unwrap();
    kv.compact(Request::new(pb::CompactionRequest { revision: 33, physical: false })).await.unwrap();
    let status = stream.try_next().await.unwrap_err();
    assert_eq!(status.message(), "etcdserver: mvcc: required revision has been compacted");
}

#[tokio::test]
async fn a_stream_refuses_what_would_need_the_whole_range() {
    let (kv, _) = service();
    let refused = |request| async {
        let result = kv.range_stream(Request::new(request)).await;
        let status = result.err().unwrap();
        (status.code(), status.message().to_owned())
    };
    let sorts = (Code::Unimplemented, "RangeStream does not support custom sort orders".to_owned());
    let filters = (Code::Unimplemented, "RangeStream does not support revision filters".to_owned());
    assert_eq!(refused(pb::RangeRequest { sort_order: 2, ..all() }).await, sorts);
    assert_eq!(refused(pb::RangeRequest { sort_target: 3, ..all() }).await, sorts);
    assert_eq!(refused(pb::RangeRequest { min_mod_revision: 3, ..all() }).await, filters);
    kv.range_stream(Request::new(pb::RangeRequest { sort_order: 1, ..all() })).await.map(|_| ()).unwrap();
}
