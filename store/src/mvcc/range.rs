//! Range: every option of a `RangeRequest` over keys that exist at a revision.
//!
//! What needs every key (a sort by something else than the key, a revision filter) reads every key; the rest stops after
//! `limit` + 1 keys and asks for the count of what is left.
//! Source: etcd `server/etcdserver/txn/range.go`. Ties of a sort are in key order; Go's sort leaves them open.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bytes::Bytes;
use fairlead_proto::encoded;
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::etcdserverpb::range_request::{SortOrder, SortTarget};

use super::error::Error;
use super::key_range::KeyRange;
use super::live::{Live, Row};
use super::record::KeyValue;
use super::rows::{Kept, Rows};
use crate::engine::{Direction, Family};

/// A range's answer, without its header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranged {
    /// The records, in the order asked for.
    pub kvs: Vec<encoded::KeyValue>,
    /// Whether `limit` left some out.
    pub more: bool,
    /// Keys in the range at the revision, whatever limit and filters say.
    pub count: i64,
}

/// A large range's answer, without its header: as [`Ranged`], with the records in the wire form of their field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spliced {
    /// The field `kvs` of a `RangeResponse`, cut between records.
    pub pieces: Vec<Bytes>,
    /// As [`Ranged::more`].
    pub more: bool,
    /// As [`Ranged::count`].
    pub count: i64,
}

/// The revision that a range at the top level reads: 0 and below mean the current one.
pub(crate) fn revision_of(live: &dyn Live, asked: i64) -> Result<i64, Error> {
    if asked <= 0 { Ok(live.revision()) } else { revision_in_txn(live, asked) }
}

/// The revision that a range within a transaction reads: only 0 means the current one.
pub(crate) fn revision_in_txn(live: &dyn Live, asked: i64) -> Result<i64, Error> {
    if asked > live.revision() {
        return Err(Error::FutureRevision);
    }
    if asked != 0 && asked < live.compact_revision() {
        return Err(Error::Compacted);
    }
    Ok(if asked <= 0 { live.revision() } else { asked })
}

/// Answers `r` at revision `at`.
pub(crate) fn range(live: &dyn Live, r: &pb::RangeRequest, at: i64) -> Result<Ranged, Error> {
    let mut kvs = Vec::new();
    let (more, count) = collect(live, r, at, &mut kvs)?;
    Ok(Ranged { kvs, more, count })
}

/// Answers `r` at revision `at`, with records that are copied only once.
pub(crate) fn spliced(live: &dyn Live, r: &pb::RangeRequest, at: i64) -> Result<Spliced, Error> {
    let mut rows = Rows::default();
    let (more, count) = collect(live, r, at, &mut rows)?;
    Ok(Spliced { pieces: rows.into_pieces(), more, count })
}

/// Puts the records of `r` at revision `at` into `kept`; says whether more were left out, and how many keys there are.
fn collect(live: &dyn Live, r: &pb::RangeRequest, at: i64, kept: &mut impl Kept) -> Result<(bool, i64), Error> {
    let keys = KeyRange::new(&r.key, &r.range_end);
    if keys.is_empty() {
        return Ok((false, 0));
    }
    if r.count_only {
        return Ok((false, live.count(&keys, at)?));
    }
    let order = Order::of(r);
    let limit = usize::try_from(r.limit).ok().filter(|limit| *limit > 0);
    let unordered = r.sort_order == SortOrder::None as i32 && Filter::of(r).is_none();
    let sorted = if let Some(limit) = limit.filter(|_| unordered && order.by_key().is_none()) {
        sorted_page(live, r, &keys, at, order, limit)?
    } else if order.by_key().is_none() || Filter::of(r).is_some() {
        sorted(live, r, &keys, at, order, limit)?
    } else {
        let direction = order.by_key().unwrap_or(Direction::Ascending);
        return in_key_order(live, r.keys_only, &keys, at, direction, limit, kept);
    };
    sorted.kvs.iter().for_each(|kv| kept.push(&kv.0));
    Ok((sorted.more, sorted.count))
}

/// Keys in their order, up to the limit; the rest is only counted.
fn in_key_order(
    live: &dyn Live,
    keys_only: bool,
    keys: &KeyRange,
    at: i64,
    direction: Direction,
    limit: Option<usize>,
    kept: &mut impl Kept,
) -> Result<(bool, i64), Error> {
    let mut more = false;
    live.visit(keys, at, direction, &mut |row| {
        if limit.is_some_and(|limit| kept.count() >= limit) {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        match keys_only {
            true => kept.push(&without_value(&row, 0)?),
            false => kept.push(row.kv),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let shown = i64::try_from(kept.count()).unwrap_or(i64::MAX);
    let count = match kept.last() {
        Some(last) if more && direction == Direction::Ascending => {
            let last = KeyValue::read(last).ok_or_else(|| Error::undecodable(Family::Latest, last))?;
            let rest = keys.after(last.key);
            let left = match live.known_remaining(keys, at) {
                Some(all) => all - shown,
                None => live.count(&rest, at)?,
            };
            live.remember_remaining(rest, at, left);
            shown + left
        }
        _ if more => live.count(keys, at)?,
        _ => shown,
    };
    Ok((more, count))
}

/// Every key, filtered, sorted, cut.
fn sorted(
    live: &dyn Live,
    r: &pb::RangeRequest,
    keys: &KeyRange,
    at: i64,
    order: Order,
    limit: Option<usize>,
) -> Result<Ranged, Error> {
    let filter = Filter::of(r);
    let mut count = 0;
    let mut kept: Vec<Bytes> = Vec::new();
    live.visit(keys, at, Direction::Ascending, &mut |row| {
        count += 1;
        if filter.as_ref().is_none_or(|filter| row.read().is_ok_and(|kv| filter.passes(&kv))) {
            kept.push(Bytes::copy_from_slice(row.kv));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let (kvs, more) = ordered(&kept, r, order, limit)?;
    Ok(Ranged { kvs, more, count })
}

/// With a limit and no direction etcd takes the first keys, one more than may be shown, and sorts those.
/// Source: etcd `server/etcdserver/txn/range.go`.
fn sorted_page(
    live: &dyn Live,
    r: &pb::RangeRequest,
    keys: &KeyRange,
    at: i64,
    order: Order,
    limit: usize,
) -> Result<Ranged, Error> {
    let mut page: Vec<encoded::KeyValue> = Vec::new();
    let cut = Some(limit.saturating_add(1));
    let (_, count) = in_key_order(live, false, keys, at, Direction::Ascending, cut, &mut page)?;
    let page: Vec<Bytes> = page.into_iter().map(|kv| kv.0).collect();
    let (kvs, more) = ordered(&page, r, order, Some(limit))?;
    Ok(Ranged { kvs, more, count })
}

/// Records in the order asked for, as far as the limit, and whether it cut any.
fn ordered(
    kept: &[Bytes],
    r: &pb::RangeRequest,
    order: Order,
    limit: Option<usize>,
) -> Result<(Vec<encoded::KeyValue>, bool), Error> {
    let mut read = Vec::with_capacity(kept.len());
    for kv in kept {
        read.push((KeyValue::read(kv).ok_or_else(|| Error::undecodable(Family::Latest, kv))?, kv.clone()));
    }
    read.sort_by(|(a, _), (b, _)| order.compare(a, b));
    let more = limit.is_some_and(|limit| read.len() > limit);
    read.truncate(limit.unwrap_or(usize::MAX));
    let lease_is_read = order.target == SortTarget::Value;
    let kvs = read.into_iter().map(|(kv, bytes)| {
        let bytes = if !r.keys_only {
            bytes
        } else {
            KeyValue { value: &[], lease: if lease_is_read { kv.lease } else { 0 }, ..kv }.encode()
        };
        encoded::KeyValue(bytes)
    });
    Ok((kvs.collect(), more))
}

/// A record as etcd 3.7 answers `keys_only` from its index: neither value nor lease.
fn without_value(row: &Row<'_>, lease: i64) -> Result<Bytes, Error> {
    Ok(KeyValue { value: &[], lease, ..row.read()? }.encode())
}

/// The order asked for.
#[derive(Clone, Copy)]
struct Order {
    target: SortTarget,
    descending: bool,
}

impl Order {
    fn of(r: &pb::RangeRequest) -> Order {
        // Values out of range were refused before raft; NONE by anything but the key is ascending.
        let target = SortTarget::try_from(r.sort_target).unwrap_or(SortTarget::Key);
        Order { target, descending: r.sort_order == SortOrder::Descend as i32 }
    }

    /// The direction in which keys can be walked to give this order.
    fn by_key(self) -> Option<Direction> {
        let direction = if self.descending { Direction::Descending } else { Direction::Ascending };
        (self.target == SortTarget::Key).then_some(direction)
    }

    fn compare(self, a: &KeyValue<'_>, b: &KeyValue<'_>) -> Ordering {
        let ascending = match self.target {
            SortTarget::Key => a.key.cmp(b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(b.value),
        };
        if self.descending { ascending.reverse() } else { ascending }
    }
}

/// The bounds on revisions; 0 is no bound.
struct Filter {
    modified: (i64, i64),
    created: (i64, i64),
}

impl Filter {
    fn of(r: &pb::RangeRequest) -> Option<Filter> {
        let filter = Filter {
            modified: (r.min_mod_revision, r.max_mod_revision),
            created: (r.min_create_revision, r.max_create_revision),
        };
        (filter.modified != (0, 0) || filter.created != (0, 0)).then_some(filter)
    }

    fn passes(&self, kv: &KeyValue<'_>) -> bool {
        let within = |(min, max): (i64, i64), revision| (min == 0 || revision >= min) && (max == 0 || revision <= max);
        within(self.modified, kv.mod_revision) && within(self.created, kv.create_revision)
    }
}
