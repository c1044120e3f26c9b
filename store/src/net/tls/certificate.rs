//! The names in a certificate, for those who decide by them (auth by common name, logs).

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a verified certificate says about its holder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// The subject's common name; empty when it has none.
    pub common_name: String,
    /// DNS names among the subject's alternative names.
    pub dns_names: Vec<String>,
    /// IP addresses among them.
    pub ip_addresses: Vec<IpAddr>,
    /// URIs among them.
    pub uris: Vec<String>,
    /// The serial number, big endian, without leading zeros.
    pub serial: Vec<u8>,
}

impl Certificate {
    /// Reads the names; `None` when it is no X.509 certificate.
    #[must_use]
    pub fn from_der(der: &CertificateDer<'_>) -> Option<Certificate> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let mut certificate = Certificate {
            common_name: parsed
                .subject()
                .iter_common_name()
                .next()
                .and_then(|cn| cn.as_str().ok())
                .unwrap_or_default()
                .to_owned(),
            serial: super::files::trimmed(parsed.raw_serial()).to_vec(),
            ..Certificate::default()
        };
        let alternative = parsed.subject_alternative_name().ok()?;
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => certificate.dns_names.push((*name).to_owned()),
                GeneralName::URI(uri) => certificate.uris.push((*uri).to_owned()),
                GeneralName::IPAddress(bytes) => certificate.ip_addresses.extend(ip_address(bytes)),
                _ => {}
            }
        }
        Some(certificate)
    }
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
