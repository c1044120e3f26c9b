//! What is known about a connection: who is at the other end, over what.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::tls::Certificate;

/// A byte stream of any kind: TCP, unix socket, TLS over either.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A byte stream whose kind no longer matters.
pub type Stream = Box<dyn Io>;

/// The other end's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// An IP address; an IPv4 address mapped into IPv6 is shown as IPv4.
    Tcp(SocketAddr),
    /// A unix socket, which has no address.
    Unix,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Tcp(address) => address.fmt(f),
            Remote::Unix => f.write_str("@"),
        }
    }
}

/// An extension of every request: the connection it came on.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The listener's kind: `client`, `peer`, `metrics`.
    pub listener: &'static str,
    /// The other end's address.
    pub remote: Remote,
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// The certificate that the other end has shown, verified; `None` when none was demanded.
    pub certificate: Option<Arc<Certificate>>,
}
