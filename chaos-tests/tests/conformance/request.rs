//! Short ways to write requests.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use fairlead_proto::etcd::etcdserverpb::request_op::Request;
use fairlead_proto::etcd::etcdserverpb::*;

/// Bytes from text.
pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) fn get(key: &str) -> RangeRequest {
    range(key, "")
}

pub(crate) fn range(key: &str, end: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), range_end: bytes(end), ..Default::default() }
}

/// Everything there is.
pub(crate) fn all() -> RangeRequest {
    range("\0", "\0")
}

pub(crate) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: bytes(key), value: bytes(value), ..Default::default() }
}

pub(crate) fn delete_range(key: &str, end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: bytes(key), range_end: bytes(end), prev_kv: false }
}

pub(crate) fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

pub(crate) fn op_get(key: &str) -> RequestOp {
    op(Request::RequestRange(get(key)))
}

pub(crate) fn op_range(request: RangeRequest) -> RequestOp {
    op(Request::RequestRange(request))
}

pub(crate) fn op_put(key: &str, value: &str) -> RequestOp {
    op(Request::RequestPut(put(key, value)))
}

pub(crate) fn op_delete(key: &str, end: &str) -> RequestOp {
    op(Request::RequestDeleteRange(delete_range(key, end)))
}

pub(crate) fn op_txn(request: TxnRequest) -> RequestOp {
    op(Request::RequestTxn(request))
}

/// A transaction without compares.
pub(crate) fn then(success: Vec<RequestOp>) -> TxnRequest {
    txn(vec![], success, vec![])
}

pub(crate) fn txn(compare: Vec<Compare>, success: Vec<RequestOp>, failure: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { compare, success, failure }
}

pub(crate) fn compare(key: &str, result: CompareResult, target: TargetUnion) -> Compare {
    let kind = match target {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    };
    Compare {
        result: result.into(),
        target: kind.into(),
        key: bytes(key),
        range_end: Bytes::new(),
        target_union: Some(target),
    }
}

/// `value(key) == value`.
pub(crate) fn value_is(key: &str, value: &str) -> Compare {
    compare(key, CompareResult::Equal, TargetUnion::Value(bytes(value)))
}

/// `version(key) == version`.
pub(crate) fn version_is(key: &str, version: i64) -> Compare {
    compare(key, CompareResult::Equal, TargetUnion::Version(version))
}
