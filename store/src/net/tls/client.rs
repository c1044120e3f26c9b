//! The starting side of TLS: connections to other members.
//!
//! A member is believed when the trusted CA signed its certificate for the host that was dialled; without a CA setting the
//! system's CAs count. Between members with self-signed certificates and no CA nothing is verified, as in etcd.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Tls;

use super::reload::{Built, Reloading};
use super::verify::{CheckedServers, Checks};
use super::{Error, files, provider};

/// Starts handshakes. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    state: Arc<Reloading<ClientConfig>>,
}

impl Client {
    /// Reads all files once.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn new(tls: &Tls) -> Result<Client, Error> {
        let tls = tls.clone();
        let pair = pair(&tls);
        let watched = pair.iter().flat_map(|(cert, key)| [cert, key]).chain(&tls.trusted_ca_file).cloned().collect();
        let state = Reloading::new(watched, move || build(&tls))?;
        Ok(Client { state: Arc::new(state) })
    }

    /// Starts a handshake on `io` with the server that should be called `host`.
    ///
    /// # Errors
    /// When the handshake fails or the server is not believed.
    pub(in crate::net) async fn connect<I>(&self, host: &str, io: I) -> io::Result<TlsStream<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.state.current().await).connect(name, io).await
    }
}

/// The pair that is shown: the one for dialling, else the server's own.
fn pair(tls: &Tls) -> Option<(PathBuf, PathBuf)> {
    let of = |cert: &Option<PathBuf>, key: &Option<PathBuf>| cert.clone().zip(key.clone());
    of(&tls.client_cert_file, &tls.client_key_file).or_else(|| of(&tls.cert_file, &tls.key_file))
}

fn build(tls: &Tls) -> Result<Built<ClientConfig>, Error> {
    let provider = provider::provider(tls)?;
    let versions = provider::versions(tls, &provider);
    let (roots, roots_place) = match &tls.trusted_ca_file {
        Some(path) => (Some(files::roots(path)?), path.as_path()),
        None if tls.is_self_signed() => (None, Path::new("")),
        None => (Some(files::system_roots()), Path::new("the system's CA bundle")),
    };
    let inner: Option<Arc<dyn ServerCertVerifier>> = match roots {
        None => None,
        Some(roots) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| {
                Error::content(roots_place, error, "--peer-trusted-ca-file with CA certificates as PEM")
            })?)
        }
    };
    let verifier = CheckedServers { inner, checks: Checks::for_dialling(tls)?, provider: Arc::clone(&provider) };
    let pair = pair(tls);
    let place = pair.as_ref().map_or(Path::new(""), |(cert, _)| cert.as_path());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| Error::content(place, error, "other TLS versions or cipher suites"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config =
        match &pair {
            None => builder.with_no_client_auth(),
            Some((cert_file, key_file)) => builder
                .with_client_auth_cert(files::chain(cert_file)?, files::key(key_file)?)
                .map_err(|error| Error::content(place, error, "a certificate with the key that belongs to it"))?,
        };
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip the checks above.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Built { value: config, renew_at: None })
}
