//! The store's settings, already typed and merged: what `Store::build` takes.
//!
//! Where a setting came from (flag, environment, file, default) is the launcher's business; here each field says what
//! it means, its unit, its default and where the default comes from. [`Config::default`] is what etcd does without any
//! flag. `validate` refuses what can be refused without looking at disk or network; `validate_bootstrap` holds what
//! counts only when the data dir holds no member yet.
//! Does not: read files, resolve names (but for `validate_bootstrap`), know flags.
//! Source of names, defaults and rules: etcd `server/embed/config.go`, `server/config/config.go`.

pub mod duration;
mod error;
mod initial_cluster;
mod limits;
mod tls;
mod url;
mod validate;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::Invalid;
pub use initial_cluster::InitialCluster;
pub use limits::Limits;
pub use tls::{Tls, TlsVersion};
pub use url::{Scheme, Url};

/// The etcd version whose contract is served; what `--version`, `/version` and `Status` report.
pub const ETCD_VERSION: &str = "3.7.1";

/// Everything the store is told from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The member's name, unique in the cluster. Default `default` (etcd).
    pub name: String,
    /// Where the member keeps its state. Default `<name>.etcd` in the working directory (etcd).
    pub data_dir: PathBuf,
    /// A folder of its own for the raft log; `None` keeps it under `data_dir`. Default none (etcd).
    pub wal_dir: Option<PathBuf>,

    /// Where other members reach this one: addresses to bind. Default `http://localhost:2380` (etcd).
    pub listen_peer_urls: Vec<Url>,
    /// Where clients reach this one: addresses to bind. Default `http://localhost:2379` (etcd).
    pub listen_client_urls: Vec<Url>,
    /// When not empty, plain HTTP (health, gateway) is served here and `listen_client_urls` serve gRPC only. Default empty (etcd).
    pub listen_client_http_urls: Vec<Url>,
    /// Further addresses for `/metrics`, `/health`, `/livez`, `/readyz`, without client certificates. Default empty (etcd).
    pub listen_metrics_urls: Vec<Url>,
    /// The peer URLs told to the other members. Default `http://localhost:2380` (etcd).
    pub initial_advertise_peer_urls: Vec<Url>,
    /// The client URLs told to clients by `MemberList`. Default `http://localhost:2379` (etcd).
    pub advertise_client_urls: Vec<Url>,

    /// All members at first start. Default: this member alone, at its advertised peer URLs (etcd).
    pub initial_cluster: InitialCluster,
    /// Whether the initial cluster is founded or joined. Default `new` (etcd).
    pub initial_cluster_state: ClusterState,
    /// Mixed into cluster and member ids, so that two clusters of one form differ. Default `etcd-cluster` (etcd).
    pub initial_cluster_token: String,
    /// Refuse membership changes that would lose the quorum of started members. Default true (etcd).
    pub strict_reconfig_check: bool,

    /// Time between two heartbeats of the leader, 1 ms or more. Default 100 ms (etcd).
    #[serde(with = "duration")]
    pub heartbeat_interval: Duration,
    /// Silence of the leader after which a follower campaigns; 5 heartbeats or more, 50 s at most. Default 1 s (etcd).
    #[serde(with = "duration")]
    pub election_timeout: Duration,
    /// Ask before an election whether it could be won, so that a returning member does not depose a leader. Default true (etcd).
    pub pre_vote: bool,
    /// Entries applied between two snapshots. Default 10,000 (etcd 3.6).
    pub snapshot_count: u64,
    /// Entries kept behind a snapshot for followers that lag. Default 5,000 (etcd).
    pub snapshot_catchup_entries: u64,
    /// Bytes of log above which a snapshot is taken and half of them kept, however few the entries: ours are whole batches.
    /// Default 32 MiB (etcd has none; its 5,000 entries of 1 KiB are 5 MiB).
    pub log_retained_bytes_max: u64,

    /// Bounds on requests, connections and streams.
    pub limits: Limits,
    /// Size of the logical account at which NOSPACE is raised, bytes; 0 stands for 2 GiB, negative for no bound. Default 0 (etcd).
    pub quota_backend_bytes: i64,
    /// Compaction the server does by itself. Default off (etcd).
    pub auto_compaction: AutoCompaction,
    /// Revisions removed in one step of a compaction. Default 1,000 (etcd).
    pub compaction_batch_limit: u32,
    /// Pause between two steps of a compaction. Default 10 ms (etcd).
    #[serde(with = "duration")]
    pub compaction_sleep_interval: Duration,
    /// Time between two progress notifications of an idle watch. Default 10 min (etcd).
    #[serde(with = "duration")]
    pub watch_progress_notify_interval: Duration,

    /// An HTTP/2 ping is sent to a client idle for this long; 0 never. Default 2 h (etcd `--grpc-keepalive-interval`).
    #[serde(with = "duration")]
    pub grpc_keepalive_interval: Duration,
    /// A client that does not answer the ping within this is dropped. Default 20 s (etcd `--grpc-keepalive-timeout`).
    #[serde(with = "duration")]
    pub grpc_keepalive_timeout: Duration,
    /// Let several processes bind one port (`SO_REUSEPORT`). Default false (etcd).
    pub socket_reuse_port: bool,

    /// TLS of the client listeners.
    pub client_tls: Tls,
    /// TLS of the peer listeners and of the connections to other members.
    pub peer_tls: Tls,

    /// How much `/metrics` tells. Default basic (etcd).
    pub metrics: MetricsLevel,
    /// Applying one request for longer than this is logged with the guilty phase. Default 100 ms (etcd).
    #[serde(with = "duration")]
    pub warning_apply_duration: Duration,
    /// A unary call that takes longer than this is logged. Default 300 ms (etcd).
    #[serde(with = "duration")]
    pub warning_unary_request_duration: Duration,

    /// Never sync files: a power cut loses acknowledged writes. For tests only. Default false (etcd).
    pub unsafe_no_fsync: bool,
}

/// Whether a first start founds the cluster or joins one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterState {
    /// Every member of the initial cluster starts empty.
    #[default]
    New,
    /// This member has been added to a cluster that runs.
    Existing,
}

/// Compaction by the server itself (etcd: `server/etcdserver/api/v3compactor`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoCompaction {
    /// Nobody compacts but clients.
    #[default]
    Off,
    /// Keep the history of this span of time.
    Periodic(#[serde(with = "duration")] Duration),
    /// Keep this many revisions.
    Revision(i64),
}

/// How much `/metrics` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricsLevel {
    /// Counters and gauges.
    #[default]
    Basic,
    /// Also a latency histogram for each gRPC method.
    Extensive,
}

impl Default for Config {
    fn default() -> Config {
        let peer = Url::localhost(2380);
        let client = Url::localhost(2379);
        Config {
            name: "default".into(),
            data_dir: "default.etcd".into(),
            wal_dir: None,
            listen_peer_urls: vec![peer.clone()],
            listen_client_urls: vec![client.clone()],
            listen_client_http_urls: Vec::new(),
            listen_metrics_urls: Vec::new(),
            initial_advertise_peer_urls: vec![peer.clone()],
            advertise_client_urls: vec![client],
            initial_cluster: InitialCluster::alone("default", &[peer]),
            initial_cluster_state: ClusterState::New,
            initial_cluster_token: "etcd-cluster".into(),
            strict_reconfig_check: true,
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
            pre_vote: true,
            snapshot_count: 10_000,
            snapshot_catchup_entries: 5_000,
            log_retained_bytes_max: 32 << 20,
            limits: Limits::default(),
            quota_backend_bytes: 0,
            auto_compaction: AutoCompaction::Off,
            compaction_batch_limit: 1_000,
            compaction_sleep_interval: Duration::from_millis(10),
            watch_progress_notify_interval: Duration::from_secs(600),
            grpc_keepalive_interval: Duration::from_secs(2 * 60 * 60),
            grpc_keepalive_timeout: Duration::from_secs(20),
            socket_reuse_port: false,
            client_tls: Tls::default(),
            peer_tls: Tls::default(),
            metrics: MetricsLevel::Basic,
            warning_apply_duration: Duration::from_millis(100),
            warning_unary_request_duration: Duration::from_millis(300),
            unsafe_no_fsync: false,
        }
    }
}

impl Config {
    /// The quota in force, bytes: etcd's 2 GiB for 0, `None` when there is no bound.
    #[must_use]
    pub fn quota_bytes(&self) -> Option<u64> {
        const QUOTA_BYTES_DEFAULT: u64 = 2 * 1024 * 1024 * 1024;
        match self.quota_backend_bytes {
            0 => Some(QUOTA_BYTES_DEFAULT),
            bytes => u64::try_from(bytes).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_a_round_trip() {
        let config = Config::default();
        config.validate().unwrap();
        config.validate_bootstrap().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn quota_zero_is_two_gibibytes_and_negative_is_no_bound() {
        let with = |quota_backend_bytes| Config { quota_backend_bytes, ..Config::default() }.quota_bytes();
        assert_eq!((with(0), with(-1), with(7)), (Some(2 << 30), None, Some(7)));
    }
}
