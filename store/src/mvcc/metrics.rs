//! MVCC's metric handles, under etcd's names and buckets.
//!
//! etcd's phases of a commit are bbolt's; ours are other ones at their place, each with what it really took.
//! Whoever owns the registry makes them; the defaults work unregistered.
//! Source: etcd `server/storage/backend/metrics.go`, `server/storage/mvcc/metrics.go`.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge};

use crate::metrics;

/// Handles that the writer and the compactor feed.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Seconds of a group's commit to the engine.
    pub commit: Histogram,
    /// Its part before the engine: waiting for its turn beside a compaction's step.
    pub commit_wait: Histogram,
    /// Its part in the engine.
    pub commit_write: Histogram,
    /// Its part after the engine: counts kept for readers.
    pub commit_count: Histogram,
    /// Milliseconds for which a step of a compaction held up commits.
    pub compaction_hold: Histogram,
    /// Milliseconds of a step of a compaction.
    pub compaction_step: Histogram,
    /// Milliseconds from a compaction's first step to the removal of its rows.
    pub compaction: Histogram,
    /// The unix time at which the last compaction ended.
    pub compaction_last: IntGauge,
    /// Versions that compactions have removed.
    pub compaction_versions: IntCounter,
}

impl Metrics {
    /// Those of the member's families.
    #[must_use]
    pub fn of(all: &metrics::Metrics) -> Metrics {
        let (disk, mvcc) = (&all.disk, &all.mvcc);
        Metrics {
            commit: disk.backend_commit_duration_seconds.clone(),
            commit_wait: disk.backend_commit_rebalance_duration_seconds.clone(),
            commit_write: disk.backend_commit_write_duration_seconds.clone(),
            commit_count: disk.backend_commit_spill_duration_seconds.clone(),
            compaction_hold: mvcc.index_compaction_pause_duration_milliseconds.clone(),
            compaction_step: mvcc.db_compaction_pause_duration_milliseconds.clone(),
            compaction: mvcc.db_compaction_total_duration_milliseconds.clone(),
            compaction_last: mvcc.db_compaction_last.clone(),
            compaction_versions: mvcc.db_compaction_keys_total.clone(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        let histogram = |name: &str| Histogram::with_opts(HistogramOpts::new(name, name)).expect("a valid metric name");
        Metrics {
            commit: histogram("commit"),
            commit_wait: histogram("commit_wait"),
            commit_write: histogram("commit_write"),
            commit_count: histogram("commit_count"),
            compaction_hold: histogram("compaction_hold"),
            compaction_step: histogram("compaction_step"),
            compaction: histogram("compaction"),
            compaction_last: IntGauge::new("compaction_last", "seconds").expect("a valid metric name"),
            compaction_versions: IntCounter::new("compaction_versions", "versions").expect("a valid metric name"),
        }
    }
}
