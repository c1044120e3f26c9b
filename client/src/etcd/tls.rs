//! TLS towards a member: the CA to trust and, where the member asks for one, a client certificate.
//!
//! Promises: the member's certificate is checked against the given CA and the name asked for, HTTP/2 is negotiated by
//! ALPN. Does not: trust the system's CAs, skip checks, reload files.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::Error;

/// Ready-made TLS settings; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    server_name: Option<String>,
}

/// TLS material in PEM form.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Certificates to trust, one or more.
    pub ca: Vec<u8>,
    /// Certificate chain and key to show to the member.
    pub identity: Option<Identity>,
    /// The name that the member's certificate must have; the end-point's host when `None`.
    pub server_name: Option<String>,
}

/// A client certificate in PEM form.
#[derive(Clone)]
pub struct Identity {
    /// The chain, leaf first.
    pub certificate: Vec<u8>,
    /// Its key: PKCS#8, PKCS#1 or SEC1.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the material.
    ///
    /// # Errors
    /// [`Error::Tls`] naming the part that cannot be used.
    pub fn new(options: &TlsOptions) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca", &options.ca)? {
            roots.add(certificate).map_err(|error| tls("ca", error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| tls("protocol versions", error))?
            .with_root_certificates(roots);
        let mut config = match &options.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates("client certificate", &identity.certificate)?;
                let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| tls("client key", error))?;
                config.with_client_auth_cert(chain, key).map_err(|error| tls("client certificate and key", error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), server_name: options.server_name.clone() })
    }

    /// The handshake, for the given host unless another name was set.
    pub(crate) async fn handshake(&self, host: &str, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| tls(what, error))?;
    if all.is_empty() {
        return Err(tls(what, "there is no certificate in it"));
    }
    Ok(all)
}

fn tls(what: &'static str, source: impl Into<super::error::BoxError>) -> Error {
    Error::Tls { what, source: source.into() }
}
