//! Puts of 256 B to one of 10,000 keys.
//!
//! With one client every put waits for a majority's syncs of its own, so a target whose members count fewer does not sync:
//! its sample is invalid.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb::PutRequest;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::Status;
use tonic::transport::Channel;

use super::fill::{KEYS, VALUE_BYTES, key};
use crate::Error;
use crate::closed_loop::{Client, Done, ONE, Window, drive};
use crate::connect::kvs;
use crate::sample::{Figure, Sample};
use crate::target::Running;
use crate::values::{Random, value};

/// Counts of a window's edges may belong to the next.
const SYNCS_PART_MIN: f64 = 0.95;

/// A client that puts.
pub(super) struct Putter {
    kv: KvClient<Channel>,
    random: Random,
}

impl Putter {
    /// So many, over their shared connections; each has a sequence of its own.
    pub(super) async fn many(endpoints: &[String], clients: usize) -> Result<Vec<Putter>, Error> {
        let kvs = kvs(endpoints, clients).await?;
        Ok((1..).zip(kvs).map(|(seed, kv)| Putter { kv, random: Random::new(seed) }).collect())
    }
}

impl Client for Putter {
    async fn step(&mut self) -> Result<Done, Status> {
        let key = Bytes::from(key("put", self.random.below(KEYS)));
        let value = value(&mut self.random, VALUE_BYTES);
        self.kv.put(PutRequest { key, value, ..Default::default() }).await?;
        Ok(ONE)
    }
}

pub(super) async fn measure(
    target: &Running,
    endpoints: &[String],
    clients: usize,
    window: Window,
) -> Result<Sample, Error> {
    let seen = drive(target, Putter::many(endpoints, clients).await?, window).await?;
    let syncs = seen.syncs_each();
    let mut sample = seen.sample().with_some(Figure::Syncs, syncs);
    let majority = (target.endpoints.len() / 2 + 1) as f64;
    if let Some(syncs) = syncs.filter(|syncs| clients == 1 && *syncs < majority * SYNCS_PART_MIN) {
        sample.refuse(|| {
            format!("{syncs:.2} syncs a put of a lone client: a majority is {majority}, so this does not sync")
        });
    }
    if syncs == Some(0.0) {
        sample.refuse(|| "it does not sync".to_owned());
    }
    Ok(sample)
}
