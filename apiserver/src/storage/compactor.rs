//! Compaction as upstream's apiservers do it: several of them, ours and theirs, on one store, and no compaction comes early.
//!
//! The key `compact_rev_key` is a clock that all of them share: its version counts intervals, its value is the revision that
//! the store is compacted to in that one. Each interval every apiserver tries to move it on from the version that it saw
//! last; the first one wins and compacts to the revision that *it* saw one interval ago. So history is kept for one to two
//! intervals.
//! Source: apiserver `storage/etcd3/compact.go`.

use std::time::Duration;

use fairlead_client::etcd::pb::compare::{CompareTarget, TargetUnion};
use fairlead_client::etcd::pb::request_op::Request;
use fairlead_client::etcd::pb::response_op::Response;
use fairlead_client::etcd::{self, Client, kv, pb};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const KEY: &str = "compact_rev_key";

/// Compacts a store every interval.
#[derive(Debug)]
pub struct Compactor {
    client: Client,
    interval: Duration,
}

impl Compactor {
    /// For this store; upstream's interval is five minutes (`--etcd-compaction-interval`).
    #[must_use]
    pub fn new(client: Client, interval: Duration) -> Self {
        Compactor { client, interval }
    }

    /// Compacts until it is told to end. What fails is tried again in the next interval.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut seen = Seen::default();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = sleep(self.interval) => {}
            }
            match self.tick(&mut seen).await {
                Ok(None) => {}
                Ok(Some(revision)) => tracing::info!(revision, "store is compacted"),
                Err(error) => tracing::warn!(%error, "compaction failed, tried again in the next interval"),
            }
        }
    }

    /// One interval; returns the revision compacted to, if it was our turn.
    async fn tick(&self, seen: &mut Seen) -> Result<Option<i64>, etcd::Error> {
        let response = self.client.txn(seen.claim()).await?;
        let Some(revision) = seen.learn(&response) else { return Ok(None) };
        let compaction = pb::CompactionRequest { revision, physical: false };
        match self.client.compact(compaction).await {
            Ok(_) => Ok(Some(revision)),
            // Somebody was further than we thought; that is what was wanted.
            Err(etcd::Error::Refused { message, .. }) if message.ends_with("has been compacted") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What an apiserver knows of the shared clock. Pure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The key's version.
    time: i64,
    /// The store's revision at that time.
    revision: i64,
}

impl Seen {
    /// Moves the clock on, if nobody has meanwhile.
    fn claim(self) -> pb::TxnRequest {
        let compare = pb::Compare {
            key: KEY.into(),
            target: CompareTarget::Version as i32,
            target_union: Some(TargetUnion::Version(self.time)),
            ..Default::default()
        };
        let op = |request| vec![pb::RequestOp { request: Some(request) }];
        pb::TxnRequest {
            compare: vec![compare],
            success: op(Request::RequestPut(kv::put(KEY, self.revision.to_string()))),
            failure: op(Request::RequestRange(kv::key(KEY))),
        }
    }

    /// The claim's outcome; returns the revision to compact to, if it was ours.
    fn learn(&mut self, response: &pb::TxnResponse) -> Option<i64> {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        if response.succeeded {
            let won = std::mem::replace(self, Seen { time: self.time + 1, revision });
            // At its first turn it has not seen an interval pass.
            return (won.revision > 0).then_some(won.revision);
        }
        let read = response.responses.first().and_then(|op| op.response.as_ref());
        let time = match read {
            Some(Response::ResponseRange(range)) => range.kvs.first().map_or(0, |kv| kv.version),
            _ => 0,
        };
        *self = Seen { time, revision };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_client::etcd::mvccpb;

    fn won(revision: i64) -> pb::TxnResponse {
        let header = Some(pb::ResponseHeader { revision, ..Default::default() });
        pb::TxnResponse { header, succeeded: true, ..Default::default() }
    }

    fn lost(revision: i64, version: i64) -> pb::TxnResponse {
        let kv = mvccpb::KeyValue { version, ..Default::default() };
        let range = pb::RangeResponse { kvs: vec![kv], ..Default::default() };
        let responses = vec![pb::ResponseOp { response: Some(Response::ResponseRange(range)) }];
        pb::TxnResponse { responses, succeeded: false, ..won(revision) }
    }

    #[test]
    fn whoever_moves_the_clock_compacts_to_what_it_saw_an_interval_ago() {
        let (mut first, mut second) = (Seen::default(), Seen::default());
        assert_eq!(first.learn(&won(10)), None, "nothing is compacted at the start");
        assert_eq!(second.learn(&lost(11, 1)), None);
        assert_eq!(second, Seen { time: 1, revision: 11 });
        // Next interval: the second one is faster.
        assert_eq!(second.learn(&won(20)), Some(11));
        assert_eq!(first.learn(&lost(21, 2)), None);
        // And then the first one.
        assert_eq!(first.learn(&won(30)), Some(21));
        assert_eq!(second.learn(&lost(31, 3)), None);
        assert_eq!(first, Seen { time: 3, revision: 30 });
    }

    #[test]
    fn a_claim_names_the_version_that_was_seen_and_the_revision_to_compact_to() {
        let claim = Seen { time: 4, revision: 99 }.claim();
        assert_eq!(claim.compare[0].target_union, Some(TargetUnion::Version(4)));
        let Some(Request::RequestPut(put)) = &claim.success[0].request else { panic!("it puts") };
        assert_eq!((&put.key[..], &put.value[..]), (&b"compact_rev_key"[..], &b"99"[..]));
    }
}
