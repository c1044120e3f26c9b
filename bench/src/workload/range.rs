//! Lists of 10,000 keys of 1 KiB: in one reply of 11 MB, in pages of 500 at one revision as Kubernetes asks, or by etcd 3.7's
//! RangeStream. Counted are keys; a latency is that of a whole list.

use fairlead_proto::etcd::etcdserverpb::RangeRequest;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::fill::{bounds, ensure};
use crate::Error;
use crate::closed_loop::{Client, Done, Window, drive};
use crate::connect::kvs;
use crate::sample::Sample;
use crate::target::Running;

const SET: &str = "range";
const KEYS: u64 = 10_000;
const VALUE_BYTES: usize = 1024;
const PAGE: i64 = 500;

/// How a list is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// In one reply.
    Reply,
    /// Page after page.
    Pages,
    /// In one stream.
    Stream,
}

struct Lister {
    kv: KvClient<Channel>,
    way: Way,
}

impl Lister {
    async fn pages(&mut self) -> Result<u64, Status> {
        let (mut key, range_end) = bounds(SET);
        let (mut revision, mut keys) = (0, 0);
        loop {
            let range_end = range_end.clone();
            let request = RangeRequest { key, range_end, limit: PAGE, revision, ..Default::default() };
            let page = self.kv.range(request).await?.into_inner();
            keys += page.kvs.len() as u64;
            if revision == 0 {
                revision = page.header.map_or(0, |header| header.revision);
            }
            match page.kvs.last().filter(|_| page.more) {
                Some(last) => key = [&last.key[..], b"\0"].concat().into(),
                None => return Ok(keys),
            }
        }
    }

    async fn stream(&mut self) -> Result<u64, Status> {
        let mut stream = self.kv.range_stream(whole()).await?.into_inner();
        let mut keys = 0;
        while let Some(part) = stream.message().await? {
            keys += part.range_response.map_or(0, |range| range.kvs.len() as u64);
        }
        Ok(keys)
    }
}

fn whole() -> RangeRequest {
    let (key, range_end) = bounds(SET);
    RangeRequest { key, range_end, ..Default::default() }
}

impl Client for Lister {
    async fn step(&mut self) -> Result<Done, Status> {
        let keys = match self.way {
            Way::Reply => self.kv.range(whole()).await?.into_inner().kvs.len() as u64,
            Way::Pages => self.pages().await?,
            Way::Stream => self.stream().await?,
        };
        match keys {
            KEYS => Ok(Done { class: 0, units: KEYS }),
            other => Err(Status::data_loss(format!("{other} of {KEYS} keys"))),
        }
    }
}

pub(super) async fn measure(target: &Running, clients: usize, way: Way, window: Window) -> Result<Sample, Error> {
    ensure(target, SET, KEYS, VALUE_BYTES).await?;
    let kvs = kvs(&target.endpoints, clients).await?;
    let mut clients: Vec<Lister> = kvs.into_iter().map(|kv| Lister { kv, way }).collect();
    match clients[0].step().await {
        Err(status) if status.code() == Code::Unimplemented => Err(Error::Unable("it has no RangeStream".to_owned())),
        Err(status) => Err(Error::request("list")(status)),
        Ok(_) => Ok(drive(target, clients, window).await?.sample()),
    }
}
