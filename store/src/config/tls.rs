//! TLS settings of one side, client or peer, and the rules they must keep.
//!
//! As in etcd, naming a trusted CA demands and verifies a client certificate, also without `client-cert-auth`.
//! Refused here, where etcd would go on: certificate checks that no CA backs, because they would let nobody in or,
//! worse, look like a protection. Source: etcd `client/pkg/transport/listener.go` `TLSInfo`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Invalid, Url};

/// TLS settings of one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate chain, PEM. Default none (etcd).
    pub cert_file: Option<PathBuf>,
    /// The key of `cert_file`, PEM. Default none (etcd).
    pub key_file: Option<PathBuf>,
    /// The certificate shown when dialling; `None` shows `cert_file`. Default none (etcd).
    pub client_cert_file: Option<PathBuf>,
    /// The key of `client_cert_file`. Default none (etcd).
    pub client_key_file: Option<PathBuf>,
    /// Demand a certificate from whoever connects. Default false (etcd).
    pub client_cert_auth: bool,
    /// The CAs that whoever connects, and whoever is dialled, must be signed by, PEM. Default none (etcd).
    pub trusted_ca_file: Option<PathBuf>,
    /// Revoked certificates, a CRL as PEM or DER. Default none (etcd).
    pub crl_file: Option<PathBuf>,
    /// When not empty, the certificate's common name must be one of these. Default empty (etcd).
    pub allowed_cns: Vec<String>,
    /// When not empty, the certificate must be valid for one of these host names. Default empty (etcd).
    pub allowed_hostnames: Vec<String>,
    /// Make a self-signed certificate when none is given. Default false (etcd `--auto-tls`, `--peer-auto-tls`).
    pub auto: bool,
    /// Validity of a self-signed certificate, years. Default 1 (etcd `--self-signed-cert-validity`).
    pub self_signed_validity_years: u32,
    /// Do not compare a peer's address with its certificate's names. Default false (etcd `--peer-skip-client-san-verification`).
    pub skip_client_san_verification: bool,
    /// Cipher suites up to TLS 1.2, by Go's or IANA's names; empty stands for all that are safe. Default empty (etcd).
    pub cipher_suites: Vec<String>,
    /// Oldest version spoken. Default TLS 1.2 (etcd).
    pub min_version: TlsVersion,
    /// Newest version spoken; `None` stands for the newest there is. Default none (etcd).
    pub max_version: Option<TlsVersion>,
}

/// The versions of TLS that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "TLS1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "TLS1.3")]
    V1_3,
}

impl TlsVersion {
    /// Reads `TLS1.2` or `TLS1.3`.
    ///
    /// # Errors
    /// Everything else.
    pub fn parse(text: &str) -> Result<TlsVersion, Invalid> {
        match text {
            "TLS1.2" => Ok(TlsVersion::V1_2),
            "TLS1.3" => Ok(TlsVersion::V1_3),
            _ => Err(Invalid::new(
                format!("TLS version {text:?}"),
                "only TLS1.2 and TLS1.3 are spoken; older ones are broken",
                "TLS1.2 or TLS1.3",
            )),
        }
    }
}

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            cert_file: None,
            key_file: None,
            client_cert_file: None,
            client_key_file: None,
            client_cert_auth: false,
            trusted_ca_file: None,
            crl_file: None,
            allowed_cns: Vec::new(),
            allowed_hostnames: Vec::new(),
            auto: false,
            self_signed_validity_years: 1,
            skip_client_san_verification: false,
            cipher_suites: Vec::new(),
            min_version: TlsVersion::default(),
            max_version: None,
        }
    }
}

impl Tls {
    /// Whether a certificate can be shown, given or made.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.cert_file.is_some() || self.auto
    }

    /// Whether the certificate is one we make ourselves (files given win over `auto`, as in etcd).
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.auto && self.cert_file.is_none()
    }

    /// Whether whoever connects must show a certificate.
    #[must_use]
    pub fn demands_client_certificate(&self) -> bool {
        self.client_cert_auth || self.trusted_ca_file.is_some()
    }

    /// Checks the rules; `prefix` is `""` for the client side and `"peer-"` for the peer side, for the texts.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self, prefix: &str, listen: &[Url]) -> Result<(), Invalid> {
        let pair = |cert: &Option<PathBuf>, key: &Option<PathBuf>, kind: &str| {
            if cert.is_some() == key.is_some() {
                return Ok(());
            }
            Err(Invalid::new(
                format!("only one of --{prefix}{kind}cert-file and --{prefix}{kind}key-file is set"),
                "a certificate is of no use without its key, nor a key without its certificate",
                "set both, or none",
            ))
        };
        pair(&self.cert_file, &self.key_file, "")?;
        pair(&self.client_cert_file, &self.client_key_file, "client-")?;
        if let Some(url) = listen.iter().find(|url| url.is_tls() && !self.has_certificate()) {
            return Err(Invalid::new(
                format!(
                    "TLS key/cert must be provided for the url {url} with {} scheme",
                    if url.is_unix() { "UNIXS" } else { "HTTPS" }
                ),
                format!("neither --{prefix}cert-file and --{prefix}key-file nor --{prefix}auto-tls is set"),
                format!(
                    "--{prefix}cert-file and --{prefix}key-file, or --{prefix}auto-tls for a self-signed certificate"
                ),
            ));
        }
        self.validate_checks(prefix)?;
        self.validate_versions(prefix)
    }

    fn validate_checks(&self, prefix: &str) -> Result<(), Invalid> {
        let cert_prefix = if prefix.is_empty() { "client-" } else { prefix };
        let backed = [
            (self.client_cert_auth, format!("--{prefix}client-cert-auth")),
            (self.crl_file.is_some(), format!("--{cert_prefix}crl-file")),
            (!self.allowed_cns.is_empty(), format!("--{cert_prefix}cert-allowed-cn")),
            (!self.allowed_hostnames.is_empty(), format!("--{cert_prefix}cert-allowed-hostname")),
        ];
        if self.trusted_ca_file.is_none()
            && let Some((_, flag)) = backed.iter().find(|(set, _)| *set)
        {
            return Err(Invalid::new(
                format!("{flag} without --{prefix}trusted-ca-file"),
                "certificates of those who connect can be verified only against a CA",
                format!("--{prefix}trusted-ca-file with the CA that signed them"),
            ));
        }
        if !self.allowed_cns.is_empty() && !self.allowed_hostnames.is_empty() {
            return Err(Invalid::new(
                format!("--{cert_prefix}cert-allowed-cn and --{cert_prefix}cert-allowed-hostname are both set"),
                "they are mutually exclusive, as in etcd",
                "one of them",
            ));
        }
        if self.self_signed_validity_years == 0 {
            return Err(Invalid::new(
                "--self-signed-cert-validity is 0",
                "the certificate would never be valid",
                "1 or more years",
            ));
        }
        Ok(())
    }

    fn validate_versions(&self, prefix: &str) -> Result<(), Invalid> {
        if self.max_version.is_some_and(|max| max < self.min_version) {
            return Err(Invalid::new(
                "--tls-min-version is above --tls-max-version",
                "no version is left to speak",
                "a minimum not above the maximum",
            ));
        }
        if !self.cipher_suites.is_empty() && self.min_version == TlsVersion::V1_3 {
            return Err(Invalid::new(
                format!(
                    "cipher suites are set for {}, which speaks only TLS 1.3",
                    if prefix.is_empty() { "clients" } else { "peers" }
                ),
                "TLS 1.3 has its own suites, which cannot be chosen",
                "drop --cipher-suites, or --tls-min-version TLS1.2",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(tls: &Tls, listen: &str) -> String {
        tls.validate("peer-", &Url::parse_list(listen).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn half_a_pair_is_refused() {
        let tls = Tls { cert_file: Some("c".into()), ..Tls::default() };
        assert!(broken(&tls, "https://127.0.0.1:1").contains("only one of --peer-cert-file and --peer-key-file"));
    }

    #[test]
    fn https_without_a_certificate_is_refused() {
        assert!(
            broken(&Tls::default(), "https://127.0.0.1:1")
                .contains("TLS key/cert must be provided for the url https://127.0.0.1:1")
        );
        assert!(
            Tls { auto: true, ..Tls::default() }.validate("", &Url::parse_list("https://127.0.0.1:1").unwrap()).is_ok()
        );
    }

    #[test]
    fn a_check_that_no_ca_backs_is_refused() {
        let checks = [
            Tls { client_cert_auth: true, ..Tls::default() },
            Tls { crl_file: Some("x".into()), ..Tls::default() },
            Tls { allowed_cns: vec!["x".into()], ..Tls::default() },
            Tls { allowed_hostnames: vec!["x".into()], ..Tls::default() },
        ];
        for tls in checks {
            assert!(broken(&tls, "http://127.0.0.1:1").contains("without --peer-trusted-ca-file"));
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let ca = Some("ca".into());
        let both = Tls {
            allowed_cns: vec!["a".into()],
            allowed_hostnames: vec!["b".into()],
            trusted_ca_file: ca,
            ..Tls::default()
        };
        assert!(broken(&both, "http://127.0.0.1:1").contains("both set"));
        let crossed = Tls { min_version: TlsVersion::V1_3, max_version: Some(TlsVersion::V1_2), ..Tls::default() };
        assert!(broken(&crossed, "http://127.0.0.1:1").contains("above"));
        let suites = Tls { min_version: TlsVersion::V1_3, cipher_suites: vec!["x".into()], ..Tls::default() };
        assert!(broken(&suites, "http://127.0.0.1:1").contains("TLS 1.3"));
        assert!(TlsVersion::parse("TLS1.1").is_err());
    }
}
