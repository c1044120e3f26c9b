//! Families of what goes to and from clients and peers.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

use super::family::{exponential, families};

families! {
    /// `etcd_network_*`. Peers are labelled by member id in hexadecimal.
    Network {
        client_grpc_sent_bytes_total: IntCounter = "etcd_network_client_grpc_sent_bytes_total",
            "The total number of bytes sent to grpc clients.";
        client_grpc_received_bytes_total: IntCounter = "etcd_network_client_grpc_received_bytes_total",
            "The total number of bytes received from grpc clients.";
        server_stream_failures_total: IntCounterVec = "etcd_network_server_stream_failures_total",
            "The number of stream failures on this member.", labels &["Type", "API"];
        active_peers: IntGaugeVec = "etcd_network_active_peers", "Peers that are connected now.", labels &["Local", "Remote"];
        known_peers: IntGaugeVec = "etcd_network_known_peers", "Peers that are known.", labels &["Local", "Remote"];
        disconnected_peers_total: IntCounterVec = "etcd_network_disconnected_peers_total",
            "How often a peer was lost.", labels &["Local", "Remote"];
        peer_sent_bytes_total: IntCounterVec = "etcd_network_peer_sent_bytes_total", "Bytes sent to peers.", labels &["To"];
        peer_received_bytes_total: IntCounterVec = "etcd_network_peer_received_bytes_total", "Bytes received from peers.",
            labels &["From"];
        peer_sent_failures_total: IntCounterVec = "etcd_network_peer_sent_failures_total", "Failed sends to peers.",
            labels &["To"];
        peer_received_failures_total: IntCounterVec = "etcd_network_peer_received_failures_total",
            "Failed receives from peers.", labels &["From"];
        peer_round_trip_time_seconds: HistogramVec = "etcd_network_peer_round_trip_time_seconds",
            "Round-trip time between peers.", labels &["To"], buckets exponential(0.0001, 2.0, 16);
        snapshot_send_success: IntCounterVec = "etcd_network_snapshot_send_success", "Snapshots sent.", labels &["To"];
        snapshot_send_failures: IntCounterVec = "etcd_network_snapshot_send_failures", "Snapshots not sent.", labels &["To"];
        snapshot_send_inflights_total: IntGaugeVec = "etcd_network_snapshot_send_inflights_total",
            "Snapshots being sent.", labels &["To"];
        snapshot_send_total_duration_seconds: HistogramVec = "etcd_network_snapshot_send_total_duration_seconds",
            "How long it took to send a snapshot.", labels &["To"], buckets exponential(0.1, 2.0, 10);
        snapshot_receive_success: IntCounterVec = "etcd_network_snapshot_receive_success", "Snapshots received.",
            labels &["From"];
        snapshot_receive_failures: IntCounterVec = "etcd_network_snapshot_receive_failures", "Snapshots not received.",
            labels &["From"];
        snapshot_receive_inflights_total: IntGaugeVec = "etcd_network_snapshot_receive_inflights_total",
            "Snapshots being received.", labels &["From"];
        snapshot_receive_total_duration_seconds: HistogramVec = "etcd_network_snapshot_receive_total_duration_seconds",
            "How long it took to receive a snapshot.", labels &["From"], buckets exponential(0.1, 2.0, 10);
    }
}
