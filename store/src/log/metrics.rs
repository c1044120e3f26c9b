//! The log's metric handles, under etcd's names and buckets (etcd: `server/storage/wal/metrics.go`).
//!
//! Whoever owns the registry registers the handles; the defaults work unregistered.

use prometheus::{Histogram, HistogramOpts, IntGauge, exponential_buckets};

/// Handles that the flusher feeds.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Seconds of each fdatasync.
    pub fsync: Histogram,
    /// Seconds of each write before its sync.
    pub write: Histogram,
    /// Bytes handed to the disk. A gauge, as in etcd, though it only grows.
    pub written_bytes: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = |name: &str, help: &str| {
            let buckets = exponential_buckets(0.001, 2.0, 14).expect("positive start, factor above one");
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect("a valid metric name")
        };
        Self {
            fsync: seconds(
                "etcd_disk_wal_fsync_duration_seconds",
                "The latency distributions of fsync called by the log.",
            ),
            write: seconds("etcd_disk_wal_write_duration_seconds", "The latency distribution of writes of the log."),
            written_bytes: IntGauge::new(
                "etcd_disk_wal_write_bytes_total",
                "Total number of bytes written by the log.",
            )
            .expect("a valid metric name"),
        }
    }
}
