//! Tables over all sources of settings: every flag in every form, the merge, the refusals.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use fairlead_store::config::{AutoCompaction, ClusterState, Config, MetricsLevel, TlsVersion};

use super::settings::Origin;
use super::table::{self, Effect, Kind};
use super::*;

const FILE: &str = "/etc/etcd.yaml";

/// Parses words, variables (`NAME=value`) and a file (given by `--config-file` when not empty).
fn parse_all(args: &[&str], environment: &[(&str, &str)], file: &str) -> Result<Request, Error> {
    let mut args: Vec<OsString> = args.iter().map(OsString::from).collect();
    if !file.is_empty() {
        args.push(format!("--config-file={FILE}").into());
    }
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    parse(args, environment, |path: &Path| {
        if path == Path::new(FILE) { Ok(file.to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    })
}

fn serve(args: &[&str], environment: &[(&str, &str)], file: &str) -> Serve {
    match parse_all(args, environment, file) {
        Ok(Request::Serve(serve)) => *serve,
        other => panic!("{args:?} {environment:?} {file:?}: {other:?}"),
    }
}

fn config(args: &[&str]) -> Config {
    serve(args, &[], "").config
}

fn refused(args: &[&str]) -> (u8, String) {
    let error = parse_all(args, &[], "").unwrap_err();
    (error.exit_status(), error.to_string())
}

/// A value of the flag's kind that is not its default, such that the whole configuration stays valid.
fn sample(flag: &table::Flag) -> &'static str {
    match flag.name {
        "initial-cluster-state" => "existing",
        "auto-compaction-mode" => "revision",
        "auto-compaction-retention" => "5",
        "tls-min-version" | "tls-max-version" => "TLS1.3",
        "log-level" => "warn",
        "log-format" => "console",
        "logger" => "zap",
        "metrics" => "extensive",
        "feature-gates" => "LeaseCheckpoint=true",
        "election-timeout" => "2000",
        "heartbeat-interval" => "50",
        "listen-client-urls" | "listen-peer-urls" => "http://127.0.0.1:77,http://127.0.0.1:78",
        _ => match flag.kind {
            Kind::Bool if flag.default == "true" => "false",
            Kind::Bool => "true",
            Kind::Text | Kind::Path | Kind::List | Kind::Ignored => "a-text",
            Kind::Int | Kind::Uint | Kind::Bytes | Kind::Millis => "77",
            Kind::Number => "0.5",
            Kind::Duration => "77s",
            Kind::Urls => "http://127.0.0.1:77",
            Kind::Cluster => "default=http://localhost:2380,b=http://b:1",
        },
    }
}

/// Flags that are only valid together with others.
fn companions(name: &str) -> &'static [&'static str] {
    match name {
        "cert-file" => &["key-file"],
        "key-file" => &["cert-file"],
        "client-cert-file" => &["client-key-file"],
        "client-key-file" => &["client-cert-file"],
        "peer-cert-file" => &["peer-key-file"],
        "peer-key-file" => &["peer-cert-file"],
        "peer-client-cert-file" => &["peer-client-key-file"],
        "peer-client-key-file" => &["peer-client-cert-file"],
        "client-cert-auth" | "client-crl-file" | "client-cert-allowed-hostname" | "client-cert-allowed-cn" => {
            &["trusted-ca-file"]
        }
        "peer-client-cert-auth" | "peer-crl-file" | "peer-cert-allowed-cn" | "peer-cert-allowed-hostname" => {
            &["peer-trusted-ca-file"]
        }
        "listen-client-urls" => &["advertise-client-urls"],
        _ => &[],
    }
}

/// Every flag but those that end the parse or lead to a file.
fn flags() -> impl Iterator<Item = &'static table::Flag> {
    table::SECTIONS
        .iter()
        .flat_map(|section| section.flags)
        .filter(|flag| !matches!(flag.name, "version" | "config-file" | "config"))
}

#[test]
fn every_flag_parses_in_every_form_and_all_forms_mean_the_same() {
    for flag in flags() {
        let group: Vec<_> = std::iter::once(flag.name)
            .chain(companions(flag.name).iter().copied())
            .map(|name| (name, sample(table::find(name).unwrap())))
            .collect();
        let forms: [fn(&str, &str) -> Vec<String>; 4] = [
            |name, value| vec![format!("--{name}={value}")],
            |name, value| vec![format!("-{name}={value}")],
            |name, value| vec![format!("--{name}"), value.to_owned()],
            |name, value| vec![format!("-{name}"), value.to_owned()],
        ];
        let mut configs = Vec::new();
        for form in forms {
            let words: Vec<String> = group
                .iter()
                .flat_map(|(name, value)| {
                    let boolean = table::find(name).unwrap().is_boolean();
                    if boolean && *value != "true" { vec![format!("--{name}={value}")] } else { form(name, value) }
                })
                .filter(|word| !(word == "true" || (flag.kind == Kind::Ignored && word == "a-text")))
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            configs.push((format!("{words:?}"), serve(&words, &[], "")));
        }
        let variables: Vec<_> = group.iter().map(|(name, value)| (environment::variable(name), *value)).collect();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        configs.push((format!("{variables:?}"), serve(&[], &variables, "")));
        let lines: String = group.iter().map(|(name, value)| format!("{name}: \"{value}\"\n")).collect();
        configs.push((lines.clone(), serve(&[], &[], &lines)));
        let (_, first) = &configs[0];
        for (form, serve) in &configs {
            assert_eq!(serve.config, first.config, "{form}");
            assert_eq!(serve.logging, first.logging, "{form}");
        }
        let nothing = serve(&[], &[], "");
        let changed = first.config != nothing.config || first.logging != nothing.logging;
        let noted = first
            .notices
            .iter()
            .any(|n| matches!(n, Notice::WithoutEffect { spelt, .. } if spelt == &format!("--{}", flag.name)));
        // Each flag either does something or says that it does not.
        let always_on = matches!(flag.name, "logger" | "socket-reuse-address" | "auto-compaction-mode");
        let kept_for_later = matches!(flag.name, "client-cert-file" | "client-key-file");
        assert_eq!((changed || always_on) && !kept_for_later, flag.effect == Effect::Full, "{}", flag.name);
        assert_eq!(noted, flag.effect != Effect::Full, "{}", flag.name);
    }
}

#[test]
fn old_names_mean_the_new_ones_and_say_so() {
    for base in table::EXPERIMENTAL {
        let flag = table::find(base).unwrap_or_else(|| panic!("{base} is not in the table"));
        let old = format!("--experimental-{base}={}", sample(flag));
        let new = format!("--{base}={}", sample(flag));
        let (old, new) = (serve(&[&old], &[], ""), serve(&[&new], &[], ""));
        assert_eq!(old.config, new.config);
        assert!(old.notices.iter().any(|n| matches!(n, Notice::OldName { name, .. } if name == base)), "{base}");
    }
    let variable = serve(&[], &[("ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL", "5s")], "");
    assert_eq!(variable.config.watch_progress_notify_interval, Duration::from_secs(5));
    assert!(table::find("experimental-name").is_none());
}

#[test]
fn names_are_unique_and_defaults_are_values() {
    let names: Vec<_> = table::names().collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for flag in flags() {
        value::check(flag.kind, flag.default)
            .or_else(|e| if flag.kind == Kind::Ignored { Ok(()) } else { Err(e) })
            .unwrap();
    }
}

#[test]
fn without_settings_it_is_one_member_on_etcds_ports() {
    let serve = serve(&[], &[], "");
    assert_eq!(serve.config, Config::default());
    assert_eq!(serve.notices, []);
    assert_eq!(serve.logging.outputs, [LogOutput::Stderr]);
    assert_eq!(serve.config.initial_cluster.to_string(), "default=http://localhost:2380");
}

#[test]
fn the_name_gives_data_dir_and_initial_cluster() {
    let config = config(&["--name=n1", "--initial-advertise-peer-urls=http://a:1,http://b:1"]);
    assert_eq!(config.data_dir, Path::new("n1.etcd"));
    assert_eq!(config.initial_cluster.to_string(), "n1=http://a:1,n1=http://b:1");
}

#[test]
fn values_reach_their_fields() {
    let c = config(&[
        "--heartbeat-interval=50ms",
        "-election-timeout",
        "5000",
        "--quota-backend-bytes=8GiB",
        "--auto-compaction-mode=revision",
        "--auto-compaction-retention=1000",
        "--initial-cluster-state=existing",
        "--metrics=extensive",
        "--tls-min-version=TLS1.3",
        "--pre-vote=false",
        "--max-request-bytes=0x100",
        "--log-level=info",
    ]);
    assert_eq!((c.heartbeat_interval, c.election_timeout), (Duration::from_millis(50), Duration::from_secs(5)));
    assert_eq!((c.quota_backend_bytes, c.limits.request_bytes_max), (8 << 30, 256));
    assert_eq!(c.auto_compaction, AutoCompaction::Revision(1000));
    assert_eq!((c.initial_cluster_state, c.metrics), (ClusterState::Existing, MetricsLevel::Extensive));
    assert_eq!((c.client_tls.min_version, c.peer_tls.min_version), (TlsVersion::V1_3, TlsVersion::V1_3));
    assert!(!c.pre_vote);
}

#[test]
fn retention_is_hours_a_duration_or_revisions() {
    for (mode, retention, expected) in [
        ("periodic", "0", AutoCompaction::Off),
        ("periodic", "0s", AutoCompaction::Off),
        ("periodic", "2", AutoCompaction::Periodic(Duration::from_secs(7200))),
        ("periodic", "30m", AutoCompaction::Periodic(Duration::from_secs(1800))),
        ("revision", "0", AutoCompaction::Off),
        ("revision", "7", AutoCompaction::Revision(7)),
    ] {
        let c =
            config(&[&format!("--auto-compaction-mode={mode}"), &format!("--auto-compaction-retention={retention}")]);
        assert_eq!(c.auto_compaction, expected, "{mode} {retention}");
    }
    for (mode, retention) in [("periodic", "x"), ("periodic", "-1"), ("revision", "1h"), ("weekly", "1")] {
        let (status, text) =
            refused(&[&format!("--auto-compaction-mode={mode}"), &format!("--auto-compaction-retention={retention}")]);
        assert!(status == 1 && text.contains("auto-compaction"), "{text}");
    }
}

#[test]
fn flags_go_over_variables_over_the_file_and_each_override_is_noted() {
    let file = "name: file\ndata-dir: file-dir\nsnapshot-count: 1\nmax-txn-ops: 9\n";
    let environment = [("ETCD_NAME", "variable"), ("ETCD_DATA_DIR", "variable-dir"), ("ETCD_MAX_TXN_OPS", "9")];
    let serve = serve(&["--name=flag"], &environment, file);
    let c = &serve.config;
    assert_eq!((c.name.as_str(), c.data_dir.as_path(), c.snapshot_count), ("flag", Path::new("variable-dir"), 1));
    let overrides: Vec<_> = serve
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Overridden { setting, origin, overridden_origin, .. } => {
                Some((*setting, *origin, *overridden_origin))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        overrides,
        [
            ("name", Origin::Flag, Origin::Environment),
            ("name", Origin::Flag, Origin::File),
            ("data-dir", Origin::Environment, Origin::File),
        ]
    );
}

#[test]
fn of_a_flag_given_twice_the_last_counts() {
    assert_eq!(config(&["--name=a", "--name=b"]).name, "b");
}

#[test]
fn secrets_are_not_shown_in_notices() {
    let serve = serve(&["--discovery-password=hunter2"], &[("ETCD_DISCOVERY_PASSWORD", "hunter3")], "");
    assert!(!format!("{:?}", serve.notices).contains("hunter"));
}

#[test]
fn the_file_knows_blocks_lists_and_integer_nanoseconds() {
    let file = "
name: n1
listen-client-urls: [https://127.0.0.1:1, 'https://127.0.0.1:2']
advertise-client-urls: https://127.0.0.1:1
heartbeat-interval: 50
grpc-keepalive-timeout: 5000000000
watch-progress-notify-interval: 1m
log-outputs: [stdout, /var/log/x]
feature-gates: {LeaseCheckpoint: true}
initial-cluster:
wal-dir: ''
client-transport-security:
  cert-file: c
  key-file: k
  client-cert-auth: true
  trusted-ca-file: ca
  allowed-cn: a
  auto-tls: false
peer-transport-security:
  cert-file: pc
  key-file: pk
  client-cert-file: pcc
  client-key-file: pck
  trusted-ca-file: pca
  allowed-hostname: [h1, h2]
  crl-file: crl
  skip-client-san-verification: true
";
    let serve = serve(&[], &[], file);
    let c = &serve.config;
    assert_eq!(c.listen_client_urls.len(), 2);
    assert_eq!((c.heartbeat_interval, c.grpc_keepalive_timeout), (Duration::from_millis(50), Duration::from_secs(5)));
    assert!(c.client_tls.client_cert_auth && c.client_tls.allowed_cns == ["a"]);
    let peer = &c.peer_tls;
    assert_eq!((&peer.cert_file, &peer.client_key_file), (&Some("pc".into()), &Some("pck".into())));
    assert_eq!(
        (&peer.allowed_hostnames[..], &peer.crl_file),
        (&["h1".to_owned(), "h2".to_owned()][..], &Some("crl".into()))
    );
    assert!(peer.skip_client_san_verification && c.wal_dir.is_none());
    assert_eq!(serve.logging.outputs, [LogOutput::Stdout, LogOutput::File("/var/log/x".into())]);
}

#[test]
fn the_files_path_may_come_from_a_variable() {
    match parse_all(&[], &[("ETCD_CONFIG_FILE", FILE)], "").unwrap() {
        Request::Serve(serve) => assert_eq!(serve.config, Config::default()),
        other => panic!("{other:?}"),
    }
    let error = parse_all(&["--config-file=/none"], &[], "").unwrap_err();
    assert_eq!(error.exit_status(), 1);
    assert!(error.to_string().contains("cannot read the config file /none"), "{error}");
}

#[test]
fn bad_files_are_refused_with_the_place() {
    for (file, what) in [
        ("nmae: x", "unknown key nmae"),
        ("peer-transport-security: {cert-fil: x}", "unknown key peer-transport-security.cert-fil"),
        ("client-transport-security: {skip-client-san-verification: true}", "unknown key"),
        ("name: [a, [b]]", "neither a text"),
        ("- a", "no mapping"),
        ("a: b: c", "is not YAML"),
        ("pre-vote: maybe", "pre-vote: invalid value"),
        ("1: x", "it is no text"),
    ] {
        let error = parse_all(&[], &[], file).unwrap_err();
        assert_eq!(error.exit_status(), 1);
        let text = error.to_string();
        assert!(text.contains(what) && text.contains(FILE) && text.contains("try: "), "{file}: {text}");
    }
    let error = parse_all(&[], &[], "peer-transport-security: {cert-fil: x}").unwrap_err().to_string();
    assert!(error.contains("try: cert-file"), "{error}");
}

#[test]
fn unknown_and_malformed_flags_are_refused_with_status_two() {
    for (args, what) in [
        (&["--lisen-client-urls=x"][..], "try: --listen-client-urls"),
        (&["--frobnicate"], "try: --help"),
        (&["--name"], "flag needs an argument: --name"),
        (&["--pre-vote=maybe"], "--pre-vote: invalid value"),
        (&["--pre-vote", "false"], "only after an equals sign"),
        (&["---name=x"], "bad flag syntax"),
        (&["--=x"], "bad flag syntax"),
        (&["name"], "is not a valid flag"),
        (&["-"], "is not a valid flag"),
        (&["gateway"], "not offered"),
        (&["--", "x"], "is not a valid flag"),
        (&["--warning-apply-duration=100"], "try: 100s"),
        (&["--listen-client-urls=localhost:2379"], "no scheme"),
        (&["--listen-peer-urls=http://a:1/"], "must not contain a path"),
        (&["--initial-cluster=a"], "not NAME=URL"),
        (&["--max-txn-ops=-1"], "--max-txn-ops"),
    ] {
        let (status, text) = refused(args);
        assert!(
            status == 2 && text.contains(what) && text.contains("why: ") && text.contains("try: "),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn rules_across_settings_are_refused_with_status_one() {
    for (args, what) in [
        (&["--listen-client-urls=http://127.0.0.1:1"][..], "--advertise-client-urls is required"),
        (&["--listen-peer-urls=http://example.com:1"], "expected IP in URL for binding"),
        (&["--listen-peer-urls=https://127.0.0.1:1"], "TLS key/cert must be provided"),
        (&["--election-timeout=400"], "5 times"),
        (&["--client-cert-auth"], "without --trusted-ca-file"),
        (&["--feature-gates=Nope=true"], "unrecognized feature gate"),
        (&["--feature-gates=LeaseCheckpoint"], "missing bool value"),
        (&["--log-level=loud"], "unrecognized level"),
        (&["--log-outputs=systemd/journal"], "journal"),
        (&["--initial-cluster-state=old"], "new or existing"),
        (&["--max-txn-ops=4294967296"], "not from 0 to"),
    ] {
        let (status, text) = refused(args);
        assert!(status == 1 && text.contains(what) && text.contains("try: "), "{args:?}: {text}");
    }
}

#[test]
fn unknown_variables_are_only_warned_about_and_empty_ones_count_as_none() {
    let environment =
        [("ETCD_PORT", "tcp://1"), ("ETCD_NAMES", "x"), ("ETCD_NAME", ""), ("ETCD_VERSION", "3.4"), ("OTHER", "x")];
    let serve = serve(&[], &environment, "");
    assert_eq!(serve.config.name, "default");
    let unknown: Vec<_> = serve
        .notices
        .iter()
        .map(|notice| match notice {
            Notice::UnknownVariable { variable, nearest } => (variable.as_str(), nearest.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(unknown, [("ETCD_NAMES", Some("ETCD_NAME")), ("ETCD_PORT", None)]);
    assert_eq!(parse_all(&[], &[("ETCD_PRE_VOTE", "x")], "").unwrap_err().exit_status(), 1);
}

#[test]
fn help_and_version_are_asked_for_in_gos_forms() {
    for word in ["--help", "-help", "-h", "--h"] {
        assert!(matches!(parse_all(&[word], &[], "").unwrap(), Request::Help), "{word}");
    }
    assert!(matches!(parse_all(&["--version"], &[], "").unwrap(), Request::Version));
    assert!(matches!(parse_all(&["--version=false"], &[], "").unwrap(), Request::Serve(_)));
    let version = version();
    let labels: Vec<_> = version.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(labels, ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch"]);
    let usage = usage();
    for flag in flags() {
        assert!(usage.contains(&format!("--{}", flag.name)), "{}", flag.name);
    }
}

/// The security settings, each by flag, by variable and by file. [tls_matrix, the part about wiring]
#[test]
fn every_security_setting_is_wired_from_all_three_sources() {
    type IsSet = fn(&Config) -> bool;
    let rows: [(&str, &str, IsSet); 8] = [
        ("client-cert-auth", "client-transport-security.client-cert-auth", |c| c.client_tls.client_cert_auth),
        ("trusted-ca-file", "client-transport-security.trusted-ca-file", |c| c.client_tls.demands_client_certificate()),
        ("client-crl-file", "client-transport-security.crl-file", |c| c.client_tls.crl_file.is_some()),
        ("client-cert-allowed-hostname", "client-transport-security.allowed-hostname", |c| {
            !c.client_tls.allowed_hostnames.is_empty()
        }),
        ("peer-client-cert-auth", "peer-transport-security.client-cert-auth", |c| c.peer_tls.client_cert_auth),
        ("peer-trusted-ca-file", "peer-transport-security.trusted-ca-file", |c| {
            c.peer_tls.demands_client_certificate()
        }),
        ("peer-crl-file", "peer-transport-security.crl-file", |c| c.peer_tls.crl_file.is_some()),
        ("peer-cert-allowed-cn", "peer-transport-security.allowed-cn", |c| !c.peer_tls.allowed_cns.is_empty()),
    ];
    for (flag, key, is_set) in rows {
        let value = sample(table::find(flag).unwrap());
        let ca = if flag.starts_with("peer-") { "peer-trusted-ca-file" } else { "trusted-ca-file" };
        assert!(!is_set(&Config::default()), "{flag}");
        assert!(is_set(&config(&[&format!("--{flag}={value}"), &format!("--{ca}=ca")])), "{flag} by flag");
        let variables = [(environment::variable(flag), value), (environment::variable(ca), "ca")];
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert!(is_set(&serve(&[], &variables, "").config), "{flag} by variable");
        let (block, key) = key.split_once('.').unwrap();
        let lines = if key == "trusted-ca-file" { String::new() } else { format!("  {key}: {value}\n") };
        let file = format!("{block}:\n{lines}  trusted-ca-file: ca\n");
        assert!(is_set(&serve(&[], &[], &file).config), "{flag} by file");
    }
}
