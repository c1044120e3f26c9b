//! Writers that show what a fault costs.
//!
//! [`WRITERS_PER_MEMBER`] writers begin at each member, put small values one after the other, and move on to the next
//! member when a put fails. The longest gap is the longest time in which *nobody's* put succeeded.
//! Does not: read back (the chaos suites do).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fairlead_client::etcd::{Client, Error, kv};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const WRITERS_PER_MEMBER: usize = 3;
const VALUE_BYTES: usize = 64;
/// How long a writer waits for one answer before it goes elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause after a put that failed at once, lest a writer spin while nobody listens.
const FAILED_PAUSE: Duration = Duration::from_millis(50);

/// Running writers. They end when told to, or when this is dropped.
pub(crate) struct Workload {
    stats: Arc<Stats>,
    stop: CancellationToken,
    writers: JoinSet<Option<()>>,
    shown: Shown,
}

/// What the live line said last.
struct Shown {
    at: Instant,
    succeeded: u64,
}

struct Stats {
    begun: Instant,
    succeeded: AtomicU64,
    failed: AtomicU64,
    unknown: AtomicU64,
    gap: Mutex<Gap>,
}

struct Gap {
    last: Instant,
    longest: Duration,
}

/// How one put ended.
enum Outcome {
    Succeeded,
    Failed,
    Unknown,
}

impl Workload {
    pub(crate) fn start<'a>(members: impl Iterator<Item = &'a Client>) -> Self {
        let members: Arc<[Client]> = members.cloned().collect();
        let stats = Arc::new(Stats::new(Instant::now()));
        let stop = CancellationToken::new();
        let mut writers = JoinSet::new();
        for writer in 0..members.len() * WRITERS_PER_MEMBER {
            let write = write(writer, Arc::clone(&members), Arc::clone(&stats));
            writers.spawn(stop.clone().run_until_cancelled_owned(write));
        }
        let shown = Shown { at: Instant::now(), succeeded: 0 };
        Workload { stats, stop, writers, shown }
    }

    /// The line for the time since it was last asked for.
    pub(crate) fn live_line(&mut self, leader: Option<&str>) -> String {
        let succeeded = self.stats.succeeded.load(Ordering::Relaxed);
        let seconds = self.shown.at.elapsed().as_secs_f64().max(0.001);
        let rate = (succeeded - self.shown.succeeded) as f64 / seconds;
        self.shown = Shown { at: Instant::now(), succeeded };
        format!("{rate:.0} writes/s  {}  leader {}", self.stats.costs(Instant::now()), leader.unwrap_or("none"))
    }

    /// Ends the writers; returns what all of it came to.
    pub(crate) async fn stop(mut self) -> String {
        self.stop.cancel();
        while let Some(ended) = self.writers.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a writer ended badly");
            }
        }
        let seconds = self.stats.begun.elapsed().as_secs_f64();
        let succeeded = self.stats.succeeded.load(Ordering::Relaxed);
        format!("{succeeded} writes in {seconds:.1} s  {}", self.stats.costs(Instant::now()))
    }
}

async fn write(writer: usize, members: Arc<[Client]>, stats: Arc<Stats>) {
    let key = format!("demo/workload/{writer}");
    let value = Bytes::from(vec![b'x'; VALUE_BYTES]);
    let mut member = writer;
    loop {
        let put = timeout(PATIENCE, members[member % members.len()].put(kv::put(key.clone(), value.clone()))).await;
        let outcome = match put {
            Ok(Ok(_)) => Outcome::Succeeded,
            Ok(Err(Error::Refused { .. } | Error::Unreachable { .. })) => Outcome::Failed,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        let succeeded = matches!(outcome, Outcome::Succeeded);
        stats.count(outcome, Instant::now());
        if !succeeded {
            member += 1;
            sleep(FAILED_PAUSE).await;
        }
    }
}

impl Stats {
    fn new(begun: Instant) -> Self {
        Stats {
            begun,
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            gap: Mutex::new(Gap { last: begun, longest: Duration::ZERO }),
        }
    }

    fn count(&self, outcome: Outcome, now: Instant) {
        let counter = match outcome {
            Outcome::Succeeded => &self.succeeded,
            Outcome::Failed => &self.failed,
            Outcome::Unknown => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if matches!(outcome, Outcome::Succeeded) {
            let mut gap = self.gap.lock().expect("nothing panics under this lock");
            gap.longest = gap.longest.max(now - gap.last);
            gap.last = now;
        }
    }

    /// Failures and the longest gap, one that is still open included.
    fn costs(&self, now: Instant) -> String {
        let gap = self.gap.lock().expect("nothing panics under this lock");
        let longest = gap.longest.max(now - gap.last).as_secs_f64();
        let (failed, unknown) = (self.failed.load(Ordering::Relaxed), self.unknown.load(Ordering::Relaxed));
        format!("failed {failed}  unknown {unknown}  longest gap {longest:.2} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_between_successes_and_counts_while_it_is_open() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let stats = Stats::new(begun);
        stats.count(Outcome::Succeeded, at(100));
        stats.count(Outcome::Unknown, at(1000));
        stats.count(Outcome::Failed, at(1200));
        assert_eq!(stats.costs(at(1400)), "failed 1  unknown 1  longest gap 1.30 s");
        stats.count(Outcome::Succeeded, at(1500));
        assert_eq!(stats.costs(at(1700)), "failed 1  unknown 1  longest gap 1.40 s");
    }
}
