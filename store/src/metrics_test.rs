//! The names, labels and series that etcd's alerts and dashboards read.

use prometheus::{Registry, TextEncoder};
use tonic::Code;

use super::*;

fn text(metrics: &Metrics) -> String {
    TextEncoder::new().encode_to_string(&metrics.registry().gather()).unwrap()
}

#[test]
fn every_method_has_its_series_at_zero_from_the_start() {
    let text = text(&Metrics::new(Registry::new()).unwrap());
    for method in METHODS {
        let labels = format!(
            "grpc_method=\"{}\",grpc_service=\"{}\",grpc_type=\"{}\"",
            method.name,
            method.service,
            method.shape.label()
        );
        for family in ["started", "msg_received", "msg_sent"] {
            let line = format!("grpc_server_{family}_total{{{labels}}} 0");
            assert!(text.contains(&line), "missing: {line}");
        }
        for code in ["OK", "Unavailable", "Unauthenticated"] {
            let line = format!("grpc_server_handled_total{{grpc_code=\"{code}\",{labels}}} 0");
            assert!(text.contains(&line), "missing: {line}");
        }
        assert!(text.contains(&format!("grpc_server_handling_seconds_bucket{{{labels},le=\"0.005\"}} 0")));
    }
}

#[test]
fn a_code_is_counted_under_its_own_name() {
    let metrics = Metrics::new(Registry::new()).unwrap();
    let put = metrics.grpc.at("/etcdserverpb.KV/Put").unwrap();
    for (code, name) in [(Code::Ok, "OK"), (Code::OutOfRange, "OutOfRange"), (Code::Unauthenticated, "Unauthenticated")]
    {
        put.handled(code).inc();
        let line = format!(
            "grpc_server_handled_total{{grpc_code=\"{name}\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}} 1"
        );
        assert!(text(&metrics).contains(&line), "missing: {line}");
    }
    assert!(metrics.grpc.at("/etcdserverpb.KV/Nothing").is_none());
}

#[test]
fn what_alerts_and_dashboards_read_is_there_from_the_start_with_etcds_types() {
    let metrics = Metrics::new(Registry::new()).unwrap();
    metrics.process.refresh();
    let text = text(&metrics);
    let expected = [
        ("etcd_server_has_leader", "gauge"),
        ("etcd_server_is_leader", "gauge"),
        ("etcd_server_is_learner", "gauge"),
        ("etcd_server_leader_changes_seen_total", "counter"),
        ("etcd_server_heartbeat_send_failures_total", "counter"),
        ("etcd_server_proposals_failed_total", "counter"),
        ("etcd_server_proposals_committed_total", "gauge"),
        ("etcd_server_proposals_applied_total", "gauge"),
        ("etcd_server_proposals_pending", "gauge"),
        ("etcd_server_quota_backend_bytes", "gauge"),
        ("etcd_server_health_success", "counter"),
        ("etcd_server_health_failures", "counter"),
        ("etcd_server_slow_apply_total", "counter"),
        ("etcd_server_slow_read_indexes_total", "counter"),
        ("etcd_server_read_indexes_failed_total", "counter"),
        ("etcd_disk_wal_fsync_duration_seconds", "histogram"),
        ("etcd_disk_wal_write_duration_seconds", "histogram"),
        ("etcd_disk_wal_write_bytes_total", "gauge"),
        ("etcd_disk_backend_commit_duration_seconds", "histogram"),
        ("etcd_disk_backend_defrag_duration_seconds", "histogram"),
        ("etcd_disk_backend_snapshot_duration_seconds", "histogram"),
        ("etcd_disk_defrag_inflight", "gauge"),
        ("etcd_snap_fsync_duration_seconds", "histogram"),
        ("etcd_snap_db_save_total_duration_seconds", "histogram"),
        ("etcd_mvcc_db_total_size_in_bytes", "gauge"),
        ("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge"),
        ("etcd_mvcc_db_open_read_transactions", "gauge"),
        ("etcd_mvcc_put_total", "counter"),
        ("etcd_mvcc_delete_total", "counter"),
        ("etcd_mvcc_range_total", "counter"),
        ("etcd_mvcc_txn_total", "counter"),
        ("etcd_mvcc_hash_duration_seconds", "histogram"),
        ("etcd_mvcc_hash_rev_duration_seconds", "histogram"),
        ("etcd_network_client_grpc_sent_bytes_total", "counter"),
        ("etcd_network_client_grpc_received_bytes_total", "counter"),
        ("etcd_debugging_mvcc_keys_total", "gauge"),
        ("etcd_debugging_mvcc_watcher_total", "gauge"),
        ("etcd_debugging_mvcc_watch_stream_total", "gauge"),
        ("etcd_debugging_mvcc_slow_watcher_total", "gauge"),
        ("etcd_debugging_mvcc_pending_events_total", "gauge"),
        ("etcd_debugging_mvcc_events_total", "counter"),
        ("etcd_debugging_mvcc_current_revision", "gauge"),
        ("etcd_debugging_mvcc_compact_revision", "gauge"),
        ("etcd_debugging_mvcc_db_compaction_keys_total", "counter"),
        ("etcd_debugging_mvcc_total_put_size_in_bytes", "gauge"),
        ("etcd_debugging_lease_granted_total", "counter"),
        ("etcd_debugging_lease_revoked_total", "counter"),
        ("etcd_debugging_lease_renewed_total", "counter"),
        ("etcd_debugging_server_lease_expired_total", "counter"),
        ("etcd_debugging_auth_revision", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_cpu_seconds_total", "counter"),
        ("os_fd_used", "gauge"),
        ("os_fd_limit", "gauge"),
    ];
    for (name, kind) in expected {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "missing: {name} as {kind}");
    }
    assert!(text.contains("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 0\n"));
    assert!(text.contains("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"8.192\"} 0\n"));
}

#[test]
fn labelled_families_have_etcds_labels_in_alphabetical_order() {
    let metrics = Metrics::new(Registry::new()).unwrap();
    metrics.server.version.with_label_values(&["3.7.1"]).set(1);
    metrics.server.cluster_version.with_label_values(&["3.7"]).set(1);
    metrics.server.client_requests_total.with_label_values(&["unary", "3.7"]).inc();
    metrics.network.peer_round_trip_time_seconds.with_label_values(&["cafe"]).observe(0.001);
    metrics.network.peer_sent_failures_total.with_label_values(&["cafe"]).inc();
    let text = text(&metrics);
    for line in [
        "etcd_server_version{server_version=\"3.7.1\"} 1\n",
        "etcd_cluster_version{cluster_version=\"3.7\"} 1\n",
        "etcd_server_client_requests_total{client_api_version=\"3.7\",type=\"unary\"} 1\n",
        "etcd_network_peer_round_trip_time_seconds_count{To=\"cafe\"} 1\n",
        "etcd_network_peer_sent_failures_total{To=\"cafe\"} 1\n",
    ] {
        assert!(text.contains(line), "missing: {line}");
    }
}

#[test]
fn a_scrape_reads_the_process() {
    let metrics = Metrics::new(Registry::new()).unwrap();
    metrics.process.refresh();
    assert!(metrics.process.resident_memory_bytes.get() > 0);
    assert!(metrics.process.fd_used.get() > 0);
    assert!(metrics.process.start_time_seconds.get() > 0.0);
}
