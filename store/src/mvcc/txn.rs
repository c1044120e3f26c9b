//! Transactions: which branch, whether it may run, and a read-only one's answer.
//!
//! Every compare, nested ones included, looks at the state before the transaction. The branches taken are a path: one choice
//! a transaction, in the order in which they are met. The whole path is checked before its first effect, so that what is
//! refused has none.
//! Does not: write (`group` does), or check what the request alone tells, duplicate keys and the like (`rpc::validate` did).
//! Source: etcd `server/etcdserver/txn/txn.go`.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use fairlead_proto::served::etcdserverpb::request_op::Request;
use fairlead_proto::served::etcdserverpb::response_op::Response;

use super::error::Error;
use super::key_range::KeyRange;
use super::live::Live;
use super::range::{self, Ranged};
use super::record::KeyValue;
use crate::apply::Refusal;
use crate::engine::{Direction, Family};

/// The choices made, outer before inner, first before later.
pub(crate) type Path = Vec<bool>;

/// Evaluates every compare on the way.
pub(crate) fn decide(live: &dyn Live, r: &pb::TxnRequest) -> Result<Path, Error> {
    let mut path = Path::new();
    decide_into(live, r, &mut path)?;
    Ok(path)
}

fn decide_into(live: &dyn Live, r: &pb::TxnRequest, path: &mut Path) -> Result<(), Error> {
    let mut holds = true;
    for compare in &r.compare {
        holds = holds && compare_holds(live, compare)?;
    }
    path.push(holds);
    for op in branch(r, holds) {
        if let Some(Request::RequestTxn(inner)) = &op.request {
            decide_into(live, inner, path)?;
        }
    }
    Ok(())
}

/// The operations of the branch taken.
pub(crate) fn branch(r: &pb::TxnRequest, holds: bool) -> &[pb::RequestOp] {
    if holds { &r.success } else { &r.failure }
}

/// Calls `visit` with each operation on the path that is no transaction.
fn visit_path<E>(
    r: &pb::TxnRequest,
    path: &mut impl Iterator<Item = bool>,
    visit: &mut dyn FnMut(&Request) -> Result<(), E>,
) -> Result<(), E> {
    let holds = path.next().expect("the path has one choice for each transaction on it");
    for op in branch(r, holds) {
        match &op.request {
            Some(Request::RequestTxn(inner)) => visit_path(inner, path, visit)?,
            Some(other) => visit(other)?,
            None => {}
        }
    }
    Ok(())
}

/// Whether the ranges on the path may be read.
pub(crate) fn check_ranges(live: &dyn Live, r: &pb::TxnRequest, path: &Path) -> Result<(), Error> {
    visit_path(r, &mut path.iter().copied(), &mut |op| match op {
        Request::RequestRange(range) => range::revision_in_txn(live, range.revision).map(|_| ()),
        _ => Ok(()),
    })
}

/// Whether the puts on the path may be made.
pub(crate) fn check_puts(
    live: &dyn Live,
    r: &pb::TxnRequest,
    path: &Path,
    lease_exists: &dyn Fn(i64) -> bool,
) -> Result<Result<(), Refusal>, Error> {
    enum Stop {
        Refused(Refusal),
        Broken(Error),
    }
    let checked = visit_path(r, &mut path.iter().copied(), &mut |op| {
        let Request::RequestPut(put) = op else { return Ok(()) };
        if (put.ignore_value || put.ignore_lease) && live.current(&put.key).map_err(Stop::Broken)?.is_none() {
            return Err(Stop::Refused(Refusal::KeyNotFound));
        }
        if put.lease != 0 && !lease_exists(put.lease) {
            return Err(Stop::Refused(Refusal::LeaseNotFound));
        }
        Ok(())
    });
    match checked {
        Ok(()) => Ok(Ok(())),
        Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
        Err(Stop::Broken(error)) => Err(error),
    }
}

/// The answer of a transaction without writes, checked before.
pub(crate) fn answer(live: &dyn Live, r: &pb::TxnRequest, path: &Path) -> Result<pb::TxnResponse, Error> {
    answer_from(live, r, &mut path.iter().copied())
}

fn answer_from(
    live: &dyn Live,
    r: &pb::TxnRequest,
    path: &mut dyn Iterator<Item = bool>,
) -> Result<pb::TxnResponse, Error> {
    let succeeded = path.next().expect("the path has one choice for each transaction on it");
    let mut responses = Vec::new();
    for op in branch(r, succeeded) {
        let response = match &op.request {
            Some(Request::RequestRange(r)) => Some(Response::ResponseRange(answer_range(live, r)?)),
            Some(Request::RequestTxn(inner)) => {
                Some(Response::ResponseTxn(with_empty_header(answer_from(live, inner, path)?)))
            }
            Some(_) => return Err(Error::WriteInRead),
            None => None,
        };
        responses.push(pb::ResponseOp { response });
    }
    Ok(pb::TxnResponse { header: None, succeeded, responses })
}

/// A range within a transaction; its header carries the revision, as etcd's does.
pub(crate) fn answer_range(live: &dyn Live, r: &pb::RangeRequest) -> Result<pb::RangeResponse, Error> {
    let Ranged { kvs, more, count } = range::range(live, r, range::revision_in_txn(live, r.revision)?)?;
    Ok(pb::RangeResponse { header: Some(header_at(live.revision())), kvs, more, count })
}

/// A header within a transaction: only its revision is known here, and only that is filled by etcd too.
pub(crate) fn header_at(revision: i64) -> pb::ResponseHeader {
    pb::ResponseHeader { revision, ..Default::default() }
}

/// A nested transaction's answer: its header is there, with revision 0.
pub(crate) fn with_empty_header(mut response: pb::TxnResponse) -> pb::TxnResponse {
    response.header = Some(pb::ResponseHeader::default());
    response
}

fn compare_holds(live: &dyn Live, c: &pb::Compare) -> Result<bool, Error> {
    let keys = KeyRange::new(&c.key, &c.range_end);
    if let KeyRange::One(key) = &keys {
        return match live.current(key)? {
            None => Ok(holds_for_missing(c)),
            Some(kv) => {
                let kv = KeyValue::read(&kv).ok_or_else(|| Error::undecodable(Family::Latest, key))?;
                Ok(holds_for(c, &kv))
            }
        };
    }
    let (mut any, mut holds) = (false, true);
    live.visit(&keys, live.revision(), Direction::Ascending, &mut |row| {
        any = true;
        holds = holds_for(c, &row.read()?);
        Ok(if holds { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(if any { holds } else { holds_for_missing(c) })
}

/// A key that does not exist has no value to compare, and 0 everywhere else.
fn holds_for_missing(c: &pb::Compare) -> bool {
    c.target != CompareTarget::Value as i32 && holds_for(c, &KeyValue::default())
}

fn holds_for(c: &pb::Compare, kv: &KeyValue<'_>) -> bool {
    // A union that is not the target's counts as that target's default.
    let asked = c.target_union.as_ref();
    let number = |is: i64, asked: Option<i64>| is.cmp(&asked.unwrap_or(0));
    let ordering = match CompareTarget::try_from(c.target) {
        Ok(CompareTarget::Version) => number(
            kv.version,
            asked.and_then(|u| match u {
                TargetUnion::Version(n) => Some(*n),
                _ => None,
            }),
        ),
        Ok(CompareTarget::Create) => number(
            kv.create_revision,
            asked.and_then(|u| match u {
                TargetUnion::CreateRevision(n) => Some(*n),
                _ => None,
            }),
        ),
        Ok(CompareTarget::Mod) => number(
            kv.mod_revision,
            asked.and_then(|u| match u {
                TargetUnion::ModRevision(n) => Some(*n),
                _ => None,
            }),
        ),
        Ok(CompareTarget::Lease) => number(
            kv.lease,
            asked.and_then(|u| match u {
                TargetUnion::Lease(n) => Some(*n),
                _ => None,
            }),
        ),
        Ok(CompareTarget::Value) => kv.value.cmp(match asked {
            Some(TargetUnion::Value(value)) => &value[..],
            _ => &[],
        }),
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(c.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}
