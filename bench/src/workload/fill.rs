//! Keys that a workload finds: put once, by transactions of 100, when they are not there.

use bytes::Bytes;
use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::transport::Channel;

use crate::Error;
use crate::connect::kvs;
use crate::target::Running;
use crate::values::{Random, value};

/// Keys that puts and gets draw from.
pub(super) const KEYS: u64 = 10_000;
/// Bytes of their values.
pub(super) const VALUE_BYTES: usize = 256;

/// Puts in a transaction: below etcd's bound of 128.
const TXN_PUTS: u64 = 100;

/// A key of a set.
pub(super) fn key(set: &str, at: u64) -> String {
    format!("bench/{set}/{at:010}")
}

/// First and end of a set's keys.
pub(super) fn bounds(set: &str) -> (Bytes, Bytes) {
    (Bytes::from(format!("bench/{set}/")), Bytes::from(format!("bench/{set}0")))
}

/// How many keys there are in a set.
pub(super) async fn count(kv: &mut KvClient<Channel>, set: &str) -> Result<u64, Error> {
    let (key, range_end) = bounds(set);
    let request = pb::RangeRequest { key, range_end, count_only: true, ..Default::default() };
    let answer = kv.range(request).await.map_err(Error::request("count keys"))?.into_inner();
    Ok(u64::try_from(answer.count).unwrap_or_default())
}

/// Makes sure that the set has `keys` keys with values of `bytes`.
pub(super) async fn ensure(target: &Running, set: &str, keys: u64, bytes: usize) -> Result<(), Error> {
    let mut kv = kvs(&target.endpoints, 1).await?.remove(0);
    if count(&mut kv, set).await? == keys {
        return Ok(());
    }
    let mut random = Random::new(keys);
    for first in (0..keys).step_by(TXN_PUTS as usize) {
        let mut put = |at| {
            let put =
                pb::PutRequest { key: key(set, at).into(), value: value(&mut random, bytes), ..Default::default() };
            pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
        };
        let success = (first..keys.min(first + TXN_PUTS)).map(&mut put).collect();
        let txn = pb::TxnRequest { success, ..Default::default() };
        kv.txn(txn).await.map_err(Error::request("fill"))?;
    }
    Ok(())
}
