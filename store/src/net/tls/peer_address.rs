//! Does a member's certificate fit the address it connects from?
//!
//! As in etcd: a certificate without alternative names fits any address; an IP among them must be the remote one, or a
//! DNS name must resolve to it. etcd compares wildcard names by a reverse look-up, which we have not; a certificate that
//! has nothing else is refused with a hint. Source: etcd `client/pkg/transport/listener_tls.go` `checkSAN`.

use std::net::IpAddr;

use super::Certificate;

/// Names looked up for one connection, so that a certificate cannot make us resolve without end.
const DNS_NAMES_MAX: usize = 32;

/// Why an address does not fit.
#[derive(Debug, thiserror::Error)]
#[error(
    "the certificate is for {names}, and {remote} is none of them; --peer-skip-client-san-verification turns the check off"
)]
pub(super) struct Unfit {
    names: String,
    remote: IpAddr,
}

/// Compares a certificate's names with the remote address; may resolve names.
///
/// # Errors
/// When none fits.
pub(super) async fn check(certificate: &Certificate, remote: IpAddr) -> Result<(), Unfit> {
    let Certificate { dns_names, ip_addresses, .. } = certificate;
    if (dns_names.is_empty() && ip_addresses.is_empty()) || ip_addresses.contains(&remote) {
        return Ok(());
    }
    for name in dns_names.iter().filter(|name| !name.contains('*')).take(DNS_NAMES_MAX) {
        if let Ok(mut addresses) = tokio::net::lookup_host((name.as_str(), 0)).await
            && addresses.any(|address| address.ip().to_canonical() == remote)
        {
            return Ok(());
        }
    }
    let names =
        dns_names.iter().cloned().chain(ip_addresses.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ");
    Err(Unfit { names, remote })
}
