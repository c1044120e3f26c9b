//! A naive store for tests: every version ever, in one list, and answers by looking at all of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use fairlead_proto::etcd::mvccpb;
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use fairlead_proto::served::etcdserverpb::range_request::{SortOrder, SortTarget};
use fairlead_proto::served::etcdserverpb::request_op::Request;
use fairlead_proto::served::etcdserverpb::response_op::Response;
use prost::Message;

use super::size::row_bytes;
use crate::apply::Refusal;

/// Leases that exist in tests.
pub(super) const LEASES: [i64; 3] = [7, -3, i64::MAX];

pub(super) type Kvs = BTreeMap<Bytes, mvccpb::KeyValue>;

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub main: i64,
    pub sub: i64,
    pub key: Bytes,
    pub kv: Option<mvccpb::KeyValue>,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub revision: i64,
    pub compact: i64,
    pub rows: Vec<Row>,
    pub now: Kvs,
    open: i64,
}

pub(super) fn in_range(key: &[u8], from: &[u8], end: &[u8]) -> bool {
    match end {
        [] => key == from,
        [0] => key >= from,
        _ => key >= from && key < end,
    }
}

impl Model {
    pub(super) fn new() -> Model {
        Model { revision: 1, compact: -1, rows: Vec::new(), now: Kvs::new(), open: 0 }
    }

    pub(super) fn at(&self, revision: i64) -> Kvs {
        let mut kvs = Kvs::new();
        for row in self.rows.iter().filter(|row| row.main <= revision) {
            match &row.kv {
                Some(kv) => kvs.insert(row.key.clone(), kv.clone()),
                None => kvs.remove(&row.key),
            };
        }
        kvs
    }

    fn write(&mut self, key: &Bytes, kv: Option<mvccpb::KeyValue>) {
        self.rows.push(Row { main: self.revision + 1, sub: self.open, key: key.clone(), kv: kv.clone() });
        self.open += 1;
        match kv {
            Some(kv) => self.now.insert(key.clone(), kv),
            None => self.now.remove(key),
        };
    }

    pub(super) fn close(&mut self) {
        if self.open > 0 {
            self.revision += 1;
            self.open = 0;
        }
    }

    pub(super) fn put(&mut self, r: &pb::PutRequest) -> Result<pb::PutResponse, Refusal> {
        let before = self.now.get(&r.key).cloned();
        let (mut value, mut lease) = (r.value.clone(), r.lease);
        if r.ignore_value || r.ignore_lease {
            let before = before.as_ref().ok_or(Refusal::KeyNotFound)?;
            value = if r.ignore_value { before.value.clone() } else { value };
            lease = if r.ignore_lease { before.lease } else { lease };
        }
        let mod_revision = self.revision + 1;
        let (create_revision, version) =
            before.as_ref().map_or((mod_revision, 1), |kv| (kv.create_revision, kv.version + 1));
        let kv = mvccpb::KeyValue { key: r.key.clone(), create_revision, mod_revision, version, value, lease };
        self.write(&r.key, Some(kv));
        Ok(pb::PutResponse { header: None, prev_kv: before.filter(|_| r.prev_kv).map(|kv| wire(&kv)) })
    }

    pub(super) fn delete(&mut self, r: &pb::DeleteRangeRequest) -> pb::DeleteRangeResponse {
        let keys: Vec<Bytes> = self.now.keys().filter(|key| in_range(key, &r.key, &r.range_end)).cloned().collect();
        let mut prev_kvs = Vec::new();
        for key in &keys {
            prev_kvs.extend(self.now.get(key).filter(|_| r.prev_kv).map(wire));
            self.write(key, None);
        }
        pb::DeleteRangeResponse { header: None, deleted: keys.len() as i64, prev_kvs }
    }

    pub(super) fn attached(&self, lease: i64) -> Vec<Bytes> {
        self.now.values().filter(|kv| kv.lease == lease).map(|kv| kv.key.clone()).collect()
    }

    pub(super) fn revoke(&mut self, lease: i64) -> i64 {
        let keys = self.attached(lease);
        keys.iter().for_each(|key| self.write(key, None));
        keys.len() as i64
    }

    pub(super) fn compact(&mut self, revision: i64) -> Result<(), Refusal> {
        if revision <= self.compact {
            return Err(Refusal::Compacted);
        }
        if revision > self.revision {
            return Err(Refusal::FutureRevision);
        }
        self.compact = revision;
        Ok(())
    }

    pub(super) fn txn(&mut self, r: &pb::TxnRequest) -> Result<pb::TxnResponse, Refusal> {
        let before = self.now.clone();
        self.check(r, &before, true)?;
        self.check(r, &before, false)?;
        self.run(r, &before)
    }

    fn branch<'r>(r: &'r pb::TxnRequest, before: &Kvs) -> (bool, &'r [pb::RequestOp]) {
        let holds = r.compare.iter().all(|c| compare(c, before));
        (holds, if holds { &r.success } else { &r.failure })
    }

    fn check(&self, r: &pb::TxnRequest, before: &Kvs, puts: bool) -> Result<(), Refusal> {
        for op in Self::branch(r, before).1 {
            match op.request.as_ref().expect("tests send no empty operation") {
                Request::RequestPut(put) if puts => {
                    if (put.ignore_value || put.ignore_lease) && !before.contains_key(&put.key) {
                        return Err(Refusal::KeyNotFound);
                    }
                    if put.lease != 0 && !LEASES.contains(&put.lease) {
                        return Err(Refusal::LeaseNotFound);
                    }
                }
                Request::RequestRange(range) if !puts => {
                    if range.revision > self.revision {
                        return Err(Refusal::FutureRevision);
                    }
                    if range.revision != 0 && range.revision < self.compact {
                        return Err(Refusal::Compacted);
                    }
                }
                Request::RequestTxn(inner) => self.check(inner, before, puts)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn run(&mut self, r: &pb::TxnRequest, before: &Kvs) -> Result<pb::TxnResponse, Refusal> {
        let (succeeded, ops) = Self::branch(r, before);
        let mut responses = Vec::new();
        for op in ops {
            let header = |revision| Some(pb::ResponseHeader { revision, ..Default::default() });
            responses.push(match op.request.as_ref().expect("tests send no empty operation") {
                Request::RequestPut(put) => {
                    let response = self.put(put)?;
                    Response::ResponsePut(pb::PutResponse { header: header(self.revision + 1), ..response })
                }
                Request::RequestDeleteRange(delete) => {
                    let response = self.delete(delete);
                    let revision = self.revision + i64::from(self.open > 0);
                    Response::ResponseDeleteRange(pb::DeleteRangeResponse { header: header(revision), ..response })
                }
                Request::RequestRange(range) => {
                    let kvs = if range.revision <= 0 { self.now.clone() } else { self.at(range.revision) };
                    let (kvs, more, count) = self::range(range, &kvs);
                    let revision = self.revision + i64::from(self.open > 0);
                    Response::ResponseRange(pb::RangeResponse { header: header(revision), kvs, more, count })
                }
                Request::RequestTxn(inner) => {
                    let response = self.run(inner, before)?;
                    Response::ResponseTxn(pb::TxnResponse { header: header(0), ..response })
                }
            });
        }
        let responses = responses.into_iter().map(|r| pb::ResponseOp { response: Some(r) }).collect();
        Ok(pb::TxnResponse { header: None, succeeded, responses })
    }

    /// etcd's hash, computed from its definition.
    pub(super) fn hash(&self, at: i64) -> u32 {
        let mut bytes = b"key".to_vec();
        for (number, row) in self.rows.iter().enumerate().filter(|(_, row)| row.main <= at) {
            if row.main <= self.compact {
                let mut later = self.rows[number + 1..].iter();
                let superseded = later.any(|other| other.main <= at && other.key == row.key);
                if superseded || row.kv.is_none() {
                    continue;
                }
            }
            bytes.extend(row.main.to_be_bytes());
            bytes.push(b'_');
            bytes.extend(row.sub.to_be_bytes());
            match &row.kv {
                Some(kv) => bytes.extend(kv.encode_to_vec()),
                None => {
                    bytes.push(b't');
                    bytes.extend(mvccpb::KeyValue { key: row.key.clone(), ..Default::default() }.encode_to_vec());
                }
            }
        }
        crc32c::crc32c(&bytes)
    }

    /// Bytes in use, beside what an empty store takes.
    pub(super) fn in_use(&self) -> i64 {
        let live: i64 = self.at(self.compact).values().map(|kv| row_bytes(kv.encoded_len())).sum();
        let since = self.rows.iter().filter(|row| row.main > self.compact).map(|row| {
            let tombstone = mvccpb::KeyValue { key: row.key.clone(), mod_revision: row.main, ..Default::default() };
            row_bytes(row.kv.as_ref().unwrap_or(&tombstone).encoded_len())
        });
        live + since.sum::<i64>()
    }
}

pub(super) fn wire(kv: &mvccpb::KeyValue) -> fairlead_proto::encoded::KeyValue {
    fairlead_proto::encoded::KeyValue(kv.encode_to_vec().into())
}

/// A range's records, `more` and count.
pub(super) fn range(r: &pb::RangeRequest, kvs: &Kvs) -> (Vec<fairlead_proto::encoded::KeyValue>, bool, i64) {
    let all: Vec<&mvccpb::KeyValue> = kvs.values().filter(|kv| in_range(&kv.key, &r.key, &r.range_end)).collect();
    let count = all.len() as i64;
    if r.count_only {
        return (Vec::new(), false, count);
    }
    let bound = |min: i64, max: i64, is: i64| (min == 0 || is >= min) && (max == 0 || is <= max);
    let mut kept: Vec<mvccpb::KeyValue> = all
        .into_iter()
        .filter(|kv| bound(r.min_mod_revision, r.max_mod_revision, kv.mod_revision))
        .filter(|kv| bound(r.min_create_revision, r.max_create_revision, kv.create_revision))
        .cloned()
        .collect();
    let bounds = [r.min_mod_revision, r.max_mod_revision, r.min_create_revision, r.max_create_revision];
    if r.limit > 0 && r.sort_order() == SortOrder::None && bounds == [0; 4] {
        // etcd cuts before it sorts then, but for one that tells it of more.
        kept.truncate(r.limit as usize + 1);
    }
    let target = r.sort_target();
    let by = |a: &mvccpb::KeyValue, b: &mvccpb::KeyValue| match target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    };
    if r.sort_order() == SortOrder::Descend {
        kept.sort_by(|a, b| by(b, a));
    } else {
        kept.sort_by(by);
    }
    let more = r.limit > 0 && kept.len() as i64 > r.limit;
    if more {
        kept.truncate(r.limit as usize);
    }
    if r.keys_only {
        for kv in &mut kept {
            kv.value = Bytes::new();
            kv.lease = if target == SortTarget::Value { kv.lease } else { 0 };
        }
    }
    (kept.iter().map(wire).collect(), more, count)
}

fn compare(c: &pb::Compare, kvs: &Kvs) -> bool {
    let found: Vec<&mvccpb::KeyValue> = kvs.values().filter(|kv| in_range(&kv.key, &c.key, &c.range_end)).collect();
    let missing = mvccpb::KeyValue::default();
    if found.is_empty() {
        return c.target() != CompareTarget::Value && compare_one(c, &missing);
    }
    found.into_iter().all(|kv| compare_one(c, kv))
}

fn compare_one(c: &pb::Compare, kv: &mvccpb::KeyValue) -> bool {
    let ordering = match c.target_union.as_ref().expect("tests give what to compare with") {
        TargetUnion::Version(n) => kv.version.cmp(n),
        TargetUnion::CreateRevision(n) => kv.create_revision.cmp(n),
        TargetUnion::ModRevision(n) => kv.mod_revision.cmp(n),
        TargetUnion::Lease(n) => kv.lease.cmp(n),
        TargetUnion::Value(v) => kv.value.cmp(v),
    };
    match c.result() {
        CompareResult::Equal => ordering.is_eq(),
        CompareResult::NotEqual => ordering.is_ne(),
        CompareResult::Greater => ordering.is_gt(),
        CompareResult::Less => ordering.is_lt(),
    }
}
