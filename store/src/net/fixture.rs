//! For tests: a certificate authority in memory, its files in a temporary folder, a served router, and HTTP by hand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use prometheus::Registry;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Tls, Url};

use super::{Connection, Listener, Metrics, Options, serve, tls};

const DAY: Duration = Duration::from_secs(86_400);

/// A CA that signs and revokes.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a certificate is for.
pub(super) struct Leaf<'a> {
    pub(super) cn: &'a str,
    pub(super) names: &'a [&'a str],
    pub(super) serial: u64,
    pub(super) expired: bool,
}

impl Leaf<'_> {
    pub(super) const fn local(cn: &str, serial: u64) -> Leaf<'_> {
        Leaf { cn, names: &["localhost", "127.0.0.1"], serial, expired: false }
    }
}

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Writes `ca.pem` and gives its path.
    pub(super) fn write(&self, path: &Path) -> PathBuf {
        std::fs::write(path, &self.pem).unwrap();
        path.to_owned()
    }

    /// Writes `<name>.pem` and `<name>.key` into `folder`.
    pub(super) fn issue(&self, folder: &Path, name: &str, leaf: &Leaf<'_>) -> (PathBuf, PathBuf) {
        let names: Vec<String> = leaf.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, leaf.cn);
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now();
        params.not_before = (now - 2 * DAY).into();
        params.not_after = if leaf.expired { (now - DAY).into() } else { (now + DAY).into() };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_file, key_file) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        (cert_file, key_file)
    }

    /// A revocation list of these serial numbers, as PEM and DER.
    pub(super) fn revoke(&self, serials: &[u64]) -> (String, Vec<u8>) {
        let now = SystemTime::now();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: (now - DAY).into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: (now - DAY).into(),
            next_update: (now + DAY).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .unwrap();
        (list.pem().unwrap(), list.der().to_vec())
    }
}

/// A router served on a free port.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<()>,
    pub(super) metrics: Metrics,
}

impl Served {
    /// Serves `/` (the caller's common name), on TLS when `tls` is given; `change` adjusts the options.
    pub(super) fn start(tls: Option<tls::Server>, change: impl FnOnce(&mut Options)) -> Served {
        let scheme = if tls.is_some() { "https" } else { "http" };
        Served::start_on(&format!("{scheme}://127.0.0.1:0"), tls, change)
    }

    /// The same on a list of URLs.
    pub(super) fn start_on(urls: &str, tls: Option<tls::Server>, change: impl FnOnce(&mut Options)) -> Served {
        let listener = Listener::bind("--listen-client-urls", &Url::parse_list(urls).unwrap(), false).unwrap();
        let address = listener.tcp_addresses().first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let mut options = Options::new("client", &Config::default(), tls, metrics.clone());
        change(&mut options);
        let shutdown = CancellationToken::new();
        let router = Router::new().route("/", get(who)).route("/hang", get(std::future::pending::<String>));
        let task = tokio::spawn(serve(listener, router, options, shutdown.clone()));
        Served { address, shutdown, task, metrics }
    }

    pub(super) fn url(&self, scheme: &str) -> Url {
        Url::parse(&format!("{scheme}://{}", self.address)).unwrap()
    }

    /// Waits until this many connections are open.
    pub(super) async fn connections(&self, wanted: i64) {
        let open = self.metrics.connections.with_label_values(&["client"]);
        let wait = async {
            while open.get() != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the number of connections is reached");
    }

    /// Shuts down and waits for the end.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it drains").unwrap();
    }
}

async fn who(axum::Extension(connection): axum::Extension<Connection>) -> String {
    connection.certificate.as_ref().map_or("nobody".to_owned(), |certificate| certificate.common_name.clone())
}

/// One HTTP/1.1 request by hand; the answer as text.
pub(super) async fn get_path(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Some servers end TLS without saying so; what came counts.
    match stream.read_to_end(&mut answer).await {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Client-side settings that trust `ca` and show `pair`.
pub(super) fn dialling(ca: Option<PathBuf>, pair: Option<(PathBuf, PathBuf)>) -> Tls {
    let (cert_file, key_file) = pair.unzip();
    Tls { trusted_ca_file: ca, cert_file, key_file, ..Tls::default() }
}
