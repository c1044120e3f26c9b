//! The certificate that `--auto-tls` and `--peer-auto-tls` make: self-signed, kept under the data dir, renewed in time.
//!
//! It is used again at the next start, so that clients which have pinned it keep working, until a tenth of its life (30
//! days at most) is left; then a new one takes its place, also while the member runs. etcd lets it expire.
//! Source: etcd `client/pkg/transport/listener.go` `SelfCert`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Error, files};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Longest time before its end at which a certificate is replaced.
const RENEWAL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Clocks of clients may be behind ours by this much.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60 * 60);

/// A certificate on disk.
pub(super) struct SelfSigned {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    /// When a new one is due.
    pub(super) renew_at: SystemTime,
}

/// The certificate kept in `folder`, made anew when there is none or it is due.
///
/// # Errors
/// When it cannot be made or written.
pub(super) fn ensure(folder: &Path, hosts: &[String], years: u32) -> Result<SelfSigned, Error> {
    let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    if let Some(renew_at) = renewal(&cert_file, &key_file)
        && renew_at > SystemTime::now()
    {
        return Ok(SelfSigned { cert_file, key_file, renew_at });
    }
    let failed = |why: String| Error::SelfSigned { folder: folder.to_owned(), why };
    let (certificate, key) = make(hosts, YEAR * years).map_err(|error| failed(error.to_string()))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(error.to_string()))?;
    // The key first: a reader that comes between finds a pair that does not match and keeps what it has.
    replace(&key_file, key.as_bytes()).map_err(|error| failed(error.to_string()))?;
    replace(&cert_file, certificate.as_bytes()).map_err(|error| failed(error.to_string()))?;
    tracing::info!(folder = %folder.display(), ?hosts, "made a self-signed certificate");
    let renew_at = renewal(&cert_file, &key_file).ok_or_else(|| failed("it does not read back".to_owned()))?;
    Ok(SelfSigned { cert_file, key_file, renew_at })
}

fn make(hosts: &[String], validity: Duration) -> Result<(String, String), rcgen::Error> {
    let mut names = hosts.to_vec();
    for local in ["localhost", "127.0.0.1"] {
        if !names.iter().any(|name| name == local) {
            names.push(local.to_owned());
        }
    }
    let mut params = CertificateParams::new(names)?;
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW_MAX).into();
    params.not_after = (now + validity).into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// When the pair on disk is due; `None` when there is no readable one.
fn renewal(cert_file: &Path, key_file: &Path) -> Option<SystemTime> {
    files::key(key_file).ok()?;
    let chain = files::chain(cert_file).ok()?;
    let (_, parsed) = X509Certificate::from_der(chain.first()?).ok()?;
    let instant = |seconds: i64| Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?));
    let start = instant(parsed.validity().not_before.timestamp())?;
    let end = instant(parsed.validity().not_after.timestamp())?;
    Some(end - (end.duration_since(start).ok()? / 10).min(RENEWAL_MAX))
}

/// Writes beside the file, then renames over it.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_certificate_is_kept_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("fixtures/peer");
        let hosts = ["10.1.2.3".to_owned()];
        let first = ensure(&folder, &hosts, 1).unwrap();
        let text = fs::read(&first.cert_file).unwrap();
        assert_eq!(fs::metadata(&first.key_file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = ensure(&folder, &hosts, 1).unwrap();
        assert_eq!((fs::read(&again.cert_file).unwrap(), again.renew_at), (text, first.renew_at));
        let names = super::super::Certificate::from_der(&files::chain(&first.cert_file).unwrap()[0]).unwrap();
        assert_eq!(names.dns_names, ["localhost"]);
        assert_eq!(names.ip_addresses.len(), 2);
    }

    #[test]
    fn one_that_is_due_or_broken_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = make(&[], Duration::from_secs(60)).unwrap();
        fs::write(folder.path().join("cert.pem"), &certificate).unwrap();
        fs::write(folder.path().join("key.pem"), &key).unwrap();
        let renewed = ensure(folder.path(), &[], 1).unwrap();
        assert_ne!(fs::read_to_string(&renewed.cert_file).unwrap(), certificate);
        fs::write(&renewed.key_file, "torn").unwrap();
        let again = ensure(folder.path(), &[], 1).unwrap();
        assert!(files::key(&again.key_file).is_ok());
    }
}
