//! The rules a whole configuration must keep.
//!
//! Source: etcd `server/embed/config.go` `Validate`, `server/config/config.go` `VerifyBootstrap`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::{AutoCompaction, Config, Invalid, Url};

/// Longest election timeout, as in etcd.
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(50);
/// Election timeout in heartbeats, at least, as in etcd.
const HEARTBEATS_AN_ELECTION_MIN: u32 = 5;

impl Config {
    /// Checks what holds at every start, without looking at disk or network.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.name.is_empty() {
            return Err(Invalid::new(
                "--name is empty",
                "a member is known by its name",
                "a name unique in the cluster",
            ));
        }
        if self.data_dir.as_os_str().is_empty() {
            return Err(Invalid::new(
                "--data-dir is empty",
                "the member keeps its state there",
                "a folder of its own for each member",
            ));
        }
        self.validate_urls()?;
        self.validate_timing()?;
        self.validate_sizes()?;
        self.client_tls.validate("", &[self.listen_client_urls.as_slice(), &self.listen_client_http_urls].concat())?;
        self.client_tls.validate("", &self.listen_metrics_urls)?;
        self.peer_tls.validate("peer-", &self.listen_peer_urls)
    }

    fn validate_urls(&self) -> Result<(), Invalid> {
        for (flag, urls, required) in [
            ("--listen-peer-urls", &self.listen_peer_urls, true),
            ("--listen-client-urls", &self.listen_client_urls, true),
            ("--listen-client-http-urls", &self.listen_client_http_urls, false),
            ("--listen-metrics-urls", &self.listen_metrics_urls, false),
        ] {
            if required && urls.is_empty() {
                return Err(Invalid::new(
                    format!("{flag} is empty"),
                    "the member must be reachable",
                    "http://127.0.0.1:PORT",
                ));
            }
            urls.iter().try_for_each(Url::check_bind).map_err(|e| e.at(flag))?;
        }
        if self.advertise_client_urls.is_empty() {
            return Err(Invalid::new(
                "--advertise-client-urls is required when --listen-client-urls is set explicitly",
                "clients are told where to find this member, and an address to listen on need not be one to dial",
                "--advertise-client-urls with the address that clients use, often the same",
            ));
        }
        if self.initial_advertise_peer_urls.is_empty() {
            return Err(Invalid::new(
                "--initial-advertise-peer-urls is empty",
                "the other members are told where to find this one",
                "the address under which other members reach this one",
            ));
        }
        self.advertise_client_urls
            .iter()
            .try_for_each(Url::check_advertise)
            .map_err(|e| e.at("--advertise-client-urls"))?;
        self.initial_advertise_peer_urls
            .iter()
            .try_for_each(Url::check_advertise)
            .map_err(|e| e.at("--initial-advertise-peer-urls"))
    }

    fn validate_timing(&self) -> Result<(), Invalid> {
        let (heartbeat, election) = (self.heartbeat_interval.as_millis(), self.election_timeout.as_millis());
        if heartbeat == 0 {
            return Err(Invalid::new(
                "--heartbeat-interval must be >0 (set to 0ms)",
                "the leader must be heard",
                "100, the default",
            ));
        }
        if self.election_timeout < self.heartbeat_interval * HEARTBEATS_AN_ELECTION_MIN {
            return Err(Invalid::new(
                format!(
                    "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
                ),
                "fewer heartbeats in a timeout make one lost packet an election",
                format!("--election-timeout {}", heartbeat * 10),
            ));
        }
        if self.election_timeout > ELECTION_TIMEOUT_MAX {
            return Err(Invalid::new(
                format!(
                    "--election-timeout[{election}ms] is too long, and should be set less than {}ms",
                    ELECTION_TIMEOUT_MAX.as_millis()
                ),
                "the cluster would stand still for that long when its leader dies",
                "1000, the default, or ten round trips to the farthest member",
            ));
        }
        if self.watch_progress_notify_interval.is_zero() {
            return Err(Invalid::new(
                "--watch-progress-notify-interval is 0",
                "an idle watch would be notified without pause",
                "10m, the default",
            ));
        }
        Ok(())
    }

    fn validate_sizes(&self) -> Result<(), Invalid> {
        let limits = &self.limits;
        for (flag, zero) in [
            ("--snapshot-count", self.snapshot_count == 0),
            ("--max-txn-ops", limits.txn_ops_max == 0),
            ("--max-request-bytes", limits.request_bytes_max == 0),
            ("--max-concurrent-streams", limits.concurrent_streams_max == 0),
            ("--compaction-batch-limit", self.compaction_batch_limit == 0),
            ("connections-max", limits.connections_max == 0),
            ("tls-handshakes-max", limits.tls_handshakes_max == 0),
            ("tls-handshake-seconds-max", limits.tls_handshake_seconds_max == 0),
            ("first-byte-seconds-max", limits.first_byte_seconds_max == 0),
        ] {
            if zero {
                return Err(Invalid::new(
                    format!("{flag} is 0"),
                    "nothing could ever be served",
                    "1 or more, or leave the default",
                ));
            }
        }
        if let AutoCompaction::Revision(retention) = self.auto_compaction
            && retention <= 0
        {
            return Err(Invalid::new(
                "--auto-compaction-retention is not above 0",
                "no revision would be kept",
                "0 to turn it off",
            ));
        }
        Ok(())
    }

    /// Checks what holds at the first start of a member: the initial cluster names it, at its advertised peer URLs, and
    /// no URL stands twice. Resolves names when the texts differ, so it may block for a while.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate_bootstrap(&self) -> Result<(), Invalid> {
        let Some(urls) = self.initial_cluster.peer_urls(&self.name) else {
            return Err(Invalid::new(
                format!("couldn't find local name {:?} in the initial cluster configuration", self.name),
                format!("--initial-cluster is {}", self.initial_cluster),
                format!("a --name out of --initial-cluster, or {}=URL in it", self.name),
            ));
        };
        if let Some(url) = self.initial_cluster.duplicate_url() {
            return Err(Invalid::new(
                format!("initial cluster has duplicate url {url}"),
                "two members cannot have one address",
                "one URL for each member in --initial-cluster",
            ));
        }
        if !same_addresses(urls, &self.initial_advertise_peer_urls) {
            let list = |urls: &[Url]| urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            return Err(Invalid::new(
                format!(
                    "--initial-cluster has {}={} but --initial-advertise-peer-urls is {}",
                    self.name,
                    list(urls),
                    list(&self.initial_advertise_peer_urls)
                ),
                "the others would dial this member where it says it is not",
                "the same URLs in both flags",
            ));
        }
        Ok(())
    }
}

/// Equal as texts, or after resolving every name.
fn same_addresses(left: &[Url], right: &[Url]) -> bool {
    let texts = |urls: &[Url]| urls.iter().cloned().collect::<BTreeSet<_>>();
    if texts(left) == texts(right) {
        return true;
    }
    match (resolved(left), resolved(right)) {
        (Some(left), Some(right)) => {
            left.len() == right.len() && left.iter().zip(&right).all(|(l, r)| !l.is_disjoint(r))
        }
        _ => false,
    }
}

fn resolved(urls: &[Url]) -> Option<Vec<BTreeSet<SocketAddr>>> {
    urls.iter()
        .map(|url| {
            (!url.is_unix()).then(|| (url.host(), url.port()).to_socket_addrs().ok().map(Iterator::collect)).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::InitialCluster;
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.validate().and_then(|()| config.validate_bootstrap()).unwrap_err().to_string()
    }

    #[test]
    fn timing_rules_are_those_of_etcd() {
        let ms = Duration::from_millis;
        assert!(refused(|c| c.heartbeat_interval = ms(0)).contains("must be >0"));
        assert!(refused(|c| c.heartbeat_interval = ms(201)).contains("at least as 5 times"));
        assert!(refused(|c| c.election_timeout = ms(50_001)).contains("too long"));
        let edges = Config { heartbeat_interval: ms(10_000), election_timeout: ms(50_000), ..Config::default() };
        edges.validate().unwrap();
    }

    #[test]
    fn urls_must_be_there_and_bindable() {
        assert!(refused(|c| c.listen_client_urls.clear()).contains("--listen-client-urls is empty"));
        assert!(refused(|c| c.advertise_client_urls.clear()).contains("--advertise-client-urls is required"));
        let named = || vec![Url::parse("http://example.com:1").unwrap()];
        assert!(refused(|c| c.listen_metrics_urls = named()).contains("--listen-metrics-urls: expected IP"));
    }

    #[test]
    fn the_initial_cluster_must_name_this_member_where_it_is() {
        assert!(refused(|c| c.name = "other".into()).contains("couldn't find local name"));
        let cluster = |text: &str| InitialCluster::parse(text).unwrap();
        assert!(
            refused(|c| c.initial_cluster = cluster("default=http://localhost:1"))
                .contains("but --initial-advertise-peer-urls")
        );
        assert!(
            refused(|c| c.initial_cluster = cluster("default=http://localhost:2380,x=http://localhost:2380"))
                .contains("duplicate")
        );
        let mut config = Config { initial_cluster: cluster("default=http://127.0.0.1:2380"), ..Config::default() };
        config.initial_advertise_peer_urls = vec![Url::localhost(2380)];
        config.validate_bootstrap().unwrap();
    }

    #[test]
    fn zero_where_nothing_could_be_served_is_refused() {
        assert!(refused(|c| c.limits.txn_ops_max = 0).contains("--max-txn-ops is 0"));
        assert!(refused(|c| c.auto_compaction = AutoCompaction::Revision(0)).contains("retention"));
    }
}
