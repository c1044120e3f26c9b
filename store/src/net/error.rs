//! What can go wrong below HTTP.

use std::io;

use crate::config::{Invalid, Url};

use super::tls;

/// A listener or a connection that could not be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be bound.
    #[error("{0}")]
    Bind(Invalid),
    /// Certificates or other TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// A member's name cannot be resolved.
    #[error("cannot resolve {url}")]
    Resolve {
        /// What was dialled.
        url: Url,
        /// The resolver's error.
        #[source]
        source: io::Error,
    },
    /// A member cannot be reached.
    #[error("cannot connect to {url}")]
    Connect {
        /// What was dialled.
        url: Url,
        /// The last address's error.
        #[source]
        source: io::Error,
    },
    /// A member's TLS handshake failed.
    #[error("cannot agree on TLS with {url}")]
    Handshake {
        /// What was dialled.
        url: Url,
        /// The error of the handshake.
        #[source]
        source: io::Error,
    },
    /// A member did not answer in time.
    #[error("no connection to {url} within {seconds} s")]
    Timeout {
        /// What was dialled.
        url: Url,
        /// The bound.
        seconds: u64,
    },
}

impl Error {
    /// An address that cannot be bound, with what to try for the cause at hand.
    pub(super) fn bind(flag: &str, url: &Url, source: &io::Error) -> Error {
        let address = url.address();
        let remedy = match source.kind() {
            io::ErrorKind::AddrInUse if url.is_unix() => {
                format!("stop the process that listens on {address}, or another path in {flag}")
            }
            io::ErrorKind::AddrInUse => {
                format!(
                    "`ss -ltnp sport = :{}` shows the process that has the port; stop it, or another port in {flag}",
                    url.port()
                )
            }
            io::ErrorKind::PermissionDenied => format!("a port above 1023, or a path that may be written, in {flag}"),
            io::ErrorKind::AddrNotAvailable => {
                format!("an IP of this machine in {flag}; 0.0.0.0 stands for all of them")
            }
            io::ErrorKind::NotFound => format!("a path in a folder that exists in {flag}"),
            _ => format!("another address in {flag}"),
        };
        Error::Bind(Invalid::new(format!("cannot listen on {url}"), source.to_string(), remedy))
    }
}
