//! Merged settings become the store's `Config`, with the values etcd derives from others.
//!
//! Derived: the data dir from the name; the initial cluster from name and advertised peer URLs, when nobody sets it;
//! no default for `advertise-client-urls` once `listen-client-urls` is set.
//! Source: etcd `server/etcdmain/config.go`, `server/embed/config.go` `UpdateDefaultClusterFromName`.

use std::time::Duration;

use fairlead_store::config::{
    AutoCompaction, ClusterState, Config, InitialCluster, Invalid, Limits, MetricsLevel, Tls, TlsVersion, duration,
};

use super::logging::Logging;
use super::settings::Settings;
use super::{nearest, table, value};

impl Settings {
    /// The typed configuration, valid.
    ///
    /// # Errors
    /// The first setting or rule that is refused.
    pub(super) fn to_config(&self) -> Result<(Config, Logging), Invalid> {
        let logging = Logging::from_settings(self)?;
        self.read("feature-gates", check_gates)?;
        let name = self.text("name").to_owned();
        let initial_advertise_peer_urls = self.urls("initial-advertise-peer-urls")?;
        let advertise_client_urls = if self.is_set("listen-client-urls") && !self.is_set("advertise-client-urls") {
            Vec::new() // refused by `validate`, with etcd's words
        } else {
            self.urls("advertise-client-urls")?
        };
        let initial_cluster = if self.text("initial-cluster").is_empty() {
            InitialCluster::alone(&name, &initial_advertise_peer_urls)
        } else {
            self.read("initial-cluster", InitialCluster::parse)?
        };
        let config = Config {
            data_dir: self.path("data-dir").unwrap_or_else(|| format!("{name}.etcd").into()),
            name,
            wal_dir: self.path("wal-dir"),
            listen_peer_urls: self.urls("listen-peer-urls")?,
            listen_client_urls: self.urls("listen-client-urls")?,
            listen_client_http_urls: self.urls("listen-client-http-urls")?,
            listen_metrics_urls: self.urls("listen-metrics-urls")?,
            initial_advertise_peer_urls,
            advertise_client_urls,
            initial_cluster,
            initial_cluster_state: self.read("initial-cluster-state", cluster_state)?,
            initial_cluster_token: self.text("initial-cluster-token").to_owned(),
            strict_reconfig_check: self.flag("strict-reconfig-check")?,
            heartbeat_interval: self.read("heartbeat-interval", value::millis)?,
            election_timeout: self.read("election-timeout", value::millis)?,
            pre_vote: self.flag("pre-vote")?,
            snapshot_count: self.unsigned("snapshot-count")?,
            snapshot_catchup_entries: self.unsigned("snapshot-catchup-entries")?,
            log_retained_bytes_max: Config::default().log_retained_bytes_max,
            limits: Limits {
                txn_ops_max: self.small("max-txn-ops", value::integer)?,
                request_bytes_max: self.small("max-request-bytes", value::bytes)?,
                concurrent_streams_max: self.small("max-concurrent-streams", value::integer)?,
                ..Limits::default()
            },
            quota_backend_bytes: self.read("quota-backend-bytes", value::bytes)?,
            auto_compaction: self.auto_compaction()?,
            compaction_batch_limit: self.small("compaction-batch-limit", value::integer)?,
            compaction_sleep_interval: self.time("compaction-sleep-interval")?,
            watch_progress_notify_interval: self.time("watch-progress-notify-interval")?,
            grpc_keepalive_interval: self.time("grpc-keepalive-interval")?,
            grpc_keepalive_timeout: self.time("grpc-keepalive-timeout")?,
            socket_reuse_port: self.flag("socket-reuse-port")?,
            client_tls: self.client_tls()?,
            peer_tls: self.peer_tls()?,
            metrics: self.read("metrics", metrics_level)?,
            warning_apply_duration: self.time("warning-apply-duration")?,
            warning_unary_request_duration: self.time("warning-unary-request-duration")?,
            unsafe_no_fsync: self.flag("unsafe-no-fsync")?,
        };
        config.validate()?;
        Ok((config, logging))
    }

    fn client_tls(&self) -> Result<Tls, Invalid> {
        Ok(Tls {
            cert_file: self.path("cert-file"),
            key_file: self.path("key-file"),
            client_cert_file: self.path("client-cert-file"),
            client_key_file: self.path("client-key-file"),
            client_cert_auth: self.flag("client-cert-auth")?,
            trusted_ca_file: self.path("trusted-ca-file"),
            crl_file: self.path("client-crl-file"),
            allowed_cns: self.list("client-cert-allowed-cn"),
            allowed_hostnames: self.list("client-cert-allowed-hostname"),
            auto: self.flag("auto-tls")?,
            ..self.common_tls()?
        })
    }

    fn peer_tls(&self) -> Result<Tls, Invalid> {
        Ok(Tls {
            cert_file: self.path("peer-cert-file"),
            key_file: self.path("peer-key-file"),
            client_cert_file: self.path("peer-client-cert-file"),
            client_key_file: self.path("peer-client-key-file"),
            client_cert_auth: self.flag("peer-client-cert-auth")?,
            trusted_ca_file: self.path("peer-trusted-ca-file"),
            crl_file: self.path("peer-crl-file"),
            allowed_cns: self.list("peer-cert-allowed-cn"),
            allowed_hostnames: self.list("peer-cert-allowed-hostname"),
            auto: self.flag("peer-auto-tls")?,
            skip_client_san_verification: self.flag("peer-skip-client-san-verification")?,
            ..self.common_tls()?
        })
    }

    /// What both sides share.
    fn common_tls(&self) -> Result<Tls, Invalid> {
        let max_version = match self.text("tls-max-version") {
            "" => None,
            _ => Some(self.read("tls-max-version", TlsVersion::parse)?),
        };
        Ok(Tls {
            self_signed_validity_years: self.small("self-signed-cert-validity", value::integer)?,
            cipher_suites: self.list("cipher-suites"),
            min_version: match self.text("tls-min-version") {
                "" => TlsVersion::default(),
                _ => self.read("tls-min-version", TlsVersion::parse)?,
            },
            max_version,
            ..Tls::default()
        })
    }

    fn auto_compaction(&self) -> Result<AutoCompaction, Invalid> {
        let revision = self.read("auto-compaction-mode", |text| match text {
            "periodic" | "" => Ok(false),
            "revision" => Ok(true),
            _ => Err(Invalid::new(
                format!("unknown auto-compaction-mode {text:?}"),
                "history is kept by time or by count",
                "periodic or revision",
            )),
        })?;
        self.read("auto-compaction-retention", |text| {
            if let Ok(number) = value::unsigned(text) {
                return Ok(match (number, revision) {
                    (0, _) => AutoCompaction::Off,
                    (count, true) => AutoCompaction::Revision(i64::try_from(count).unwrap_or(i64::MAX)),
                    (hours, false) => AutoCompaction::Periodic(Duration::from_secs(hours.saturating_mul(3_600))),
                });
            }
            match duration::parse(text) {
                Some(time) if !revision && time.is_zero() => Ok(AutoCompaction::Off),
                Some(time) if !revision => Ok(AutoCompaction::Periodic(time)),
                _ if revision => Err(Invalid::new(
                    format!("error parsing CompactionRetention: {text:?}"),
                    "it is no number of revisions",
                    "1000, or 0 for off",
                )),
                _ => Err(Invalid::new(
                    format!("error parsing CompactionRetention: {text:?}"),
                    "it is neither hours nor a duration",
                    "1 (an hour), 30m, or 0 for off",
                )),
            }
        })
    }
}

fn cluster_state(text: &str) -> Result<ClusterState, Invalid> {
    match text {
        "new" => Ok(ClusterState::New),
        "existing" => Ok(ClusterState::Existing),
        _ => Err(Invalid::new(format!("invalid value {text:?}"), "a cluster is founded or joined", "new or existing")),
    }
}

fn metrics_level(text: &str) -> Result<MetricsLevel, Invalid> {
    match text {
        "basic" | "" => Ok(MetricsLevel::Basic),
        "extensive" => Ok(MetricsLevel::Extensive),
        _ => Err(Invalid::new(format!("invalid value {text:?}"), "there are two levels", "basic or extensive")),
    }
}

fn check_gates(text: &str) -> Result<(), Invalid> {
    for gate in text.split(',').map(str::trim).filter(|gate| !gate.is_empty()) {
        let (name, on) = gate.split_once('=').ok_or_else(|| {
            Invalid::new(format!("missing bool value for {gate}"), "a gate is turned on or off", format!("{gate}=true"))
        })?;
        value::boolean(on.trim()).map_err(|e| e.at(name))?;
        if !table::FEATURE_GATES.contains(&name.trim()) {
            let near = nearest::nearest(name, table::FEATURE_GATES.iter().map(|gate| (*gate).to_owned()));
            return Err(Invalid::new(
                format!("unrecognized feature gate: {name}"),
                "etcd 3.7 has none of that name",
                near.unwrap_or_else(|| table::FEATURE_GATES.join(", ")),
            ));
        }
    }
    Ok(())
}
