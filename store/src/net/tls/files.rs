//! Reading PEM and DER files: chains, keys, CA bundles, revocation lists.

use std::collections::HashSet;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::Error;

/// Where Go looks for the system's CAs on Linux; `SSL_CERT_FILE` goes over it (Go: `crypto/x509/root_linux.go`).
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// A certificate chain, leaf first.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::content(path, error, "a certificate chain as PEM, leaf first"))?;
    if chain.is_empty() {
        return Err(Error::content(path, "no certificate is in it", "a certificate chain as PEM, leaf first"));
    }
    Ok(chain)
}

/// A private key.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| Error::content(path, error, "a private key as PEM, without a passphrase"))
}

/// A bundle of CAs.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(|error| Error::content(path, error, "CA certificates as PEM"))?;
    }
    Ok(roots)
}

/// The system's CAs; empty when it has none.
pub(super) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let named = std::env::var_os("SSL_CERT_FILE");
    let bundle = match &named {
        Some(path) => Some(Path::new(path)),
        None => SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()),
    };
    if let Some(bundle) = bundle {
        match chain(bundle) {
            // Old CAs in a system's bundle may not parse; the others count.
            Ok(certificates) => drop(roots.add_parsable_certificates(certificates)),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot read the system's CAs"),
        }
    }
    roots
}

/// Serial numbers of revoked certificates, without leading zeros.
///
/// As in etcd, who signed the list is not looked at: the operator has named the file.
pub(super) fn revoked(path: &Path) -> Result<HashSet<Vec<u8>>, Error> {
    const REMEDY: &str = "a certificate revocation list as PEM or DER";
    let bytes = read(path)?;
    let lists: Vec<Vec<u8>> = if bytes.starts_with(b"-----") || bytes.windows(11).any(|part| part == b"-----BEGIN ") {
        CertificateRevocationListDer::pem_slice_iter(&bytes)
            .map(|list| list.map(|list| list.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::content(path, error, REMEDY))?
    } else {
        vec![bytes]
    };
    if lists.is_empty() {
        return Err(Error::content(path, "no list is in it", REMEDY));
    }
    let mut serials = HashSet::new();
    for list in &lists {
        let (_, list) =
            CertificateRevocationList::from_der(list).map_err(|error| Error::content(path, error, REMEDY))?;
        serials.extend(list.iter_revoked_certificates().map(|entry| trimmed(entry.raw_serial()).to_vec()));
    }
    Ok(serials)
}

/// A serial number without the zeros that DER puts before a high bit.
pub(super) fn trimmed(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}
