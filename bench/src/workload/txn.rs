//! A guaranteed update as Kubernetes sends it: if the key is at the revision last seen, put; otherwise get.
//!
//! Each client has keys of its own, as each node has a lease of its own, so nearly all succeed.
//! Source: kubernetes `staging/src/k8s.io/apiserver/pkg/storage/etcd3/store.go` (the request's shape).

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::Status;
use tonic::transport::Channel;

use crate::Error;
use crate::closed_loop::{Client, Done, ONE, Window, drive};
use crate::connect::kvs;
use crate::sample::{Figure, Sample};
use crate::target::Running;
use crate::values::{Random, value};

const KEYS_EACH: u64 = 16;
const VALUE_BYTES: usize = 1024;

/// A key, and the revision at which its owner has seen it last; 0 where it is not there.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) key: Bytes,
    pub(super) revision: i64,
}

/// Updates a key, or learns its revision. Whether it was updated.
pub(super) async fn update(kv: &mut KvClient<Channel>, owned: &mut Owned, value: Bytes) -> Result<bool, Status> {
    let put = pb::PutRequest { key: owned.key.clone(), value, ..Default::default() };
    let answer = kv.txn(guarded(owned, pb::request_op::Request::RequestPut(put))).await?.into_inner();
    if answer.succeeded {
        owned.revision = answer.header.map_or(0, |header| header.revision);
        return Ok(true);
    }
    let range = answer.responses.into_iter().find_map(|response| match response.response {
        Some(pb::response_op::Response::ResponseRange(range)) => Some(range),
        _ => None,
    });
    let range = range.ok_or_else(|| Status::data_loss("a transaction that failed has no range"))?;
    owned.revision = range.kvs.first().map_or(0, |kv| kv.mod_revision);
    Ok(false)
}

/// `then` if the key is at its revision, else a get.
pub(super) fn guarded(owned: &Owned, then: pb::request_op::Request) -> pb::TxnRequest {
    let get = pb::RangeRequest { key: owned.key.clone(), ..Default::default() };
    let op = |request| vec![pb::RequestOp { request: Some(request) }];
    pb::TxnRequest {
        compare: vec![pb::Compare {
            key: owned.key.clone(),
            result: pb::compare::CompareResult::Equal.into(),
            target: pb::compare::CompareTarget::Mod.into(),
            target_union: Some(pb::compare::TargetUnion::ModRevision(owned.revision)),
            ..Default::default()
        }],
        success: op(then),
        failure: op(pb::request_op::Request::RequestRange(get)),
    }
}

struct Updater {
    kv: KvClient<Channel>,
    random: Random,
    keys: Vec<Owned>,
}

impl Client for Updater {
    async fn step(&mut self) -> Result<Done, Status> {
        let at = self.random.below(KEYS_EACH) as usize;
        update(&mut self.kv, &mut self.keys[at], value(&mut self.random, VALUE_BYTES)).await?;
        Ok(ONE)
    }
}

pub(super) async fn measure(target: &Running, clients: usize, window: Window) -> Result<Sample, Error> {
    let owned = |client: u64, at| Owned { key: format!("bench/txn/{client:04}/{at:02}").into(), revision: 0 };
    let kvs = kvs(&target.endpoints, clients).await?;
    let clients = (1..).zip(kvs).map(|(client, kv)| Updater {
        kv,
        random: Random::new(client),
        keys: (0..KEYS_EACH).map(|at| owned(client, at)).collect(),
    });
    let seen = drive(target, clients.collect(), window).await?;
    Ok(seen.sample().with_some(Figure::Syncs, seen.syncs_each()))
}
