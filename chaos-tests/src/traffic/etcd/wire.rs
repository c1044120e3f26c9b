//! Between a history's requests and answers and etcd's messages.
//!
//! Pure. Keys and values that the suite writes are short text, so nothing is lost on the way into the history.

use bytes::Bytes;
use fairlead_proto::etcd::{etcdserverpb as pb, mvccpb};
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request as RequestUnion;
use pb::response_op::Response as ResponseUnion;

use crate::history::{
    Answer, Compare, Delete, Deleted, KeyValue, Put, PutDone, Range, Ranged, Relation, Request, Target, Txn, TxnDone,
    WatchEvent, text,
};

fn end(end: Option<&str>) -> Bytes {
    Bytes::copy_from_slice(end.unwrap_or_default().as_bytes())
}

pub(crate) fn range(range: &Range) -> pb::RangeRequest {
    pb::RangeRequest {
        key: range.key.clone().into(),
        range_end: end(range.end.as_deref()),
        revision: range.revision,
        limit: range.limit,
        serializable: range.serializable,
        keys_only: range.keys_only,
        count_only: range.count_only,
        ..Default::default()
    }
}

pub(crate) fn put(put: &Put) -> pb::PutRequest {
    pb::PutRequest {
        key: put.key.clone().into(),
        value: put.value.clone().into(),
        lease: put.lease,
        prev_kv: put.previous,
        ..Default::default()
    }
}

pub(crate) fn delete(delete: &Delete) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: delete.key.clone().into(),
        range_end: end(delete.end.as_deref()),
        prev_kv: delete.previous,
    }
}

pub(crate) fn txn(txn: &Txn) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: txn.compares.iter().map(compare).collect(),
        success: txn.success.iter().map(op).collect(),
        failure: txn.failure.iter().map(op).collect(),
    }
}

fn compare(compare: &Compare) -> pb::Compare {
    let result = match compare.is {
        Relation::Equal => CompareResult::Equal,
        Relation::Greater => CompareResult::Greater,
        Relation::Less => CompareResult::Less,
        Relation::NotEqual => CompareResult::NotEqual,
    };
    let (target, union) = match &compare.to {
        Target::Version(n) => (CompareTarget::Version, TargetUnion::Version(*n)),
        Target::Create(n) => (CompareTarget::Create, TargetUnion::CreateRevision(*n)),
        Target::Mod(n) => (CompareTarget::Mod, TargetUnion::ModRevision(*n)),
        Target::Value(value) => (CompareTarget::Value, TargetUnion::Value(value.clone().into())),
        Target::Lease(n) => (CompareTarget::Lease, TargetUnion::Lease(*n)),
    };
    pb::Compare {
        key: compare.key.clone().into(),
        result: result.into(),
        target: target.into(),
        target_union: Some(union),
        ..Default::default()
    }
}

/// A transaction's operation; what cannot stand in one becomes an empty one, which every server refuses.
fn op(request: &Request) -> pb::RequestOp {
    let request = match request {
        Request::Range(it) => Some(RequestUnion::RequestRange(range(it))),
        Request::Put(it) => Some(RequestUnion::RequestPut(put(it))),
        Request::Delete(it) => Some(RequestUnion::RequestDeleteRange(delete(it))),
        Request::Txn(it) => Some(RequestUnion::RequestTxn(txn(it))),
        _ => None,
    };
    pb::RequestOp { request }
}

pub(crate) fn key_value(kv: &mvccpb::KeyValue) -> KeyValue {
    KeyValue {
        key: text(&kv.key),
        value: text(&kv.value),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    }
}

pub(crate) fn ranged(answer: &pb::RangeResponse) -> Answer {
    Answer::Range(Ranged { kvs: answer.kvs.iter().map(key_value).collect(), more: answer.more, count: answer.count })
}

pub(crate) fn put_done(answer: &pb::PutResponse) -> Answer {
    Answer::Put(PutDone { previous: answer.prev_kv.as_ref().map(key_value) })
}

pub(crate) fn deleted(answer: &pb::DeleteRangeResponse) -> Answer {
    Answer::Delete(Deleted { deleted: answer.deleted, previous: answer.prev_kvs.iter().map(key_value).collect() })
}

pub(crate) fn txn_done(answer: &pb::TxnResponse) -> Answer {
    let answers = answer.responses.iter().map(|op| match &op.response {
        Some(ResponseUnion::ResponseRange(it)) => ranged(it),
        Some(ResponseUnion::ResponsePut(it)) => put_done(it),
        Some(ResponseUnion::ResponseDeleteRange(it)) => deleted(it),
        Some(ResponseUnion::ResponseTxn(it)) => txn_done(it),
        None => Answer::Done,
    });
    Answer::Txn(TxnDone { succeeded: answer.succeeded, answers: answers.collect() })
}

pub(crate) fn event(event: &mvccpb::Event) -> WatchEvent {
    let kv = event.kv.clone().unwrap_or_default();
    let previous = event.prev_kv.as_ref().map(key_value);
    if event.r#type == mvccpb::event::EventType::Delete as i32 {
        WatchEvent::Delete { key: text(&kv.key), mod_revision: kv.mod_revision, previous }
    } else {
        WatchEvent::Put { kv: key_value(&kv), previous }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_keeps_its_shape_on_the_wire() {
        let request = Txn {
            compares: vec![Compare { key: "k".into(), is: Relation::Equal, to: Target::Mod(4) }],
            success: vec![Request::Put(Put { key: "k".into(), value: "v".into(), ..Put::default() })],
            failure: vec![Request::Range(Range { key: "k".into(), ..Range::default() })],
        };
        let sent = txn(&request);
        assert_eq!(sent.compare[0].target_union, Some(TargetUnion::ModRevision(4)));
        assert!(matches!(sent.success[0].request, Some(RequestUnion::RequestPut(_))));
        assert!(matches!(sent.failure[0].request, Some(RequestUnion::RequestRange(_))));
    }

    #[test]
    fn a_delete_event_has_the_key_and_when() {
        let kv = mvccpb::KeyValue { key: "k".into(), mod_revision: 7, ..Default::default() };
        let deleted = mvccpb::Event { r#type: 1, kv: Some(kv), prev_kv: None };
        assert_eq!(event(&deleted), WatchEvent::Delete { key: "k".into(), mod_revision: 7, previous: None });
    }
}
