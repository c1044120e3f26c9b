//! Checks that need no state: what a request must be before anything is done for it.
//!
//! Promises: refuses exactly what etcd refuses, with its error, in its order; costs no more than a sort of the request.
//! That includes what etcd overlooks: its interval tree takes an end of "\0" (no upper end) as an ordinary key, so that a
//! put above the start of such a delete is accepted in the same transaction.
//! Does not: look at leases, revisions or sizes (`apply`, `mvcc` and `admission` do).
//! Source: etcd `server/etcdserver/api/v3rpc/key.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;
use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request;

use tonic::Status;

use super::kv::is_natural;
use super::status::{
    DUPLICATE_KEY, EMPTY_KEY, INVALID_SORT_OPTION, KEY_NOT_FOUND, Known, LEASE_PROVIDED, TOO_MANY_OPS, VALUE_PROVIDED,
};

/// A range.
///
/// # Errors
/// An empty key; a sort order or target that does not exist.
pub fn range(r: &pb::RangeRequest) -> Result<(), Known> {
    key(&r.key)?;
    if SortOrder::try_from(r.sort_order).is_err() || SortTarget::try_from(r.sort_target).is_err() {
        return Err(INVALID_SORT_OPTION);
    }
    Ok(())
}

/// A streamed range.
///
/// # Errors
/// As [`range`]; an order or a filter that would need the whole range at once.
pub fn range_stream(r: &pb::RangeRequest) -> Result<(), Status> {
    range(r)?;
    if !is_natural(r) {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    if [r.min_mod_revision, r.max_mod_revision, r.min_create_revision, r.max_create_revision] != [0; 4] {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    Ok(())
}

/// A put.
///
/// # Errors
/// An empty key; a value or lease that is given and to be ignored.
pub fn put(r: &pb::PutRequest) -> Result<(), Known> {
    key(&r.key)?;
    if r.ignore_value && !r.value.is_empty() {
        return Err(VALUE_PROVIDED);
    }
    if r.ignore_lease && r.lease != 0 {
        return Err(LEASE_PROVIDED);
    }
    Ok(())
}

/// A delete.
///
/// # Errors
/// An empty key.
pub fn delete_range(r: &pb::DeleteRangeRequest) -> Result<(), Known> {
    key(&r.key)
}

/// A transaction with at most `ops_max` operations a branch, nested ones drawing on what is left of it.
///
/// # Errors
/// Too many operations; an operation that is refused by itself; a key that one taken path may change twice.
pub fn txn(r: &pb::TxnRequest, ops_max: usize) -> Result<(), Known> {
    operations(r, ops_max)?;
    Changes::of(&r.success)?;
    Changes::of(&r.failure)?;
    Ok(())
}

fn key(key: &[u8]) -> Result<(), Known> {
    if key.is_empty() { Err(EMPTY_KEY) } else { Ok(()) }
}

fn operations(r: &pb::TxnRequest, ops_max: usize) -> Result<(), Known> {
    let ops = r.compare.len().max(r.success.len()).max(r.failure.len());
    let Some(left) = ops_max.checked_sub(ops) else { return Err(TOO_MANY_OPS) };
    r.compare.iter().try_for_each(|compare| key(&compare.key))?;
    r.success.iter().chain(&r.failure).try_for_each(|op| match &op.request {
        Some(Request::RequestRange(r)) => range(r),
        Some(Request::RequestPut(r)) => put(r),
        Some(Request::RequestDeleteRange(r)) => delete_range(r),
        Some(Request::RequestTxn(r)) => operations(r, left),
        None => Err(KEY_NOT_FOUND),
    })
}

/// What a branch changes, for the check that no key is changed twice: puts by key, deletes as ranges.
#[derive(Default)]
struct Changes {
    puts: BTreeSet<Bytes>,
    deletes: Ranges,
}

impl Changes {
    /// Of `ops`, refused where a put meets another change of its key. Deletes may overlap each other; a nested
    /// transaction's two branches may put the same key, as only one of them runs.
    fn of(ops: &[pb::RequestOp]) -> Result<Changes, Known> {
        let mut changes = Changes::default();
        for op in ops {
            if let Some(Request::RequestDeleteRange(r)) = &op.request {
                changes.deletes.insert(&r.key, &r.range_end);
            }
        }
        for op in ops {
            if let Some(Request::RequestTxn(r)) = &op.request {
                changes.nested(Changes::of(&r.success)?, Changes::of(&r.failure)?)?;
            }
        }
        for op in ops {
            if let Some(Request::RequestPut(r)) = &op.request {
                changes.put(r.key.clone())?;
            }
        }
        Ok(changes)
    }

    fn put(&mut self, key: Bytes) -> Result<(), Known> {
        if self.deletes.contain(&key) || !self.puts.insert(key) { Err(DUPLICATE_KEY) } else { Ok(()) }
    }

    fn nested(&mut self, success: Changes, mut failure: Changes) -> Result<(), Known> {
        let refused = failure.puts.iter().any(|key| self.deletes.contain(key) || self.puts.contains(key));
        if refused {
            return Err(DUPLICATE_KEY);
        }
        success.puts.into_iter().try_for_each(|key| self.put(key))?;
        self.puts.append(&mut failure.puts);
        for (from, end) in success.deletes.merged.into_iter().chain(failure.deletes.merged) {
            self.deletes.add(from, end);
        }
        Ok(())
    }
}

/// Ranges of keys, merged: start → end, where `None` is no end.
#[derive(Default)]
struct Ranges {
    merged: BTreeMap<Bytes, Option<Bytes>>,
}

impl Ranges {
    /// Adds what etcd's check sees: no end is one key; an end of "\0" is an ordinary key, and so an empty range.
    fn insert(&mut self, key: &Bytes, range_end: &Bytes) {
        match range_end.as_ref() {
            b"" => self.add(key.clone(), Some([&key[..], b"\0"].concat().into())),
            end if end > &key[..] => self.add(key.clone(), Some(range_end.clone())),
            _ => {}
        }
    }

    fn add(&mut self, mut from: Bytes, mut end: Option<Bytes>) {
        if let Some((before, before_end)) = self.merged.range(..=from.clone()).next_back()
            && before_end.as_ref().is_none_or(|before_end| *before_end >= from)
        {
            from = before.clone();
            end = later(end, before_end.clone());
        }
        while let Some((next, next_end)) = self.merged.range(from.clone()..).next() {
            if end.as_ref().is_some_and(|end| next > end) {
                break;
            }
            end = later(end, next_end.clone());
            let next = next.clone();
            self.merged.remove(&next);
        }
        self.merged.insert(from, end);
    }

    fn contain(&self, key: &Bytes) -> bool {
        let below = self.merged.range::<Bytes, _>((Bound::Unbounded, Bound::Included(key))).next_back();
        below.is_some_and(|(_, end)| end.as_ref().is_none_or(|end| key < end))
    }
}

fn later(a: Option<Bytes>, b: Option<Bytes>) -> Option<Bytes> {
    Some(a?.max(b?))
}

#[cfg(test)]
#[path = "validate_test.rs"]
mod tests;
