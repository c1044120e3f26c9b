//! The TLS matrix: each attempt that must fail, beside the one that must pass; reload; self-signed; stalled handshakes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::{Tls, TlsVersion};
use crate::net::fixture::{Authority, Leaf, Served, dialling, get_path};
use crate::net::tls::{Client, Server, Side};

type Files = (PathBuf, PathBuf);

/// A folder with a CA (`ca.pem`) and a server's pair, and the settings that use them.
struct World {
    folder: TempDir,
    authority: Authority,
    ca: PathBuf,
    settings: Tls,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("ca");
        let ca = authority.write(&folder.path().join("ca.pem"));
        let (cert_file, key_file) = authority.issue(folder.path(), "server", &Leaf::local("server", 1));
        let settings = Tls { cert_file: Some(cert_file), key_file: Some(key_file), ..Tls::default() };
        World { folder, authority, ca, settings }
    }

    fn leaf(&self, name: &str, leaf: &Leaf<'_>) -> Option<Files> {
        Some(self.authority.issue(self.folder.path(), name, leaf))
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn serve(&self, settings: &Tls, side: Side) -> Served {
        Served::start(Some(Server::new(settings, side, self.folder.path(), &[]).unwrap()), |_| {})
    }

    fn demanding(&self) -> Tls {
        Tls { client_cert_auth: true, trusted_ca_file: Some(self.ca.clone()), ..self.settings.clone() }
    }
}

/// Dials with these settings and asks who we are; an error's text with all its causes.
async fn ask(served: &Served, client: &Tls) -> Result<String, String> {
    ask_as(served, client, "127.0.0.1").await
}

async fn ask_as(served: &Served, client: &Tls, host: &str) -> Result<String, String> {
    let told = |error: std::io::Error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            write!(text, ": {error}").unwrap();
            cause = error.source();
        }
        text
    };
    let client = Client::new(client).map_err(|error| error.to_string())?;
    let socket = TcpStream::connect(served.address).await.map_err(told)?;
    let stream = client.connect(host, socket).await.map_err(told)?;
    let answer = get_path(stream, "/").await.map_err(told)?;
    answer.rsplit_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or_else(|| format!("no answer: {answer:?}"))
}

#[tokio::test]
async fn only_the_right_client_certificate_is_let_in() {
    let world = World::new();
    let (crl_pem, _) = world.authority.revoke(&[13]);
    let settings = Tls {
        crl_file: Some(world.file("crl.pem", crl_pem)),
        allowed_cns: vec!["good".into(), "revoked".into()],
        ..world.demanding()
    };
    let served = world.serve(&settings, Side::Client);
    let stranger = Authority::new("other ca").issue(world.folder.path(), "stranger", &Leaf::local("good", 7));
    let rows: [(&str, Option<Files>, Result<&str, ()>); 6] = [
        ("the right one", world.leaf("good", &Leaf::local("good", 2)), Ok("good")),
        ("none", None, Err(())),
        ("of another CA", Some(stranger), Err(())),
        ("expired", world.leaf("expired", &Leaf { expired: true, ..Leaf::local("good", 3) }), Err(())),
        ("revoked", world.leaf("revoked", &Leaf::local("revoked", 13)), Err(())),
        ("of a common name that is not allowed", world.leaf("cn", &Leaf::local("bad", 4)), Err(())),
    ];
    for (what, pair, expected) in rows {
        let answer = ask(&served, &dialling(Some(world.ca.clone()), pair)).await;
        assert_eq!(answer.clone().map_err(drop), expected.map(str::to_owned), "{what}: {answer:?}");
    }
    assert_eq!(served.metrics.handshake_failures.with_label_values(&["client"]).get(), 5);
    served.stop().await;
}

#[tokio::test]
async fn plain_text_and_old_versions_get_nothing_from_a_tls_listener() {
    let world = World::new();
    let served = world.serve(&Tls { min_version: TlsVersion::V1_3, ..world.settings.clone() }, Side::Client);
    let plain = get_path(TcpStream::connect(served.address).await.unwrap(), "/").await.unwrap_or_default();
    assert!(!plain.contains("200"), "{plain}");
    let old = Tls { max_version: Some(TlsVersion::V1_2), ..dialling(Some(world.ca.clone()), None) };
    assert!(ask(&served, &old).await.is_err());
    assert_eq!(ask(&served, &dialling(Some(world.ca.clone()), None)).await.unwrap(), "nobody");
    served.stop().await;
}

#[tokio::test]
async fn a_trusted_ca_alone_demands_a_certificate_as_in_etcd() {
    let world = World::new();
    let settings = Tls { trusted_ca_file: Some(world.ca.clone()), ..world.settings.clone() };
    let served = world.serve(&settings, Side::Client);
    assert!(ask(&served, &dialling(Some(world.ca.clone()), None)).await.is_err());
    served.stop().await;
    // Scraping needs none.
    let served = world.serve(&settings, Side::Metrics);
    assert_eq!(ask(&served, &dialling(Some(world.ca.clone()), None)).await.unwrap(), "nobody");
    served.stop().await;
}

#[tokio::test]
async fn the_allowed_host_name_counts_and_both_forms_of_a_crl_do() {
    let world = World::new();
    let (_, crl_der) = world.authority.revoke(&[5, 0x80FF]);
    let settings = Tls {
        allowed_hostnames: vec!["node.example".into()],
        crl_file: Some(world.file("crl.der", crl_der)),
        ..world.demanding()
    };
    let served = world.serve(&settings, Side::Client);
    let named = |serial| Leaf { names: &["node.example"], ..Leaf::local("n", serial) };
    let with = |pair| dialling(Some(world.ca.clone()), pair);
    assert_eq!(ask(&served, &with(world.leaf("a", &named(6)))).await.unwrap(), "n");
    assert!(ask(&served, &with(world.leaf("b", &named(0x80FF)))).await.is_err(), "revoked, with a high bit");
    assert!(ask(&served, &with(world.leaf("c", &Leaf::local("n", 7)))).await.is_err(), "another host name");
    served.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_the_one_dialled_is_not_believed() {
    let world = World::new();
    let served = world.serve(&world.settings, Side::Client);
    let trusting = dialling(Some(world.ca.clone()), None);
    assert_eq!(ask_as(&served, &trusting, "localhost").await.unwrap(), "nobody");
    assert!(ask_as(&served, &trusting, "other.example").await.unwrap_err().contains("not valid for name"));
    let other = Authority::new("other").write(&world.folder.path().join("other.pem"));
    assert!(ask(&served, &dialling(Some(other), None)).await.unwrap_err().contains("UnknownIssuer"));
    let picky = Tls { allowed_cns: vec!["somebody".into()], ..trusting };
    assert!(
        ask(&served, &picky).await.unwrap_err().contains("not among the allowed"),
        "as in etcd, also when dialling"
    );
    served.stop().await;
}

#[tokio::test]
async fn a_members_certificate_must_fit_its_address_unless_turned_off() {
    let world = World::new();
    let elsewhere = world.leaf("elsewhere", &Leaf { names: &["10.9.8.7"], ..Leaf::local("m", 2) });
    let here = world.leaf("here", &Leaf { names: &["10.9.8.7", "127.0.0.1"], ..Leaf::local("m", 3) });
    let by_name = world.leaf("by-name", &Leaf { names: &["localhost"], ..Leaf::local("m", 4) });
    let with = |pair: &Option<Files>| dialling(Some(world.ca.clone()), pair.clone());
    let served = world.serve(&world.demanding(), Side::Peer);
    assert!(ask(&served, &with(&elsewhere)).await.is_err());
    assert_eq!(ask(&served, &with(&here)).await.unwrap(), "m");
    assert_eq!(ask(&served, &with(&by_name)).await.unwrap(), "m");
    served.stop().await;
    let lax = Tls { skip_client_san_verification: true, ..world.demanding() };
    for (settings, side) in [(lax, Side::Peer), (world.demanding(), Side::Client)] {
        let served = world.serve(&settings, side);
        assert_eq!(ask(&served, &with(&elsewhere)).await.unwrap(), "m", "{side:?}");
        served.stop().await;
    }
}

#[tokio::test]
async fn members_with_self_signed_certificates_talk_and_the_certificate_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let auto = Tls { auto: true, ..Tls::default() };
    let server = || Server::new(&auto, Side::Peer, folder.path(), &["127.0.0.1".to_owned()]).unwrap();
    let served = Served::start(Some(server()), |_| {});
    assert_eq!(ask(&served, &auto).await.unwrap(), "nobody");
    let kept = folder.path().join("fixtures/peer/cert.pem");
    let text = std::fs::read(&kept).unwrap();
    assert!(ask(&served, &dialling(Some(kept.clone()), None)).await.is_ok(), "a client may pin it");
    served.stop().await;
    drop(server());
    assert_eq!(std::fs::read(&kept).unwrap(), text);
}

#[tokio::test]
async fn changed_leaf_ca_and_crl_count_for_the_next_handshake() {
    let world = World::new();
    let crl = world.file("crl.pem", world.authority.revoke(&[99]).0);
    let settings = Tls { crl_file: Some(crl.clone()), ..world.demanding() };
    let served = world.serve(&settings, Side::Client);
    let client = dialling(Some(world.ca.clone()), world.leaf("client", &Leaf::local("first", 2)));
    assert_eq!(ask(&served, &client).await.unwrap(), "first");

    // Revoked while the server runs.
    std::fs::write(&crl, world.authority.revoke(&[99, 2]).0).unwrap();
    assert!(ask(&served, &client).await.is_err());

    // A second CA joins the bundle; its certificates are let in, and the server's own leaf moves to it.
    let next = Authority::new("next ca");
    let next_ca = next.write(&world.folder.path().join("next.pem"));
    let bundle = [std::fs::read(&world.ca).unwrap(), std::fs::read(&next_ca).unwrap()].concat();
    std::fs::write(&world.ca, bundle).unwrap();
    next.issue(world.folder.path(), "server", &Leaf::local("server", 3));
    let newcomer =
        dialling(Some(next_ca), Some(next.issue(world.folder.path(), "newcomer", &Leaf::local("second", 4))));
    assert_eq!(ask(&served, &newcomer).await.unwrap(), "second");

    // Half a pair: the last good one stays.
    std::fs::write(settings.key_file.as_ref().unwrap(), "torn").unwrap();
    assert_eq!(ask(&served, &newcomer).await.unwrap(), "second");
    served.stop().await;
}

#[tokio::test]
async fn a_dialling_member_shows_its_renewed_certificate() {
    let world = World::new();
    let served = world.serve(&world.demanding(), Side::Client);
    let pair = world.leaf("client", &Leaf::local("old", 2));
    let client = Client::new(&dialling(Some(world.ca.clone()), pair)).unwrap();
    for cn in ["old", "new"] {
        world.leaf("client", &Leaf::local(cn, 3));
        let socket = TcpStream::connect(served.address).await.unwrap();
        let answer = get_path(client.connect("127.0.0.1", socket).await.unwrap(), "/").await.unwrap();
        assert!(answer.ends_with(cn), "{answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_stalled_handshake_holds_up_nobody_and_is_closed_in_time() {
    let world = World::new();
    let server = Server::new(&world.settings, Side::Client, world.folder.path(), &[]).unwrap();
    let served = Served::start(Some(server), |options| options.limits.tls_handshake_seconds_max = 1);
    let silent = TcpStream::connect(served.address).await.unwrap();
    let mut stalled = TcpStream::connect(served.address).await.unwrap();
    stalled.write_all(&[22, 3, 1]).await.unwrap();
    served.connections(2).await;
    let trusting = dialling(Some(world.ca.clone()), None);
    assert_eq!(ask(&served, &trusting).await.unwrap(), "nobody");
    let mut rest = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(20), stalled.read_to_end(&mut rest)).await.expect("it is closed"));
    drop(silent);
    served.stop().await;
}

#[tokio::test]
async fn garbage_in_place_of_a_handshake_is_closed_and_counted() {
    let world = World::new();
    let served = world.serve(&world.settings, Side::Client);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[22, 3, 1, 0, 4, 1, 2, 3, 4], &[0xFF; 64]] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut rest = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("it is closed"));
    }
    assert_eq!(ask(&served, &dialling(Some(world.ca.clone()), None)).await.unwrap(), "nobody");
    served.stop().await;
}

#[test]
fn files_that_cannot_be_used_say_what_why_and_what_to_try() {
    let world = World::new();
    let junk = Some(world.file("junk", "junk"));
    let other_key = world.leaf("other", &Leaf::local("x", 9)).map(|(_, key)| key);
    let good = world.demanding();
    for (settings, what) in [
        (Tls { cert_file: Some("/none.pem".into()), ..good.clone() }, "cannot read /none.pem"),
        (Tls { cert_file: junk.clone(), ..good.clone() }, "no certificate is in it"),
        (Tls { key_file: junk.clone(), ..good.clone() }, "a private key as PEM"),
        (Tls { key_file: other_key, ..good.clone() }, "the key that belongs to it"),
        (Tls { trusted_ca_file: junk.clone(), ..good.clone() }, "no certificate is in it"),
        (Tls { crl_file: junk, ..good.clone() }, "a certificate revocation list"),
        (Tls { cipher_suites: vec!["NONE".into()], ..good.clone() }, "unexpected TLS cipher suite"),
        (Tls { allowed_hostnames: vec!["not a name".into()], ..good.clone() }, "the allowed host name"),
        (Tls { trusted_ca_file: None, ..good }, "client-cert-auth without a trusted CA"),
    ] {
        let error = Server::new(&settings, Side::Client, world.folder.path(), &[]).err().unwrap().to_string();
        assert!(error.contains(what) && error.contains("try: "), "{error}");
    }
}
