//! What an API server asks: of 100 requests 50 update a node's lease, 20 get an object, 22 update it or create it anew, 3
//! delete one, 5 list a page of 500. 64 clients, and a watcher of everything on each member, as an API server has.
//!
//! Leases have 400 B, objects 2 KiB; each client has objects of its own. Counted are requests, of all kinds together.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use super::fill::ensure;
use super::txn::{Owned, guarded, update};
use super::watch::open;
use crate::Error;
use crate::closed_loop::{Client, Done, ONE, Window, drive};
use crate::connect::{channel, kvs};
use crate::sample::Sample;
use crate::target::Running;
use crate::values::{Random, value};

const CLIENTS: usize = 64;
const LEASES_EACH: u64 = 16;
const OBJECTS_EACH: u64 = 32;
const LEASE_BYTES: usize = 400;
const OBJECT_BYTES: usize = 2048;
const PAGE: i64 = 500;
/// Objects that are there and that nobody changes, so that a page is a full one from the start.
const STILL: u64 = 2_000;
/// The set of the still ones; objects and leases lie behind it.
const SET: &str = "mix";

struct Kube {
    kv: KvClient<Channel>,
    random: Random,
    leases: Vec<Owned>,
    objects: Vec<Owned>,
}

impl Kube {
    async fn get(&mut self, at: usize) -> Result<(), Status> {
        let request = pb::RangeRequest { key: self.objects[at].key.clone(), ..Default::default() };
        let answer = self.kv.range(request).await?.into_inner();
        self.objects[at].revision = answer.kvs.first().map_or(0, |kv| kv.mod_revision);
        Ok(())
    }

    async fn update(&mut self, at: usize) -> Result<(), Status> {
        let value = value(&mut self.random, OBJECT_BYTES);
        update(&mut self.kv, &mut self.objects[at], value).await.map(drop)
    }

    /// Deleted where it is there; the next update creates it.
    async fn delete(&mut self, at: usize) -> Result<(), Status> {
        let object = &mut self.objects[at];
        let delete = pb::DeleteRangeRequest { key: object.key.clone(), prev_kv: true, ..Default::default() };
        let txn = guarded(object, pb::request_op::Request::RequestDeleteRange(delete));
        self.kv.txn(txn).await?;
        object.revision = 0;
        Ok(())
    }

    async fn list(&mut self) -> Result<(), Status> {
        let (key, range_end) = super::fill::bounds(SET);
        let request = pb::RangeRequest { key, range_end, limit: PAGE, ..Default::default() };
        match self.kv.range(request).await?.into_inner().kvs.len() as i64 {
            PAGE => Ok(()),
            short => Err(Status::data_loss(format!("a page of {short} keys"))),
        }
    }
}

impl Client for Kube {
    async fn step(&mut self) -> Result<Done, Status> {
        let object = self.random.below(OBJECTS_EACH) as usize;
        match self.random.below(100) {
            0..50 => {
                let lease = self.random.below(LEASES_EACH) as usize;
                let value = value(&mut self.random, LEASE_BYTES);
                update(&mut self.kv, &mut self.leases[lease], value).await?;
            }
            50..70 => self.get(object).await?,
            70..92 => self.update(object).await?,
            92..95 => self.delete(object).await?,
            _ => self.list().await?,
        }
        Ok(ONE)
    }
}

pub(super) async fn measure(target: &Running, window: Window) -> Result<Sample, Error> {
    ensure(target, SET, STILL, OBJECT_BYTES).await?;
    let mut watchers = JoinSet::new();
    for url in &target.endpoints {
        let everything = (Bytes::from_static(b"bench/kube/"), Bytes::from_static(b"bench/kube0"));
        let mut stream = open(channel(url).await?, everything).await.map_err(Error::request("watch"))?;
        watchers.spawn(async move { while let Ok(Some(_)) = stream.events.message().await {} });
    }
    let owned = |kind: &str, client: u64, keys: u64| -> Vec<Owned> {
        let key = |at| format!("bench/kube/{kind}/{client:03}/{at:03}").into();
        (0..keys).map(|at| Owned { key: key(at), revision: 0 }).collect()
    };
    let kvs = kvs(&target.endpoints, CLIENTS).await?;
    let clients = (1..).zip(kvs).map(|(client, kv)| Kube {
        kv,
        random: Random::new(client),
        leases: owned("leases", client, LEASES_EACH),
        objects: owned("pods", client, OBJECTS_EACH),
    });
    let seen = drive(target, clients.collect(), window).await;
    watchers.shutdown().await;
    Ok(seen?.sample())
}
