//! TEMPORARY: replaced by branch mvcc.
#![allow(missing_docs)]
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fairlead_proto::encoded;
use fairlead_proto::etcd::mvccpb;
use fairlead_proto::served::etcdserverpb as pb;
use pb::request_op::Request;
use pb::response_op::Response;
use prost::Message;

use crate::apply::Refusal;
use crate::engine;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("required revision has been compacted")]
    Compacted,
    #[error("required revision is a future revision")]
    FutureRevision,
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    pub total: i64,
    pub in_use: i64,
}

pub struct Ranged {
    pub kvs: Vec<encoded::KeyValue>,
    pub more: bool,
    pub count: i64,
}

pub struct Hashed {
    pub hash: u32,
    pub compact_revision: i64,
    pub hash_revision: i64,
}

#[derive(Clone)]
struct Model {
    revision: i64,
    compacted: i64,
    keys: BTreeMap<Bytes, Vec<(i64, Option<mvccpb::KeyValue>)>>,
    sizes: Sizes,
}

#[derive(Clone)]
pub struct Mvcc {
    model: Arc<Mutex<Model>>,
}

pub struct Writer {
    model: Arc<Mutex<Model>>,
}

pub struct View<'a> {
    model: Model,
    lifetime: std::marker::PhantomData<&'a ()>,
}

impl Mvcc {
    #[must_use]
    pub fn model() -> (Mvcc, Writer) {
        let model = Model { revision: 1, compacted: -1, keys: BTreeMap::new(), sizes: Sizes::default() };
        let model = Arc::new(Mutex::new(model));
        (Mvcc { model: model.clone() }, Writer { model })
    }
    pub fn read<T>(&self, f: impl FnOnce(&View<'_>) -> T) -> T {
        let model = self.model.lock().expect("test").clone();
        f(&View { model, lifetime: std::marker::PhantomData })
    }
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.model.lock().expect("test").revision
    }
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.model.lock().expect("test").compacted
    }
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.model.lock().expect("test").sizes
    }
    pub fn defragmented(&self) {
        let mut model = self.model.lock().expect("test");
        model.sizes.total = model.sizes.in_use;
    }
    pub async fn physical_done(&self, _revision: i64) {}
}

impl Model {
    fn at(&self, key: &Bytes, revision: i64) -> Option<&mvccpb::KeyValue> {
        self.keys.get(key)?.iter().rev().find(|(at, _)| *at <= revision)?.1.as_ref()
    }
    fn within(&self, key: &[u8], end: &[u8], revision: i64) -> Vec<mvccpb::KeyValue> {
        let inside = |k: &[u8]| match end {
            b"" => k == key,
            b"\0" => k >= key,
            end => k >= key && k < end,
        };
        self.keys.keys().filter(|k| inside(k)).filter_map(|k| self.at(k, revision)).cloned().collect()
    }
}

impl View<'_> {
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.model.revision
    }
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.model.compacted
    }
    pub fn range(&self, r: &pb::RangeRequest) -> Result<Ranged, Error> {
        if r.revision > self.model.revision {
            return Err(Error::FutureRevision);
        }
        let revision = if r.revision <= 0 { self.model.revision } else { r.revision };
        if revision < self.model.compacted {
            return Err(Error::Compacted);
        }
        let mut kvs = self.model.within(&r.key, &r.range_end, revision);
        let count = kvs.len() as i64;
        if r.max_create_revision > 0 {
            kvs.retain(|kv| kv.create_revision <= r.max_create_revision);
        }
        if r.sort_target == pb::range_request::SortTarget::Create as i32 {
            kvs.sort_by_key(|kv| kv.create_revision);
        }
        if r.sort_order == 2 {
            kvs.reverse();
        }
        let more = r.limit > 0 && kvs.len() as i64 > r.limit;
        if r.limit > 0 {
            kvs.truncate(r.limit as usize);
        }
        if r.count_only {
            kvs.clear();
        }
        let kvs = kvs.into_iter().map(|mut kv| {
            if r.keys_only {
                kv.value = Bytes::new();
            }
            encoded::KeyValue(kv.encode_to_vec().into())
        });
        Ok(Ranged { kvs: kvs.collect(), more, count })
    }
    pub fn txn_read(&self, r: &pb::TxnRequest) -> Result<pb::TxnResponse, Error> {
        let succeeded = r.compare.iter().all(|c| self.holds(c));
        let mut responses = Vec::new();
        for op in if succeeded { &r.success } else { &r.failure } {
            let Some(Request::RequestRange(range)) = &op.request else { panic!("not a read") };
            let ranged = self.range(range)?;
            let range = pb::RangeResponse {
                header: Some(pb::ResponseHeader::default()),
                kvs: ranged.kvs,
                more: ranged.more,
                count: ranged.count,
            };
            responses.push(pb::ResponseOp { response: Some(Response::ResponseRange(range)) });
        }
        Ok(pb::TxnResponse { header: None, succeeded, responses })
    }
    fn holds(&self, c: &pb::Compare) -> bool {
        let kv = self.model.at(&c.key, self.model.revision).cloned().unwrap_or_default();
        let (found, wanted) = match &c.target_union {
            Some(pb::compare::TargetUnion::CreateRevision(n)) => (kv.create_revision, *n),
            Some(pb::compare::TargetUnion::ModRevision(n)) => (kv.mod_revision, *n),
            Some(pb::compare::TargetUnion::Version(n)) => (kv.version, *n),
            _ => (0, 0),
        };
        found == wanted
    }
    pub fn hash_kv(&self, revision: i64) -> Result<Hashed, Error> {
        if revision > self.model.revision {
            return Err(Error::FutureRevision);
        }
        Ok(Hashed { hash: 7, compact_revision: self.model.compacted, hash_revision: self.model.revision })
    }
    pub fn hash(&self) -> Result<u32, Error> {
        Ok(7)
    }
}

pub struct Group<'a> {
    model: std::sync::MutexGuard<'a, Model>,
}

impl Writer {
    pub fn begin(&mut self) -> Group<'_> {
        Group { model: self.model.lock().expect("test") }
    }
}

impl Group<'_> {
    fn write(&mut self, r: &pb::PutRequest, revision: i64) {
        let old = self.model.at(&r.key, i64::MAX).cloned();
        let kv = mvccpb::KeyValue {
            key: r.key.clone(),
            value: r.value.clone(),
            lease: r.lease,
            create_revision: old.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: old.map_or(1, |kv| kv.version + 1),
        };
        let size = (r.key.len() + r.value.len()) as i64;
        self.model.sizes.total += size;
        self.model.keys.entry(r.key.clone()).or_default().push((revision, Some(kv)));
    }
    fn erase(&mut self, r: &pb::DeleteRangeRequest, revision: i64) -> i64 {
        let found = self.model.within(&r.key, &r.range_end, i64::MAX);
        for kv in &found {
            self.model.keys.entry(kv.key.clone()).or_default().push((revision, None));
        }
        found.len() as i64
    }
    pub fn put(&mut self, r: &pb::PutRequest, lease_exists: &dyn Fn(i64) -> bool) -> Result<pb::PutResponse, Refusal> {
        if r.lease != 0 && !lease_exists(r.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        let next = self.model.revision + 1;
        self.write(r, next);
        self.model.revision = next;
        Ok(pb::PutResponse::default())
    }
    pub fn delete_range(&mut self, r: &pb::DeleteRangeRequest) -> Result<pb::DeleteRangeResponse, Refusal> {
        let next = self.model.revision + 1;
        let deleted = self.erase(r, next);
        if deleted > 0 {
            self.model.revision = next;
        }
        Ok(pb::DeleteRangeResponse { deleted, ..Default::default() })
    }
    pub fn txn(&mut self, r: &pb::TxnRequest, lease_exists: &dyn Fn(i64) -> bool) -> Result<pb::TxnResponse, Refusal> {
        let view = View { model: self.model.clone(), lifetime: std::marker::PhantomData };
        let succeeded = r.compare.iter().all(|c| view.holds(c));
        let next = self.model.revision + 1;
        let mut changed = false;
        let mut responses = Vec::new();
        for op in if succeeded { &r.success } else { &r.failure } {
            let response = match &op.request {
                Some(Request::RequestPut(put)) => {
                    if put.lease != 0 && !lease_exists(put.lease) {
                        return Err(Refusal::LeaseNotFound);
                    }
                    self.write(put, next);
                    changed = true;
                    Response::ResponsePut(pb::PutResponse::default())
                }
                Some(Request::RequestDeleteRange(delete)) => {
                    let deleted = self.erase(delete, next);
                    changed |= deleted > 0;
                    Response::ResponseDeleteRange(pb::DeleteRangeResponse { deleted, ..Default::default() })
                }
                Some(Request::RequestRange(range)) => {
                    let view = View { model: self.model.clone(), lifetime: std::marker::PhantomData };
                    let ranged = view
                        .range(&pb::RangeRequest { revision: 0, ..range.clone() })
                        .map_err(|_| Refusal::Compacted)?;
                    let kvs = self.model.within(&range.key, &range.range_end, i64::MAX);
                    let kvs = if changed && range.limit == 0 {
                        kvs.iter().map(|kv| encoded::KeyValue(kv.encode_to_vec().into())).collect()
                    } else {
                        ranged.kvs
                    };
                    Response::ResponseRange(pb::RangeResponse { kvs, count: ranged.count, ..Default::default() })
                }
                _ => panic!("nested in the model"),
            };
            responses.push(pb::ResponseOp { response: Some(response) });
        }
        if changed {
            self.model.revision = next;
        }
        Ok(pb::TxnResponse { header: None, succeeded, responses })
    }
    pub fn compact(&mut self, revision: i64) -> Result<(), Refusal> {
        if revision <= self.model.compacted {
            return Err(Refusal::Compacted);
        }
        if revision > self.model.revision {
            return Err(Refusal::FutureRevision);
        }
        self.model.compacted = revision;
        Ok(())
    }
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.model.revision
    }
}
