//! Ports that stay ours while a cluster lives, also while the member that listens there is down.
//!
//! A port is reserved by a UDP socket bound to the same number: members use TCP only, and other clusters of this harness
//! ask for the UDP socket first. The range lies below the kernel's ephemeral ports, so no outgoing connection takes one.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use super::Error;

const FIRST: u16 = 21_000;
const LAST: u16 = 31_999;

/// Where the next search in this process begins; processes begin at different places.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A reserved loopback port.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddrV4,
    _reservation: UdpSocket,
}

impl Port {
    /// Finds a port on which nobody listens and reserves it.
    pub(crate) fn reserve() -> Result<Port, Error> {
        let span = LAST - FIRST + 1;
        let start = (process::id() % u32::from(span)) as u16;
        for _ in 0..span {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % span;
            if let Some(port) = Port::reserve_this(FIRST + (start + step) % span) {
                return Ok(port);
            }
        }
        Err(Error::PortsExhausted { from: FIRST, to: LAST })
    }

    /// Reserves this one; `None` when somebody listens there or has reserved it.
    pub(crate) fn reserve_this(port: u16) -> Option<Port> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let reservation = UdpSocket::bind(address).ok()?;
        // Asked by connecting and not by listening: a process that forks meanwhile would inherit the listener for a moment.
        TcpStream::connect(address).is_err().then_some(Port { address, _reservation: reservation })
    }

    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_reserved_port_is_not_given_twice_and_can_be_listened_on() {
        let first = Port::reserve().unwrap();
        let second = Port::reserve().unwrap();
        assert_ne!(first.address(), second.address());
        TcpListener::bind(first.address()).unwrap();
    }
}
