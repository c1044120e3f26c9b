//! Checks of a certificate beyond its chain: revocation, common name, host name.
//!
//! They run inside the handshake, after rustls has verified chain, times and usage, for whoever connects and, as in etcd,
//! also for whoever is dialled. Source: etcd `client/pkg/transport/listener.go` `baseConfig`, `listener_tls.go` `checkCRL`.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};

use crate::config::{Invalid, Tls};

use super::{Certificate, Error, files};

/// What must hold beyond the chain.
#[derive(Debug, Default)]
pub(super) struct Checks {
    revoked: HashSet<Vec<u8>>,
    allowed_cns: Vec<String>,
    allowed_hostnames: Vec<ServerName<'static>>,
}

/// A verified certificate that is not let in all the same.
#[derive(thiserror::Error)]
enum Denied {
    #[error("the common name {0:?} is not among the allowed ones")]
    CommonName(String),
    #[error("the certificate is valid for none of the allowed host names")]
    HostName,
}

/// As the text, because rustls shows only this form.
impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Checks {
    /// Reads the settings' lists.
    ///
    /// # Errors
    /// When the CRL cannot be read or an allowed host name is none.
    pub(super) fn new(tls: &Tls) -> Result<Checks, Error> {
        let allowed_hostnames = tls
            .allowed_hostnames
            .iter()
            .map(|name| {
                ServerName::try_from(name.clone()).map_err(|error| {
                    Invalid::new(
                        format!("the allowed host name {name:?}"),
                        error.to_string(),
                        "a DNS name or an IP address",
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let revoked = tls.crl_file.as_deref().map(files::revoked).transpose()?.unwrap_or_default();
        Ok(Checks { revoked, allowed_cns: tls.allowed_cns.clone(), allowed_hostnames })
    }

    /// Without the revocation list, which counts for those who connect only (as in etcd).
    pub(super) fn for_dialling(tls: &Tls) -> Result<Checks, Error> {
        Checks::new(&Tls { crl_file: None, ..tls.clone() })
    }

    fn check(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let parsed = Certificate::from_der(leaf).ok_or(CertificateError::BadEncoding)?;
        if !self.revoked.is_empty() {
            if self.revoked.contains(&parsed.serial) {
                return Err(CertificateError::Revoked.into());
            }
            for certificate in intermediates {
                let parsed = Certificate::from_der(certificate).ok_or(CertificateError::BadEncoding)?;
                if self.revoked.contains(&parsed.serial) {
                    return Err(CertificateError::Revoked.into());
                }
            }
        }
        let denied = |why: Denied| rustls::Error::from(CertificateError::Other(OtherError(Arc::new(why))));
        if !self.allowed_cns.is_empty() && !self.allowed_cns.contains(&parsed.common_name) {
            return Err(denied(Denied::CommonName(parsed.common_name)));
        }
        if !self.allowed_hostnames.is_empty() {
            let leaf = ParsedCertificate::try_from(leaf)?;
            if !self.allowed_hostnames.iter().any(|name| verify_server_name(&leaf, name).is_ok()) {
                return Err(denied(Denied::HostName));
            }
        }
        Ok(())
    }
}

/// Verifies those who connect: the chain by `inner`, then the checks.
#[derive(Debug)]
pub(super) struct CheckedClients {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    pub(super) checks: Checks,
}

impl ClientCertVerifier for CheckedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(leaf, intermediates, now)?;
        self.checks.check(leaf, intermediates)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Verifies those who are dialled: the chain and the name by `inner`, then the checks.
///
/// Without `inner` any certificate will do, as etcd has it between members with self-signed ones: the line is
/// encrypted, and nobody is proved. Signatures are verified all the same.
#[derive(Debug)]
pub(super) struct CheckedServers {
    pub(super) inner: Option<Arc<dyn ServerCertVerifier>>,
    pub(super) checks: Checks,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for CheckedServers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = inner.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        self.checks.check(leaf, intermediates)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
