//! Families of the member as a whole: leadership, proposals, quota, versions, health.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::family::{exponential, families};

families! {
    /// `etcd_server_*`, `etcd_cluster_*`, `etcd_debugging_server_*`.
    Server {
        has_leader: IntGauge = "etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.";
        is_leader: IntGauge = "etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.";
        is_learner: IntGauge = "etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.";
        leader_changes_seen_total: IntCounter = "etcd_server_leader_changes_seen_total", "The number of leader changes seen.";
        learner_promote_failures: IntCounterVec = "etcd_server_learner_promote_failures",
            "The number of failed learner promotions while this member is leader, by reason.", labels &["Reason"];
        learner_promote_successes: IntCounter = "etcd_server_learner_promote_successes",
            "The number of successful learner promotions while this member is leader.";
        heartbeat_send_failures_total: IntCounter = "etcd_server_heartbeat_send_failures_total",
            "The number of leader heartbeats that were not sent in time.";
        snapshot_apply_in_progress_total: IntGauge = "etcd_server_snapshot_apply_in_progress_total",
            "1 while an incoming snapshot is installed, 0 otherwise.";
        proposals_committed_total: IntGauge = "etcd_server_proposals_committed_total", "The index of the last committed entry.";
        proposals_applied_total: IntGauge = "etcd_server_proposals_applied_total", "The index of the last applied entry.";
        proposals_pending: IntGauge = "etcd_server_proposals_pending", "The number of proposals that wait to be committed.";
        proposals_failed_total: IntCounter = "etcd_server_proposals_failed_total", "The number of proposals that failed.";
        request_duration_seconds: HistogramVec = "etcd_server_request_duration_seconds",
            "Response latency in seconds, by type of request.",
            labels &["type", "success"], buckets exponential(0.001, 2.0, 14);
        lease_expired_total: IntCounter = "etcd_debugging_server_lease_expired_total", "The number of expired leases.";
        alarms: IntGaugeVec = "etcd_debugging_server_alarms", "Active alarms, by member and type.",
            labels &["server_id", "alarm_type"];
        version: IntGaugeVec = "etcd_server_version", "Which version is running: 1 for the label's value.",
            labels &["server_version"];
        cluster_version: IntGaugeVec = "etcd_cluster_version", "Which version the cluster runs: 1 for the label's value.",
            labels &["cluster_version"];
        id: IntGaugeVec = "etcd_server_id", "This member's id in hexadecimal: 1 for the label's value.", labels &["server_id"];
        feature_enabled: IntGaugeVec = "etcd_server_feature_enabled", "Whether a feature gate is on: 1 is on, 0 is off.",
            labels &["name", "stage"];
        quota_backend_bytes: IntGauge = "etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.";
        health_success: IntCounter = "etcd_server_health_success", "The number of successful health checks.";
        health_failures: IntCounter = "etcd_server_health_failures", "The number of failed health checks.";
        healthcheck: IntGaugeVec = "etcd_server_healthcheck", "The last result of each health check.", labels &["type", "name"];
        healthchecks_total: IntCounterVec = "etcd_server_healthchecks_total", "The number of health checks, by result.",
            labels &["type", "name", "status"];
        slow_apply_total: IntCounter = "etcd_server_slow_apply_total", "The number of slow applies.";
        apply_duration_seconds: HistogramVec = "etcd_server_apply_duration_seconds", "The latency of apply, by operation.",
            labels &["version", "op", "success"], buckets exponential(0.0001, 2.0, 20);
        range_duration_seconds: HistogramVec = "etcd_server_range_duration_seconds", "The latency of ranges.",
            labels &["success"], buckets exponential(0.0001, 2.0, 20);
        slow_read_indexes_total: IntCounter = "etcd_server_slow_read_indexes_total",
            "The number of read index rounds that were retried or took too long.";
        read_indexes_failed_total: IntCounter = "etcd_server_read_indexes_failed_total", "The number of failed read index rounds.";
        client_requests_total: IntCounterVec = "etcd_server_client_requests_total",
            "The number of client requests, by client version.", labels &["type", "client_api_version"];
    }
}
