//! Gets of one of 10,000 keys of 256 B: linearizable, which any member must prove with its leader, or serializable.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb::RangeRequest;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::Status;
use tonic::transport::Channel;

use super::fill::{KEYS, VALUE_BYTES, ensure, key};
use crate::Error;
use crate::closed_loop::{Client, Done, ONE, Window, drive};
use crate::connect::kvs;
use crate::sample::Sample;
use crate::target::Running;
use crate::values::Random;

/// The set that gets read, and nobody else writes.
const SET: &str = "get";

/// A client that gets.
pub(super) struct Getter {
    kv: KvClient<Channel>,
    random: Random,
    serializable: bool,
}

impl Getter {
    /// So many, over their shared connections, and what they read.
    pub(super) async fn many(
        target: &Running,
        endpoints: &[String],
        clients: usize,
        serializable: bool,
    ) -> Result<Vec<Getter>, Error> {
        ensure(target, SET, KEYS, VALUE_BYTES).await?;
        let kvs = kvs(endpoints, clients).await?;
        Ok((1..).zip(kvs).map(|(seed, kv)| Getter { kv, random: Random::new(seed), serializable }).collect())
    }
}

impl Client for Getter {
    async fn step(&mut self) -> Result<Done, Status> {
        let key = Bytes::from(key(SET, self.random.below(KEYS)));
        let request = RangeRequest { key, serializable: self.serializable, ..Default::default() };
        let answer = self.kv.range(request).await?.into_inner();
        match answer.kvs.len() {
            1 => Ok(ONE),
            _ => Err(Status::data_loss("a key that was written is not there")),
        }
    }
}

pub(super) async fn measure(
    target: &Running,
    endpoints: &[String],
    clients: usize,
    serializable: bool,
    window: Window,
) -> Result<Sample, Error> {
    Ok(drive(target, Getter::many(target, endpoints, clients, serializable).await?, window).await?.sample())
}
