//! The TLS matrix by flag, by variable and by file; certificates that must not do.

use std::path::{Path, PathBuf};

use fairlead_client::etcd;
use fairlead_store::config::Tls;
use fairlead_store::net::tls::{Server, Side};
use tempfile::TempDir;

use super::fairlead;
use super::member::{Member, addresses, as_flags, free_ports};

/// Two identities that know nothing of each other, as self-signed pairs.
fn identity(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let folder = folder.join(name);
    let auto = Tls { auto: true, ..Tls::default() };
    drop(Server::new(&auto, Side::Client, &folder, &[]).unwrap());
    (folder.join("fixtures/client/cert.pem"), folder.join("fixtures/client/key.pem"))
}

/// Whether a call gets as far as gRPC.
async fn is_let_in(port: u16, ca: &Path, shown: Option<&(PathBuf, PathBuf)>) -> bool {
    let identity = shown.map(|(certificate, key)| etcd::Identity {
        certificate: std::fs::read(certificate).unwrap(),
        key: std::fs::read(key).unwrap(),
    });
    let tls = etcd::TlsOptions { ca: std::fs::read(ca).unwrap(), identity, server_name: None };
    let options = etcd::Options { tls: Some(etcd::Tls::new(&tls).unwrap()), ..etcd::Options::default() };
    let client = etcd::Client::connect([format!("https://127.0.0.1:{port}")], options).unwrap();
    match client.range(etcd::kv::key("x")).await {
        Ok(_) => true,
        Err(error) => format!("{error:?}").contains("Unimplemented"), // a peer listener has no KV service
    }
}

/// [tls_matrix] and [peer_tls_matrix]
#[tokio::test]
async fn certificates_are_demanded_by_flag_by_variable_and_by_file() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let (trusted, stranger) = (identity(folder.path(), "trusted"), identity(folder.path(), "stranger"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    for source in ["flag", "variable", "file"] {
        let ports = free_ports();
        let mut settings = addresses("https", ports);
        settings.push(("data-dir".into(), path(&folder.path().join(source))));
        let (mut args, mut environment, mut file) = (Vec::new(), Vec::new(), String::new());
        let tls = [
            ("cert-file", path(&trusted.0)),
            ("key-file", path(&trusted.1)),
            ("trusted-ca-file", path(&trusted.0)),
            ("client-cert-auth", "true".to_owned()),
        ];
        for (prefix, block) in [("", "client"), ("peer-", "peer")] {
            file += &format!("{block}-transport-security:\n");
            for (name, value) in &tls {
                settings.push((format!("{prefix}{name}"), value.clone()));
                file += &format!("  {name}: {value}\n");
            }
        }
        match source {
            "flag" => args = as_flags(&settings),
            "variable" => {
                let variable = |name: &str| format!("ETCD_{}", name.to_uppercase().replace('-', "_"));
                environment = settings.iter().map(|(name, value)| (variable(name), value.clone())).collect();
            }
            _ => {
                settings.iter().take(5).for_each(|(name, value)| file += &format!("{name}: {value}\n"));
                std::fs::write(folder.path().join("etcd.yaml"), &file).unwrap();
                args.push("--config-file=etcd.yaml".to_owned());
            }
        }
        let mut member = Member::start(folder.path(), &args, &environment);
        member.logged("ready to serve client requests").await;
        for (side, port) in [("client", ports.0), ("peer", ports.1)] {
            assert!(is_let_in(port, &trusted.0, Some(&trusted)).await, "{side} by {source}: the right one");
            assert!(!is_let_in(port, &trusted.0, Some(&stranger)).await, "{side} by {source}: a stranger's");
            assert!(!is_let_in(port, &trusted.0, None).await, "{side} by {source}: none");
            assert!(!is_let_in(port, &stranger.0, Some(&trusted)).await, "{side} by {source}: the wrong CA");
        }
    }
}

/// A self-signed pair that was valid in 2001, as files.
fn expired(folder: &Path) -> (PathBuf, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 2, 1);
    let paths = (folder.join("expired.pem"), folder.join("expired.key"));
    std::fs::write(&paths.0, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&paths.1, key.serialize_pem()).unwrap();
    paths
}

#[tokio::test]
async fn an_expired_certificate_lets_nobody_in_although_its_issuer_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, old) = (identity(folder.path(), "trusted"), expired(folder.path()));
    let both = folder.path().join("both.pem");
    let pems = [&trusted.0, &old.0].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&both, pems.concat()).unwrap();
    let ports = free_ports();
    let mut settings = addresses("https", ports);
    for prefix in ["", "peer-"] {
        for (name, path) in [("cert-file", &trusted.0), ("key-file", &trusted.1), ("trusted-ca-file", &both)] {
            settings.push((format!("{prefix}{name}"), path.to_str().unwrap().to_owned()));
        }
        settings.push((format!("{prefix}client-cert-auth"), "true".to_owned()));
    }
    let mut member = Member::start(folder.path(), &as_flags(&settings), &[]);
    member.logged("ready to serve client requests").await;
    for port in [ports.0, ports.1] {
        assert!(is_let_in(port, &trusted.0, Some(&trusted)).await);
        assert!(!is_let_in(port, &trusted.0, Some(&old)).await, "an expired one on {port}");
    }
}

#[test]
fn a_missing_certificate_and_a_key_of_another_one_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (identity(folder.path(), "own"), identity(folder.path(), "other"));
    let missing = folder.path().join("missing.pem");
    for (certificate, key, named) in
        [(&missing, &own.1, &missing), (&own.0, &missing, &missing), (&own.0, &other.1, &own.0)]
    {
        let mut settings = addresses("https", free_ports());
        for prefix in ["", "peer-"] {
            settings.push((format!("{prefix}cert-file"), certificate.to_str().unwrap().to_owned()));
            settings.push((format!("{prefix}key-file"), key.to_str().unwrap().to_owned()));
        }
        settings.push(("data-dir".into(), folder.path().join("data").to_str().unwrap().to_owned()));
        let flags = as_flags(&settings);
        let output = fairlead(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(named.to_str().unwrap()), "{named:?} is not named: {text}");
    }
}
