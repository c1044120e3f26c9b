//! Cipher suites and versions: Go's names for them, and what rustls has of them.
//!
//! Suites that etcd knows and rustls does not have (CBC, RSA key exchange, RC4) are not offered; that is an error only
//! when nothing else is left. TLS 1.3 has its own suites, which no setting changes (as in Go).
//! Source: Go `crypto/tls` `CipherSuites`, `InsecureCipherSuites`; etcd `client/pkg/tlsutil/cipher_suites.go`.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

use crate::config::{Invalid, Tls, TlsVersion};

/// Suites of TLS 1.2 that are spoken, by Go's and IANA's names.
const KNOWN: [(&str, CipherSuite); 8] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Suites that Go knows and rustls does not speak, or that belong to TLS 1.3 and are always on.
const PASSED_OVER: [&str; 17] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// ring's algorithms, narrowed to the suites that are set.
pub(super) fn provider(tls: &Tls) -> Result<Arc<CryptoProvider>, Invalid> {
    let mut provider = ring::default_provider();
    if tls.cipher_suites.is_empty() {
        return Ok(Arc::new(provider));
    }
    let mut wanted = Vec::new();
    for name in &tls.cipher_suites {
        match KNOWN.iter().find(|(known, _)| known == name) {
            Some((_, suite)) => wanted.push(*suite),
            None if PASSED_OVER.contains(&name.as_str()) => {
                tracing::warn!(
                    suite = name.as_str(),
                    "a cipher suite that is not spoken, or always on, is passed over"
                );
            }
            None => {
                return Err(Invalid::new(
                    format!("unexpected TLS cipher suite {name:?}"),
                    "neither Go nor this store has a suite of that name",
                    KNOWN.map(|(name, _)| name).join(", "),
                ));
            }
        }
    }
    let is_13 = |suite: &SupportedCipherSuite| suite.version().version == ProtocolVersion::TLSv1_3;
    if wanted.is_empty() && tls.max_version == Some(TlsVersion::V1_2) {
        return Err(Invalid::new(
            "no cipher suite is left of --cipher-suites",
            "TLS 1.3 is turned off, and none of the suites named is spoken",
            KNOWN.map(|(name, _)| name).join(", "),
        ));
    }
    provider.cipher_suites.retain(|suite| is_13(suite) || wanted.contains(&suite.suite()));
    Ok(Arc::new(provider))
}

/// The versions that are spoken. Without a suite of TLS 1.2 that version is none of them.
pub(super) fn versions(tls: &Tls, provider: &CryptoProvider) -> Vec<&'static SupportedProtocolVersion> {
    let has_12 = provider.cipher_suites.iter().any(|suite| suite.version().version == ProtocolVersion::TLSv1_2);
    let mut versions = Vec::new();
    if tls.max_version != Some(TlsVersion::V1_2) {
        versions.push(&rustls::version::TLS13);
    }
    if tls.min_version == TlsVersion::V1_2 && has_12 {
        versions.push(&rustls::version::TLS12);
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(names: &[&str]) -> Result<usize, Invalid> {
        let tls = Tls { cipher_suites: names.iter().map(|name| (*name).to_owned()).collect(), ..Tls::default() };
        provider(&tls).map(|provider| provider.cipher_suites.len())
    }

    #[test]
    fn suites_are_narrowed_and_those_of_tls_13_stay() {
        assert_eq!(suites(&[]).unwrap(), 9);
        assert_eq!(suites(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]).unwrap(), 4);
        assert_eq!(suites(&["TLS_RSA_WITH_AES_128_CBC_SHA"]).unwrap(), 3);
        assert!(suites(&["TLS_NONE"]).unwrap_err().to_string().contains("try: TLS_ECDHE"));
    }

    #[test]
    fn nothing_left_to_speak_is_an_error() {
        let tls = Tls {
            cipher_suites: vec!["TLS_RSA_WITH_AES_128_CBC_SHA".into()],
            max_version: Some(TlsVersion::V1_2),
            ..Tls::default()
        };
        assert!(provider(&tls).is_err());
    }

    #[test]
    fn versions_follow_the_bounds() {
        let count = |tls: &Tls| versions(tls, &provider(tls).unwrap()).len();
        assert_eq!(count(&Tls::default()), 2);
        assert_eq!(count(&Tls { min_version: TlsVersion::V1_3, ..Tls::default() }), 1);
        assert_eq!(count(&Tls { max_version: Some(TlsVersion::V1_2), ..Tls::default() }), 1);
    }
}
