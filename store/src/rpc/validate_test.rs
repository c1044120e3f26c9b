//! The table of what is refused, and with what.

use super::*;

fn put_op(key: &'static str) -> pb::RequestOp {
    let put = pb::PutRequest { key: key.into(), value: "v".into(), ..Default::default() };
    pb::RequestOp { request: Some(Request::RequestPut(put)) }
}

fn delete_op(key: &'static str, range_end: &'static str) -> pb::RequestOp {
    let delete = pb::DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false };
    pb::RequestOp { request: Some(Request::RequestDeleteRange(delete)) }
}

fn range_op(key: &'static str) -> pb::RequestOp {
    let range = pb::RangeRequest { key: key.into(), ..Default::default() };
    pb::RequestOp { request: Some(Request::RequestRange(range)) }
}

fn txn_op(success: Vec<pb::RequestOp>, failure: Vec<pb::RequestOp>) -> pb::RequestOp {
    pb::RequestOp { request: Some(Request::RequestTxn(of(success, failure))) }
}

fn of(success: Vec<pb::RequestOp>, failure: Vec<pb::RequestOp>) -> pb::TxnRequest {
    pb::TxnRequest { compare: Vec::new(), success, failure }
}

#[test]
fn ranges_puts_and_deletes_are_refused_as_etcd_refuses_them() {
    let ranges = [
        ("no key", pb::RangeRequest::default(), Err(EMPTY_KEY)),
        ("order", pb::RangeRequest { key: "k".into(), sort_order: 3, ..Default::default() }, Err(INVALID_SORT_OPTION)),
        (
            "target",
            pb::RangeRequest { key: "k".into(), sort_target: 5, ..Default::default() },
            Err(INVALID_SORT_OPTION),
        ),
        (
            "negative",
            pb::RangeRequest { key: "k".into(), sort_order: -1, ..Default::default() },
            Err(INVALID_SORT_OPTION),
        ),
        ("good", pb::RangeRequest { key: "k".into(), sort_order: 2, sort_target: 4, ..Default::default() }, Ok(())),
    ];
    for (name, request, expected) in ranges {
        assert_eq!(range(&request), expected, "{name}");
    }
    let puts = [
        ("no key", pb::PutRequest { value: "v".into(), ..Default::default() }, Err(EMPTY_KEY)),
        (
            "value and ignore_value",
            pb::PutRequest { key: "k".into(), value: "v".into(), ignore_value: true, ..Default::default() },
            Err(VALUE_PROVIDED),
        ),
        (
            "lease and ignore_lease",
            pb::PutRequest { key: "k".into(), lease: 1, ignore_lease: true, ..Default::default() },
            Err(LEASE_PROVIDED),
        ),
        (
            "both ignored",
            pb::PutRequest { key: "k".into(), ignore_value: true, ignore_lease: true, ..Default::default() },
            Ok(()),
        ),
    ];
    for (name, request, expected) in puts {
        assert_eq!(put(&request), expected, "{name}");
    }
    assert_eq!(delete_range(&pb::DeleteRangeRequest::default()), Err(EMPTY_KEY));
}

#[test]
fn an_operation_in_a_txn_is_checked_as_if_it_were_alone() {
    let nothing = pb::RequestOp { request: None };
    let compare = pb::TxnRequest { compare: vec![pb::Compare::default()], ..Default::default() };
    assert_eq!(txn(&compare, 128), Err(EMPTY_KEY));
    assert_eq!(txn(&of(vec![nothing], vec![]), 128), Err(KEY_NOT_FOUND));
    assert_eq!(txn(&of(vec![], vec![put_op("")]), 128), Err(EMPTY_KEY));
    assert_eq!(txn(&of(vec![txn_op(vec![delete_op("", "")], vec![])], vec![]), 128), Err(EMPTY_KEY));
    assert_eq!(txn(&pb::TxnRequest::default(), 128), Ok(()));
}

#[test]
fn a_branch_holds_ops_max_operations_and_a_nested_one_what_is_left() {
    let ranges = |count: usize| vec![range_op("k"); count];
    assert_eq!(txn(&of(ranges(128), ranges(128)), 128), Ok(()));
    assert_eq!(txn(&of(ranges(129), vec![]), 128), Err(TOO_MANY_OPS));
    assert_eq!(txn(&of(vec![], ranges(129)), 128), Err(TOO_MANY_OPS));
    let compare = pb::Compare { key: "k".into(), ..Default::default() };
    let compares = pb::TxnRequest { compare: vec![compare; 129], ..Default::default() };
    assert_eq!(txn(&compares, 128), Err(TOO_MANY_OPS));
    let nested = |outer: usize, inner: usize| {
        let mut ops = ranges(outer - 1);
        ops.push(txn_op(ranges(inner), vec![]));
        of(ops, vec![])
    };
    assert_eq!(txn(&nested(100, 28), 128), Ok(()));
    assert_eq!(txn(&nested(100, 29), 128), Err(TOO_MANY_OPS));
}

#[test]
fn a_key_is_changed_once_on_each_path() {
    let rows = [
        ("two puts", of(vec![put_op("a"), put_op("a")], vec![]), Err(DUPLICATE_KEY)),
        ("two puts in failure", of(vec![], vec![put_op("a"), put_op("a")]), Err(DUPLICATE_KEY)),
        ("one put in each branch", of(vec![put_op("a")], vec![put_op("a")]), Ok(())),
        ("put in a deleted range", of(vec![put_op("b"), delete_op("a", "c")], vec![]), Err(DUPLICATE_KEY)),
        ("put of a deleted key", of(vec![delete_op("a", ""), put_op("a")], vec![]), Err(DUPLICATE_KEY)),
        ("put above an open delete", of(vec![delete_op("a", "\0"), put_op("z")], vec![]), Ok(())),
        ("put at a range's end", of(vec![delete_op("a", "c"), put_op("c")], vec![]), Ok(())),
        ("put below a range", of(vec![delete_op("b", "c"), put_op("a")], vec![]), Ok(())),
        ("put beside a deleted key", of(vec![delete_op("a", ""), put_op("ab")], vec![]), Ok(())),
        ("an inverted range is nothing", of(vec![delete_op("c", "a"), put_op("b")], vec![]), Ok(())),
        ("overlapping deletes", of(vec![delete_op("a", "c"), delete_op("b", "d")], vec![]), Ok(())),
        (
            "put in merged deletes",
            of(vec![delete_op("a", "c"), delete_op("b", "e"), put_op("d")], vec![]),
            Err(DUPLICATE_KEY),
        ),
        ("nested put and a put", of(vec![txn_op(vec![put_op("a")], vec![]), put_op("a")], vec![]), Err(DUPLICATE_KEY)),
        (
            "nested put in a deleted range",
            of(vec![txn_op(vec![], vec![put_op("b")]), delete_op("a", "c")], vec![]),
            Err(DUPLICATE_KEY),
        ),
        (
            "put in a nested delete",
            of(vec![put_op("b"), txn_op(vec![delete_op("a", "c")], vec![])], vec![]),
            Err(DUPLICATE_KEY),
        ),
        ("both branches of one nested", of(vec![txn_op(vec![put_op("a")], vec![put_op("a")])], vec![]), Ok(())),
        (
            "two nested with the same put",
            of(vec![txn_op(vec![put_op("a")], vec![]), txn_op(vec![], vec![put_op("a")])], vec![]),
            Err(DUPLICATE_KEY),
        ),
        (
            "twice nested",
            of(vec![txn_op(vec![txn_op(vec![put_op("a")], vec![])], vec![]), put_op("a")], vec![]),
            Err(DUPLICATE_KEY),
        ),
        ("reads are free", of(vec![range_op("a"), put_op("a"), range_op("a")], vec![]), Ok(())),
    ];
    for (name, request, expected) in rows {
        assert_eq!(txn(&request, 128), expected, "{name}");
    }
}
