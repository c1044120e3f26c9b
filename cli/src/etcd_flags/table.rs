//! The table of flags: name, kind of value, default, whether it does something, one line of help.
//!
//! Source: etcd `server/embed/config.go` `AddFlags`, `server/etcdmain/config.go`, of versions 3.4 to 3.7.

use Effect::{Full, Later, Obsolete};
use Kind::{Bool, Bytes, Cluster, Duration, Ignored, Int, List, Millis, Number, Path, Text, Uint, Urls};

/// How a flag's value reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Text,
    Path,
    /// Texts with commas between.
    List,
    Int,
    Uint,
    /// A decimal fraction.
    Number,
    /// A count of bytes, also as `8GiB`.
    Bytes,
    /// Go's duration; in a file also integer nanoseconds.
    Duration,
    /// Integer milliseconds, also as a duration.
    Millis,
    Urls,
    Cluster,
    /// Takes no value of its own and does not look at one it is given (etcd `flags.IgnoredFlag`).
    Ignored,
}

/// What a flag does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// What it does in etcd.
    Full,
    /// Nothing yet.
    Later,
    /// Nothing, ever: etcd dropped it, or it tunes a part we do not have.
    Obsolete,
}

/// One flag.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) effect: Effect,
    pub(crate) help: &'static str,
}

impl Flag {
    /// Whether Go lets it stand without a value.
    pub(crate) fn is_boolean(&self) -> bool {
        matches!(self.kind, Bool | Ignored)
    }

    /// Whether its value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        self.name.contains("password")
    }
}

/// A heading of the help text with its flags.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) flags: &'static [Flag],
}

/// The flag of this name, or the one that an older name stands for.
pub(crate) fn find(name: &str) -> Option<&'static Flag> {
    let exact = |name: &str| SECTIONS.iter().flat_map(|section| section.flags).find(|flag| flag.name == name);
    exact(name)
        .or_else(|| name.strip_prefix("experimental-").filter(|base| EXPERIMENTAL.contains(base)).and_then(exact))
}

/// All names that [`find`] knows.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let flags = SECTIONS.iter().flat_map(|section| section.flags).map(|flag| flag.name.to_owned());
    flags.chain(EXPERIMENTAL.iter().map(|base| format!("experimental-{base}")))
}

const fn f(name: &'static str, kind: Kind, default: &'static str, effect: Effect, help: &'static str) -> Flag {
    Flag { name, kind, default, effect, help }
}

/// Flags that carried `experimental-` up to etcd 3.6; the plain name is in the table.
pub(crate) const EXPERIMENTAL: &[&str] = &[
    "bootstrap-defrag-threshold-megabytes",
    "compact-hash-check-enabled",
    "compact-hash-check-time",
    "compaction-batch-limit",
    "compaction-sleep-interval",
    "corrupt-check-time",
    "distributed-tracing-address",
    "distributed-tracing-instance-id",
    "distributed-tracing-sampling-rate",
    "distributed-tracing-service-name",
    "downgrade-check-time",
    "enable-distributed-tracing",
    "enable-lease-checkpoint",
    "enable-lease-checkpoint-persist",
    "initial-corrupt-check",
    "memory-mlock",
    "peer-skip-client-san-verification",
    "snapshot-catchup-entries",
    "stop-grpc-service-on-defrag",
    "txn-mode-write-with-shared-buffer",
    "warning-apply-duration",
    "warning-unary-request-duration",
    "watch-progress-notify-interval",
];

/// Feature gates that etcd 3.7 knows; any other name is refused.
pub(crate) const FEATURE_GATES: &[&str] = &[
    "AllAlpha",
    "AllBeta",
    "StopGRPCServiceOnDefrag",
    "InitialCorruptCheck",
    "CompactHashCheck",
    "TxnModeWriteWithSharedBuffer",
    "LeaseCheckpoint",
    "LeaseCheckpointPersist",
    "SetMemberLocalAddr",
    "FastLeaseKeepAlive",
    "PriorityRequest",
];

/// Every flag.
pub(crate) const SECTIONS: &[Section] = &[
    Section { title: "Member", flags: MEMBER },
    Section { title: "Clustering", flags: CLUSTERING },
    Section { title: "Limits and compaction", flags: LIMITS },
    Section { title: "Security", flags: SECURITY },
    Section { title: "Auth", flags: AUTH },
    Section { title: "Logging and monitoring", flags: MONITORING },
    Section { title: "Checks and features", flags: FEATURES },
    Section { title: "Discovery", flags: DISCOVERY },
    Section { title: "Accepted for the sake of old command lines", flags: OLD },
];

const MEMBER: &[Flag] = &[
    f("name", Text, "default", Full, "name of this member, unique in the cluster"),
    f("data-dir", Path, "", Full, "where the member keeps its state (default ${name}.etcd)"),
    f("wal-dir", Path, "", Full, "a folder of its own for the log"),
    f("config-file", Path, "", Full, "a YAML file with settings; flags and ETCD_* variables go over it"),
    f("listen-peer-urls", Urls, "http://localhost:2380", Full, "addresses to bind for other members"),
    f("listen-client-urls", Urls, "http://localhost:2379", Full, "addresses to bind for clients"),
    f(
        "listen-client-http-urls",
        Urls,
        "",
        Full,
        "addresses to bind for plain HTTP; then listen-client-urls serve gRPC only",
    ),
    f("heartbeat-interval", Millis, "100", Full, "milliseconds between heartbeats of the leader"),
    f("election-timeout", Millis, "1000", Full, "milliseconds of silence before an election"),
    f("initial-election-tick-advance", Bool, "true", Later, "shorten the first election"),
    f("pre-vote", Bool, "true", Full, "ask before an election whether it could be won"),
    f("snapshot-count", Uint, "10000", Full, "entries between two snapshots"),
    f("snapshot-catchup-entries", Uint, "5000", Full, "entries kept behind a snapshot for followers that lag"),
    f("raft-read-timeout", Duration, "5s", Obsolete, "read timeout of a peer connection"),
    f("raft-write-timeout", Duration, "5s", Obsolete, "write timeout of a peer connection"),
    f("socket-reuse-port", Bool, "false", Full, "let several processes bind one port"),
    f("socket-reuse-address", Bool, "false", Full, "bind a port that is still in TIME_WAIT (always on here)"),
    f("unsafe-no-fsync", Bool, "false", Full, "never sync files: a power cut loses writes; for tests"),
    f("force-new-cluster", Bool, "false", Later, "make this member's data a cluster of one"),
    f("version", Bool, "false", Full, "print the version and exit"),
];

const CLUSTERING: &[Flag] = &[
    f("initial-advertise-peer-urls", Urls, "http://localhost:2380", Full, "peer URLs told to the other members"),
    f(
        "advertise-client-urls",
        Urls,
        "http://localhost:2379",
        Full,
        "client URLs told to clients; required with listen-client-urls",
    ),
    f("initial-cluster", Cluster, "", Full, "all members at first start, name=url,… (default: this one)"),
    f("initial-cluster-state", Text, "new", Full, "new, or existing when joining a cluster that runs"),
    f("initial-cluster-token", Text, "etcd-cluster", Full, "sets two clusters of one form apart"),
    f("strict-reconfig-check", Bool, "true", Full, "refuse membership changes that lose the quorum"),
    f("max-learners", Int, "1", Later, "learners a cluster may have"),
];

const LIMITS: &[Flag] = &[
    f("quota-backend-bytes", Bytes, "0", Full, "size at which NOSPACE is raised; 0 is 2 GiB, negative is no bound"),
    f("max-txn-ops", Uint, "128", Full, "operations in one transaction"),
    f("max-request-bytes", Bytes, "1572864", Full, "size of one request"),
    f("max-concurrent-streams", Uint, "4294967295", Full, "streams on one client connection"),
    f("grpc-keepalive-min-time", Duration, "5s", Later, "shortest time between pings that a client may send"),
    f("grpc-keepalive-interval", Duration, "2h", Full, "idle time before the server pings a client"),
    f("grpc-keepalive-timeout", Duration, "20s", Full, "time a client has to answer the ping"),
    f("auto-compaction-mode", Text, "periodic", Full, "periodic or revision"),
    f("auto-compaction-retention", Text, "0", Full, "history kept: hours, a duration, or revisions; 0 is off"),
    f("compaction-batch-limit", Uint, "1000", Full, "revisions removed in one step of a compaction"),
    f("compaction-sleep-interval", Duration, "10ms", Full, "pause between two steps of a compaction"),
    f("backend-batch-interval", Duration, "0s", Obsolete, "time between commits of etcd's backend"),
    f("backend-batch-limit", Int, "0", Obsolete, "operations in a commit of etcd's backend"),
    f("backend-bbolt-freelist-type", Text, "map", Obsolete, "free list of etcd's backend"),
    f(
        "bootstrap-defrag-threshold-megabytes",
        Uint,
        "0",
        Obsolete,
        "defragment at start; space comes back by itself here",
    ),
    f("memory-mlock", Bool, "false", Later, "keep the process in memory"),
    f("max-wals", Uint, "5", Obsolete, "log files that etcd keeps"),
    f("max-snapshots", Uint, "5", Obsolete, "snapshot files that etcd keeps"),
];

const SECURITY: &[Flag] = &[
    f("cert-file", Path, "", Full, "certificate of the client listeners, PEM"),
    f("key-file", Path, "", Full, "its key"),
    f("client-cert-file", Path, "", Later, "certificate this member shows to itself as a client"),
    f("client-key-file", Path, "", Later, "its key"),
    f("client-cert-auth", Bool, "false", Full, "demand a certificate from clients"),
    f("trusted-ca-file", Path, "", Full, "CA that client certificates must be signed by; demands one"),
    f("client-crl-file", Path, "", Full, "revoked client certificates"),
    f("client-cert-allowed-hostname", List, "", Full, "host names that a client certificate must be valid for"),
    f("client-cert-allowed-cn", List, "", Full, "common names that a client certificate must have (not in etcd)"),
    f("auto-tls", Bool, "false", Full, "make a self-signed certificate for clients"),
    f("peer-cert-file", Path, "", Full, "certificate of the peer listeners, PEM"),
    f("peer-key-file", Path, "", Full, "its key"),
    f("peer-client-cert-file", Path, "", Full, "certificate shown to other members (default peer-cert-file)"),
    f("peer-client-key-file", Path, "", Full, "its key"),
    f("peer-client-cert-auth", Bool, "false", Full, "demand a certificate from other members"),
    f("peer-trusted-ca-file", Path, "", Full, "CA that members' certificates must be signed by; demands one"),
    f("peer-crl-file", Path, "", Full, "revoked certificates of members"),
    f("peer-cert-allowed-cn", List, "", Full, "common names that a member's certificate must have"),
    f("peer-cert-allowed-hostname", List, "", Full, "host names that a member's certificate must be valid for"),
    f("peer-auto-tls", Bool, "false", Full, "make a self-signed certificate for members"),
    f(
        "peer-skip-client-san-verification",
        Bool,
        "false",
        Full,
        "do not compare a member's address with its certificate",
    ),
    f("self-signed-cert-validity", Uint, "1", Full, "years that self-signed certificates are valid"),
    f("cipher-suites", List, "", Full, "cipher suites up to TLS 1.2 (default: all that are safe)"),
    f("tls-min-version", Text, "TLS1.2", Full, "TLS1.2 or TLS1.3"),
    f("tls-max-version", Text, "", Full, "TLS1.2 or TLS1.3 (default: the newest)"),
    f("cors", List, "*", Later, "origins that browsers may call from"),
    f("host-whitelist", List, "*", Later, "host names that HTTP requests may name"),
];

const AUTH: &[Flag] = &[
    f("auth-token", Text, "simple", Later, "simple, or jwt with its options"),
    f("auth-token-ttl", Uint, "300", Later, "seconds a simple token lives"),
    f("bcrypt-cost", Uint, "10", Later, "cost of hashing passwords, 4 to 31"),
];

const MONITORING: &[Flag] = &[
    f("logger", Text, "zap", Full, "zap, etcd's name for logs of JSON lines"),
    f("log-outputs", List, "default", Full, "stderr, stdout or files"),
    f("log-level", Text, "info", Full, "debug, info, warn, error, panic or fatal"),
    f("log-format", Text, "json", Full, "json or console"),
    f("enable-log-rotation", Bool, "false", Later, "rotate log files"),
    f("log-rotation-config-json", Text, "", Later, "how log files are rotated"),
    f("listen-metrics-urls", Urls, "", Full, "further addresses for /metrics and /health"),
    f("metrics", Text, "basic", Full, "basic, or extensive with latency histograms"),
    f("enable-pprof", Bool, "false", Later, "profiles under /debug/pprof"),
    f("warning-apply-duration", Duration, "100ms", Full, "applying one request for longer is logged"),
    f("warning-unary-request-duration", Duration, "300ms", Full, "a call that takes longer is logged"),
    f("enable-distributed-tracing", Bool, "false", Later, "send OpenTelemetry traces"),
    f("distributed-tracing-address", Text, "localhost:4317", Later, "where traces go"),
    f("distributed-tracing-service-name", Text, "etcd", Later, "name in traces"),
    f("distributed-tracing-instance-id", Text, "", Later, "instance in traces"),
    f("distributed-tracing-sampling-rate", Number, "0", Later, "traces out of a million requests"),
];

const FEATURES: &[Flag] = &[
    f("watch-progress-notify-interval", Duration, "10m", Full, "time between progress notifications of an idle watch"),
    f("enable-grpc-gateway", Bool, "true", Later, "serve the HTTP gateway under /v3"),
    f("corrupt-check-time", Duration, "0s", Later, "time between checks that members hold the same"),
    f("compact-hash-check-time", Duration, "1m", Later, "time between checks of compaction hashes"),
    f("compact-hash-check-enabled", Bool, "false", Later, "compare hashes after compactions"),
    f("initial-corrupt-check", Bool, "false", Later, "compare with the other members at start"),
    f("downgrade-check-time", Duration, "5s", Later, "time between checks for a downgrade"),
    f("feature-gates", Text, "", Later, "Gate=true|false,…"),
    f("enable-lease-checkpoint", Bool, "false", Obsolete, "checkpoint leases; always on here"),
    f("enable-lease-checkpoint-persist", Bool, "false", Obsolete, "keep lease checkpoints; always on here"),
    f("stop-grpc-service-on-defrag", Bool, "false", Obsolete, "serving goes on here"),
    f("txn-mode-write-with-shared-buffer", Bool, "true", Obsolete, "tunes etcd's backend"),
];

const DISCOVERY: &[Flag] = &[
    f("discovery-token", Text, "", Later, "token of a bootstrap through another cluster"),
    f("discovery-endpoints", List, "", Later, "that cluster's endpoints"),
    f("discovery-dial-timeout", Duration, "2s", Later, "how long dialling it may take"),
    f("discovery-request-timeout", Duration, "5s", Later, "how long a request to it may take"),
    f("discovery-keepalive-time", Duration, "2s", Later, "time between pings to it"),
    f("discovery-keepalive-timeout", Duration, "6s", Later, "time it has to answer"),
    f("discovery-insecure-transport", Bool, "true", Later, "talk to it without TLS"),
    f("discovery-insecure-skip-tls-verify", Bool, "false", Later, "do not verify its certificate"),
    f("discovery-cert", Path, "", Later, "certificate shown to it"),
    f("discovery-key", Path, "", Later, "its key"),
    f("discovery-cacert", Path, "", Later, "CA of its certificate"),
    f("discovery-user", Text, "", Later, "user there"),
    f("discovery-password", Text, "", Later, "password there"),
    f("discovery-srv", Text, "", Later, "DNS domain to find members by"),
    f("discovery-srv-name", Text, "", Later, "suffix of the DNS service name"),
    f("discovery", Text, "", Obsolete, "URL of the v2 discovery service"),
    f("discovery-proxy", Text, "", Obsolete, "proxy to the v2 discovery service"),
    f("discovery-fallback", Text, "exit", Obsolete, "what to do when v2 discovery fails"),
];

const OLD: &[Flag] = &[
    f("enable-v2", Bool, "false", Obsolete, "the v2 API"),
    f("v2-deprecation", Text, "write-only", Obsolete, "phase of the v2 API's end"),
    f("proxy", Text, "off", Obsolete, "v2 proxy mode"),
    f("proxy-failure-wait", Uint, "5000", Obsolete, "v2 proxy"),
    f("proxy-refresh-interval", Uint, "30000", Obsolete, "v2 proxy"),
    f("proxy-dial-timeout", Uint, "1000", Obsolete, "v2 proxy"),
    f("proxy-write-timeout", Uint, "5000", Obsolete, "v2 proxy"),
    f("proxy-read-timeout", Uint, "0", Obsolete, "v2 proxy"),
    f("debug", Bool, "false", Obsolete, "log-level debug"),
    f("log-package-levels", Text, "", Obsolete, "levels of etcd's old logger"),
    f("cluster-active-size", Ignored, "", Obsolete, "of etcd 0.4"),
    f("cluster-remove-delay", Ignored, "", Obsolete, "of etcd 0.4"),
    f("cluster-sync-interval", Ignored, "", Obsolete, "of etcd 0.4"),
    f("config", Ignored, "", Obsolete, "of etcd 0.4"),
    f("force", Ignored, "", Obsolete, "of etcd 0.4"),
    f("max-result-buffer", Ignored, "", Obsolete, "of etcd 0.4"),
    f("max-retry-attempts", Ignored, "", Obsolete, "of etcd 0.4"),
    f("peer-heartbeat-interval", Ignored, "", Obsolete, "of etcd 0.4"),
    f("peer-election-timeout", Ignored, "", Obsolete, "of etcd 0.4"),
    f("retry-interval", Ignored, "", Obsolete, "of etcd 0.4"),
    f("snapshot", Ignored, "", Obsolete, "of etcd 0.4"),
    f("v", Ignored, "", Obsolete, "of etcd 0.4"),
    f("vv", Ignored, "", Obsolete, "of etcd 0.4"),
    f("test.coverprofile", Ignored, "", Obsolete, "of Go's test binaries"),
    f("test.outputdir", Ignored, "", Obsolete, "of Go's test binaries"),
];
