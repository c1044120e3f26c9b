//! Families of the log, the state's files and snapshots.

use prometheus::{Histogram, IntGauge};

use super::family::{exponential, families};

families! {
    /// `etcd_disk_*`, `etcd_snap_*` and their debugging kin. Where a name is that of a phase of bbolt's, the help says which of
    /// our phases stands there.
    Disk {
        wal_fsync_duration_seconds: Histogram = "etcd_disk_wal_fsync_duration_seconds", "The latency of syncing the raft log.",
            buckets exponential(0.001, 2.0, 14);
        wal_write_duration_seconds: Histogram = "etcd_disk_wal_write_duration_seconds", "The latency of writing the raft log.",
            buckets exponential(0.001, 2.0, 14);
        wal_write_bytes_total: IntGauge = "etcd_disk_wal_write_bytes_total", "Bytes written to the raft log.";
        backend_commit_duration_seconds: Histogram = "etcd_disk_backend_commit_duration_seconds",
            "The latency of a commit of applied entries to the state.", buckets exponential(0.001, 2.0, 14);
        backend_defrag_duration_seconds: Histogram = "etcd_disk_backend_defrag_duration_seconds",
            "The latency of defragmentation.", buckets exponential(0.1, 2.0, 13);
        backend_snapshot_duration_seconds: Histogram = "etcd_disk_backend_snapshot_duration_seconds",
            "The latency of sending a snapshot to a client.", buckets exponential(0.01, 2.0, 17);
        defrag_inflight: IntGauge = "etcd_disk_defrag_inflight", "Whether or not defragmentation runs: 1 is yes, 0 is no.";
        backend_commit_rebalance_duration_seconds: Histogram = "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
            "The part of a commit before the engine: waiting for its turn beside a compaction.", buckets exponential(0.001, 2.0, 14);
        backend_commit_spill_duration_seconds: Histogram = "etcd_debugging_disk_backend_commit_spill_duration_seconds",
            "The part of a commit after the engine: counts of keys kept for readers.", buckets exponential(0.001, 2.0, 14);
        backend_commit_write_duration_seconds: Histogram = "etcd_debugging_disk_backend_commit_write_duration_seconds",
            "The part of a commit in the engine.", buckets exponential(0.001, 2.0, 14);
        snap_fsync_duration_seconds: Histogram = "etcd_snap_fsync_duration_seconds", "The latency of making the state durable for a snapshot.",
            buckets exponential(0.001, 2.0, 14);
        snap_db_fsync_duration_seconds: Histogram = "etcd_snap_db_fsync_duration_seconds",
            "The latency of making a received snapshot the durable state.", buckets exponential(0.001, 2.0, 14);
        snap_db_save_total_duration_seconds: Histogram = "etcd_snap_db_save_total_duration_seconds",
            "How long it took to save a received snapshot.", buckets exponential(0.1, 2.0, 10);
        snap_save_total_duration_seconds: Histogram = "etcd_debugging_snap_save_total_duration_seconds",
            "How long it took to make a snapshot.", buckets exponential(0.001, 2.0, 14);
    }
}
