//! Writers that go on whatever happens, and the longest time in which none of them succeeded.
//!
//! Each writer asks one member, with a deadline; on an error or a time-out it goes on with the next member, under a new
//! value: what a client with fail-over would do. Nothing is sent twice.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fairlead_proto::etcd::etcdserverpb::PutRequest;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// How long a writer waits for one answer before it asks another member.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Pause after an error, so that a dead member is not asked in a tight loop.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// An acknowledged put: its key and the revision it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The key, written once.
    pub key: String,
    /// Of the answer's header.
    pub revision: i64,
}

#[derive(Default)]
struct Record {
    successes: Vec<Instant>,
    acknowledged: Vec<Acknowledged>,
    failed: u64,
}

/// Running writers.
pub struct Writers {
    record: Arc<Mutex<Record>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Writers {
    /// Starts `count` writers on `endpoints`; every put has a key of its own under `prefix`.
    ///
    /// # Errors
    /// When an endpoint is no URL.
    pub fn start(prefix: &str, count: usize, endpoints: &[String]) -> anyhow::Result<Writers> {
        let record = Arc::new(Mutex::new(Record::default()));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for writer in 0..count {
            let channels = endpoints.iter().map(|url| {
                let endpoint = Endpoint::from_shared(url.clone())?.connect_timeout(ANSWER_WITHIN);
                Ok(endpoint.connect_lazy())
            });
            let channels = channels.collect::<anyhow::Result<Vec<Channel>>>()?;
            let prefix = format!("{prefix}/{writer}");
            let (record, stop) = (Arc::clone(&record), stop.clone());
            tasks.spawn(async move {
                // `None`: the writers were stopped, which is how they end.
                stop.run_until_cancelled(write(prefix, writer, channels, record)).await.unwrap_or_default();
            });
        }
        Ok(Writers { record, stop, tasks })
    }

    /// How many puts have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.record.lock().expect("no writer panics").acknowledged.len()
    }

    /// Ends the writers; what they saw.
    ///
    /// # Panics
    /// When a writer has panicked.
    pub async fn stop(mut self) -> Seen {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let record = std::mem::take(&mut *self.record.lock().expect("no writer panics"));
        Seen { successes: record.successes, acknowledged: record.acknowledged, failed: record.failed }
    }
}

/// What writers saw.
#[derive(Debug)]
pub struct Seen {
    successes: Vec<Instant>,
    /// In no order.
    pub acknowledged: Vec<Acknowledged>,
    /// Puts with an error or without an answer in time: they may have happened or not.
    pub failed: u64,
}

impl Seen {
    /// The longest time without a success between `from` and `to`.
    pub fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let mut at: Vec<Instant> = self.successes.iter().copied().filter(|at| (from..=to).contains(at)).collect();
        at.push(from);
        at.push(to);
        at.sort_unstable();
        at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// How long after `from` the first success came.
    pub fn first_after(&self, from: Instant) -> Option<Duration> {
        self.successes.iter().filter(|at| **at >= from).min().map(|at| *at - from)
    }
}

async fn write(prefix: String, first: usize, channels: Vec<Channel>, record: Arc<Mutex<Record>>) {
    let mut member = first;
    for number in 0u64.. {
        let key = format!("{prefix}/{number:09}");
        let mut kv = KvClient::new(channels[member % channels.len()].clone());
        let request = PutRequest { key: key.clone().into(), value: key.clone().into(), ..Default::default() };
        let answer = tokio::time::timeout(ANSWER_WITHIN, kv.put(request)).await;
        if let Ok(Ok(answer)) = answer {
            let revision = answer.into_inner().header.map_or(0, |header| header.revision);
            let mut record = record.lock().expect("no writer panics");
            record.successes.push(Instant::now());
            record.acknowledged.push(Acknowledged { key, revision });
        } else {
            record.lock().expect("no writer panics").failed += 1;
            member += 1;
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_counts_both_ends() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let seen = Seen { successes: vec![at(100), at(150), at(450)], acknowledged: Vec::new(), failed: 0 };
        assert_eq!(seen.longest_gap(start, at(500)), Duration::from_millis(300));
        assert_eq!(seen.longest_gap(start, at(2000)), Duration::from_millis(1550));
        assert_eq!(seen.longest_gap(at(120), at(160)), Duration::from_millis(30));
        assert_eq!(seen.first_after(at(200)), Some(Duration::from_millis(250)));
    }
}
