//! Binding the addresses of a URL list.
//!
//! URLs with one `host:port` share a socket; where one of them is plain and the other TLS, the first byte decides.
//! `0.0.0.0` also takes IPv6, as Go's listeners do. A unix socket that nobody listens on any more is replaced.
//! Promises: all of the list is bound, or none and the error says which and why. Sockets of ours are unlinked at the end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::config::Url;

use super::Error;

/// Connections that the kernel keeps for us before they are accepted.
const BACKLOG_CONNECTIONS_MAX: i32 = 4_096;

/// Bound sockets of one URL list.
#[derive(Debug)]
pub struct Listener {
    pub(super) sockets: Vec<Bound>,
}

/// One socket and what is spoken on it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: BoundSocket,
    pub(super) speaks: Speaks,
}

/// What may come in on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    Plain,
    Tls,
    /// Either; the first byte tells.
    Both,
}

#[derive(Debug)]
pub(super) enum BoundSocket {
    Tcp(TcpListener),
    Unix { socket: UnixListener, _unlink: Unlink },
}

/// Removes the socket's file when dropped.
#[derive(Debug)]
pub(super) struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), error = %error, "cannot remove a socket");
        }
    }
}

impl Listener {
    /// Binds every URL. `flag` is named in errors.
    ///
    /// # Errors
    /// The first address that cannot be bound, with its cause and what to try.
    pub fn bind(flag: &str, urls: &[Url], reuse_port: bool) -> Result<Listener, Error> {
        let mut sockets: Vec<Bound> = Vec::new();
        let mut addresses: Vec<&str> = Vec::new();
        for url in urls {
            if addresses.contains(&url.address()) {
                continue;
            }
            let schemes =
                || urls.iter().filter(|other| other.address() == url.address() && other.is_unix() == url.is_unix());
            let speaks = match (schemes().any(Url::is_tls), schemes().any(|url| !url.is_tls())) {
                (true, true) => Speaks::Both,
                (true, false) => Speaks::Tls,
                _ => Speaks::Plain,
            };
            let socket = if url.is_unix() { bind_unix(url.address()) } else { bind_tcp(url, reuse_port) };
            sockets.push(Bound { socket: socket.map_err(|error| Error::bind(flag, url, &error))?, speaks });
            addresses.push(url.address());
        }
        Ok(Listener { sockets })
    }

    /// The TCP addresses bound, with the ports that the kernel chose for port 0.
    #[must_use]
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|bound| match &bound.socket {
                BoundSocket::Tcp(socket) => socket.local_addr().ok(),
                BoundSocket::Unix { .. } => None,
            })
            .collect()
    }
}

fn bind_tcp(url: &Url, reuse_port: bool) -> io::Result<BoundSocket> {
    let host = match url.host() {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "neither an IP address nor localhost"))?,
    };
    let address = SocketAddr::new(host, url.port());
    let socket = match host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
            let both = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), url.port());
            match bind_address(both, reuse_port) {
                // A machine without IPv6.
                Err(error)
                    if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied =>
                {
                    bind_address(address, reuse_port)
                }
                bound => bound,
            }
        }
        _ => bind_address(address, reuse_port),
    }?;
    Ok(BoundSocket::Tcp(TcpListener::from_std(socket.into())?))
}

fn bind_address(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?; // as Go does: a restart must not wait for TIME_WAIT
    if reuse_port {
        rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG_CONNECTIONS_MAX)?;
    Ok(socket)
}

fn bind_unix(address: &str) -> io::Result<BoundSocket> {
    let path = Path::new(address);
    let socket = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    Ok(BoundSocket::Unix { socket, _unlink: Unlink(path.to_owned()) })
}

/// A socket's file that a process has left behind.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && std::os::unix::net::UnixStream::connect(path).err().is_some_and(refused)
}
