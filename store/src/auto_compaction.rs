//! Compaction by the server itself: the leader proposes it, by age or by count of revisions.
//!
//! Promises: only the leader proposes; a member that gains leadership starts sampling anew, so that it never removes what
//! is younger than the retention. Source: etcd `server/etcdserver/api/v3compactor/{periodic,revision}.go`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fairlead_proto::served::etcdserverpb::CompactionRequest;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::apply::{Command, Refusal};
use crate::config::AutoCompaction;
use crate::mvcc::Mvcc;
use crate::raft::Consensus;

/// How often the mode by count looks (etcd's).
const REVISION_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The longest time between two samples of the mode by age (etcd's).
const SAMPLE_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// Samples in one retention (etcd's).
const SAMPLES: u32 = 10;

/// Runs until shutdown.
pub async fn run(mode: AutoCompaction, consensus: Arc<dyn Consensus>, mvcc: Mvcc, shutdown: CancellationToken) {
    let interval = match mode {
        AutoCompaction::Off => return,
        AutoCompaction::Periodic(retention) => {
            (retention / SAMPLES).min(SAMPLE_INTERVAL_MAX).max(Duration::from_millis(1))
        }
        AutoCompaction::Revision(_) => REVISION_INTERVAL,
    };
    let mut plan = Plan::new(mode);
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let status = consensus.status();
        let leads = status.leader == Some(status.member);
        if let Some(revision) = plan.next(leads, Instant::now(), mvcc.revision()) {
            compact(&*consensus, revision).await;
        }
    }
}

async fn compact(consensus: &dyn Consensus, revision: i64) {
    let request = CompactionRequest { revision, physical: false };
    match consensus.propose(Command::Compact(request)).await {
        Ok(applied) => match applied.outcome {
            Ok(_) => tracing::info!(target: "compaction", revision, "completed auto compaction"),
            Err(Refusal::Compacted) => {}
            Err(refusal) => tracing::warn!(target: "compaction", revision, %refusal, "auto compaction was refused"),
        },
        Err(error) => tracing::warn!(target: "compaction", revision, %error, "auto compaction failed"),
    }
}

/// What to compact to, and when: pure.
struct Plan {
    mode: AutoCompaction,
    /// (when, revision), oldest first; never more than a retention's worth.
    samples: VecDeque<(Instant, i64)>,
    last: i64,
}

impl Plan {
    fn new(mode: AutoCompaction) -> Self {
        Self { mode, samples: VecDeque::new(), last: 0 }
    }

    fn next(&mut self, leads: bool, now: Instant, revision: i64) -> Option<i64> {
        if !leads {
            self.samples.clear();
            return None;
        }
        let target = match self.mode {
            AutoCompaction::Off => None,
            AutoCompaction::Revision(keep) => Some(revision - keep).filter(|target| *target > 0),
            AutoCompaction::Periodic(retention) => {
                self.samples.push_back((now, revision));
                let mut old = None;
                while let Some((_, revision)) = self.samples.front().filter(|(at, _)| *at + retention <= now) {
                    old = Some(*revision);
                    self.samples.pop_front();
                }
                old
            }
        };
        let target = target.filter(|target| *target > self.last)?;
        self.last = target;
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn by_age_the_revision_of_one_retention_ago_is_taken() {
        let hour = Duration::from_secs(3600);
        let mut plan = Plan::new(AutoCompaction::Periodic(hour));
        let start = Instant::now();
        for tick in 0..10 {
            assert_eq!(plan.next(true, start + hour / 10 * tick, 100 + i64::from(tick)), None, "nothing is old enough");
        }
        assert_eq!(plan.next(true, start + hour, 110), Some(100));
        assert_eq!(plan.next(true, start + hour + hour / 10, 111), Some(101));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_leader_samples_anew() {
        let hour = Duration::from_secs(3600);
        let mut plan = Plan::new(AutoCompaction::Periodic(hour));
        let start = Instant::now();
        assert_eq!(plan.next(true, start, 100), None);
        assert_eq!(plan.next(false, start + hour, 110), None);
        assert_eq!(plan.next(true, start + hour + hour / 10, 120), None);
        assert_eq!(plan.next(true, start + 2 * hour + hour / 10, 130), Some(120));
    }

    #[tokio::test(start_paused = true)]
    async fn by_count_the_last_revisions_are_kept_and_nothing_is_asked_twice() {
        let mut plan = Plan::new(AutoCompaction::Revision(1000));
        let now = Instant::now();
        assert_eq!(plan.next(true, now, 900), None);
        assert_eq!(plan.next(true, now, 1500), Some(500));
        assert_eq!(plan.next(true, now, 1500), None);
        assert_eq!(plan.next(true, now, 1600), Some(600));
    }
}
