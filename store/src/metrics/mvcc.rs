//! Families of the key space and of watches.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::family::{exponential, families};

families! {
    /// `etcd_mvcc_*`, `etcd_debugging_mvcc_*`.
    Mvcc {
        range_total: IntCounter = "etcd_mvcc_range_total", "Total number of ranges seen by this member.";
        put_total: IntCounter = "etcd_mvcc_put_total", "Total number of puts seen by this member.";
        delete_total: IntCounter = "etcd_mvcc_delete_total", "Total number of deletes seen by this member.";
        txn_total: IntCounter = "etcd_mvcc_txn_total", "Total number of txns seen by this member.";
        db_total_size_in_bytes: IntGauge = "etcd_mvcc_db_total_size_in_bytes",
            "Size of the state in bytes, by the logical account: live and dead records.";
        db_total_size_in_use_in_bytes: IntGauge = "etcd_mvcc_db_total_size_in_use_in_bytes",
            "Size of the live records in bytes, by the logical account.";
        db_open_read_transactions: IntGauge = "etcd_mvcc_db_open_read_transactions", "The number of reads now in progress.";
        hash_duration_seconds: Histogram = "etcd_mvcc_hash_duration_seconds", "The latency of hashing the whole state.",
            buckets exponential(0.01, 2.0, 15);
        hash_rev_duration_seconds: Histogram = "etcd_mvcc_hash_rev_duration_seconds", "The latency of hashing up to a revision.",
            buckets exponential(0.01, 2.0, 15);
        keys_total: IntGauge = "etcd_debugging_mvcc_keys_total", "Total number of keys.";
        watch_stream_total: IntGauge = "etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.";
        watcher_total: IntGauge = "etcd_debugging_mvcc_watcher_total", "Total number of watchers.";
        slow_watcher_total: IntGauge = "etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced watchers.";
        events_total: IntCounter = "etcd_debugging_mvcc_events_total", "Total number of events sent by this member.";
        pending_events_total: IntGauge = "etcd_debugging_mvcc_pending_events_total", "Total number of events yet to be sent.";
        index_compaction_pause_duration_milliseconds: Histogram =
            "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", "How long a step of compaction held up commits; there is no index.",
            buckets exponential(0.5, 2.0, 14);
        db_compaction_pause_duration_milliseconds: Histogram =
            "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds", "How long a step of compaction took.",
            buckets exponential(1.0, 2.0, 13);
        db_compaction_total_duration_milliseconds: Histogram =
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", "How long a compaction took.",
            buckets exponential(100.0, 2.0, 14);
        db_compaction_last: IntGauge = "etcd_debugging_mvcc_db_compaction_last",
            "The unix time of the last compaction, 0 after a start.";
        db_compaction_keys_total: IntCounter = "etcd_debugging_mvcc_db_compaction_keys_total",
            "Total number of versions removed by compaction.";
        current_revision: IntGauge = "etcd_debugging_mvcc_current_revision", "The current revision.";
        compact_revision: IntGauge = "etcd_debugging_mvcc_compact_revision", "The revision of the last compaction.";
        total_put_size_in_bytes: IntGauge = "etcd_debugging_mvcc_total_put_size_in_bytes",
            "Total size of keys and values put on this member.";
    }
}
