//! The answering side of TLS, for client, peer and metrics listeners.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{Config, Tls, Url};

use super::reload::{Built, Reloading};
use super::verify::{CheckedClients, Checks};
use super::{Certificate, Error, files, peer_address, provider, self_signed};

/// Which settings are meant: names the folder of a self-signed certificate, and what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Clients.
    Client,
    /// Other members: their address must fit their certificate.
    Peer,
    /// Whoever scrapes: nobody is asked for a certificate.
    Metrics,
}

/// Answers handshakes. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    state: Arc<Reloading<ServerConfig>>,
    /// Whether the remote address must fit the certificate.
    checks_address: bool,
}

impl Server {
    /// The server of a side's listeners by the store's settings; `None` when none of their URLs has TLS.
    ///
    /// # Errors
    /// Those of [`Server::new`].
    pub fn of(config: &Config, side: Side) -> Result<Option<Server>, Error> {
        let (tls, urls) = match side {
            Side::Client => {
                (&config.client_tls, [config.listen_client_urls.as_slice(), &config.listen_client_http_urls].concat())
            }
            Side::Peer => (&config.peer_tls, config.listen_peer_urls.clone()),
            Side::Metrics => (&config.client_tls, config.listen_metrics_urls.clone()),
        };
        for url in urls.iter().filter(|url| !url.is_tls() && side != Side::Metrics) {
            if tls.has_certificate() || tls.demands_client_certificate() {
                tracing::warn!(%url, ?side, "scheme is without TLS while TLS is set up; ignoring the TLS settings for it");
            }
        }
        if !urls.iter().any(Url::is_tls) {
            return Ok(None);
        }
        if tls.auto && !tls.is_self_signed() {
            tracing::warn!(?side, "ignoring automatic TLS since a certificate is given");
        }
        let hosts: Vec<String> = urls.iter().map(|url| url.host().to_owned()).collect();
        Server::new(tls, side, &config.data_dir, &hosts).map(Some)
    }

    /// Reads all files once. `data_dir` keeps a self-signed certificate; `hosts` are the names put into it.
    ///
    /// # Errors
    /// When a file cannot be read or used, or a certificate cannot be made.
    pub fn new(tls: &Tls, side: Side, data_dir: &Path, hosts: &[String]) -> Result<Server, Error> {
        let mut tls = tls.clone();
        if side == Side::Metrics {
            tls = Tls {
                client_cert_auth: false,
                trusted_ca_file: None,
                crl_file: None,
                allowed_cns: Vec::new(),
                allowed_hostnames: Vec::new(),
                ..tls
            };
        }
        let checks_address =
            side == Side::Peer && tls.demands_client_certificate() && !tls.skip_client_san_verification;
        let folder = data_dir.join("fixtures").join(if side == Side::Peer { "peer" } else { "client" });
        let hosts = hosts.to_vec();
        let watched = [&tls.cert_file, &tls.key_file, &tls.trusted_ca_file, &tls.crl_file]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let state = Reloading::new(watched, move || build(&tls, &folder, &hosts))?;
        Ok(Server { state: Arc::new(state), checks_address })
    }

    /// Answers a handshake on `io` and gives the names of the certificate shown, if one was demanded.
    ///
    /// # Errors
    /// When the handshake fails, the certificate is refused or does not fit `remote`.
    pub(in crate::net) async fn accept<I>(
        &self,
        io: I,
        remote: Option<IpAddr>,
    ) -> io::Result<(TlsStream<I>, Option<Certificate>)>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(self.state.current().await).accept(io).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = leaf.and_then(Certificate::from_der);
        if self.checks_address
            && let (Some(certificate), Some(remote)) = (&certificate, remote)
        {
            peer_address::check(certificate, remote.to_canonical()).await.map_err(io::Error::other)?;
        }
        Ok((stream, certificate))
    }
}

fn build(tls: &Tls, folder: &Path, hosts: &[String]) -> Result<Built<ServerConfig>, Error> {
    let provider = provider::provider(tls)?;
    let versions = provider::versions(tls, &provider);
    let pair = Pair::of(tls, folder, hosts)?;
    let verifier: Arc<dyn rustls::server::danger::ClientCertVerifier> = match &tls.trusted_ca_file {
        Some(path) => {
            let roots = Arc::new(files::roots(path)?);
            let inner = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| Error::content(path, error, "CA certificates as PEM"))?;
            Arc::new(CheckedClients { inner, checks: Checks::new(tls)? })
        }
        // `Tls::validate` refuses the flag without a CA; were it ever let through, nobody must get in.
        None if tls.client_cert_auth => {
            return Err(Error::content(Path::new(""), "client-cert-auth without a trusted CA", "--trusted-ca-file"));
        }
        None => Arc::new(NoClientAuth),
    };
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions);
    let mut config = builder
        .map_err(|error| Error::content(&pair.cert_file, error, "other TLS versions or cipher suites"))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(files::chain(&pair.cert_file)?, files::key(&pair.key_file)?)
        .map_err(|error| Error::content(&pair.cert_file, error, "a certificate with the key that belongs to it"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if tls.demands_client_certificate() {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Built { value: config, renew_at: pair.renew_at })
}

/// A certificate with its key, given or self-signed.
pub(super) struct Pair {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) renew_at: Option<std::time::SystemTime>,
}

impl Pair {
    fn of(tls: &Tls, folder: &Path, hosts: &[String]) -> Result<Pair, Error> {
        if let (Some(cert_file), Some(key_file)) = (&tls.cert_file, &tls.key_file) {
            return Ok(Pair { cert_file: cert_file.clone(), key_file: key_file.clone(), renew_at: None });
        }
        let made = self_signed::ensure(folder, hosts, tls.self_signed_validity_years)?;
        Ok(Pair { cert_file: made.cert_file, key_file: made.key_file, renew_at: Some(made.renew_at) })
    }
}
