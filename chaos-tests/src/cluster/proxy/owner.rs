//! Who dialled: from a connection's two addresses to the member that owns its far socket.
//!
//! The kernel's socket diagnosis maps addresses to a socket inode, `/proc/<pid>/fd` maps a process to its inodes; only the
//! members' own processes are searched. A member that is cut off dials all the time, so that reading `/proc/net/tcp` for each
//! connection, whose whole hash table the kernel walks, took more CPU than the members did.
//! Linux only, IPv4 loopback only: that is where the harness puts its members.
//! Source: sock_diag(7), proc(5).

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType, netlink};

/// Which process is which member, kept by the cluster. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    pids: Arc<Mutex<HashMap<String, u32>>>,
}

impl Roster {
    pub(crate) fn enter(&self, member: &str, pid: u32) {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).insert(member.to_owned(), pid);
    }

    pub(crate) fn leave(&self, member: &str) {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).remove(member);
    }

    /// The member that holds the socket bound to `local` and connected to `remote`; `None` for anybody else.
    pub(crate) fn owner(&self, local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<Option<String>> {
        let Some(inode) = inode_of(local, remote)? else { return Ok(None) };
        let pids: Vec<_> = {
            let pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
            pids.iter().map(|(member, pid)| (member.clone(), *pid)).collect()
        };
        Ok(pids.into_iter().find(|(_, pid)| holds(*pid, inode)).map(|(member, _)| member))
    }
}

/// `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// The header and `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// Where `idiag_inode` stands in an answer: behind the header, four bytes, the addresses and four counters.
const INODE_AT: usize = HEADER_BYTES + 4 + 48 + 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;

/// The inode of the socket with these two addresses; `None` where there is none, or its process has closed it already.
fn inode_of(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<Option<u32>> {
    let kernel = net::socket(AddressFamily::NETLINK, SocketType::DGRAM, Some(netlink::SOCK_DIAG))?;
    net::send(&kernel, &request(local, remote), SendFlags::empty())?;
    let mut answer = [0; 512];
    let (length, _) = net::recv(&kernel, &mut answer, RecvFlags::empty())?;
    let answer = &answer[..length];
    let word = |at: usize| answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match (kind, word(HEADER_BYTES), word(INODE_AT)) {
        (Some(NLMSG_ERROR), Some(errno), _) => {
            match Errno::from_raw_os_error(0_i32.wrapping_sub(errno.cast_signed())) {
                Errno::NOENT => Ok(None),
                error => Err(error.into()),
            }
        }
        (Some(SOCK_DIAG_BY_FAMILY), _, Some(inode)) => Ok(Some(inode).filter(|inode| *inode != 0)),
        _ => Err(io::Error::other("the kernel's answer about a socket is malformed")),
    }
}

/// Asks for exactly one TCP socket, whatever its state. Addresses and ports are in network order, all else in the machine's.
fn request(local: SocketAddrV4, remote: SocketAddrV4) -> [u8; REQUEST_BYTES] {
    const AF_INET: u8 = 2;
    const IPPROTO_TCP: u8 = 6;
    let mut request = [0; REQUEST_BYTES];
    let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(REQUEST_BYTES as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    put(HEADER_BYTES, &[AF_INET, IPPROTO_TCP]);
    put(HEADER_BYTES + 4, &u32::MAX.to_ne_bytes());
    put(HEADER_BYTES + 8, &local.port().to_be_bytes());
    put(HEADER_BYTES + 10, &remote.port().to_be_bytes());
    put(HEADER_BYTES + 12, &local.ip().octets());
    put(HEADER_BYTES + 28, &remote.ip().octets());
    // No cookie of an earlier answer.
    put(HEADER_BYTES + 48, &[0xff; 8]);
    request
}

fn holds(pid: u32, inode: u32) -> bool {
    let wanted = format!("socket:[{inode}]");
    // A process that has gone holds nothing.
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .flatten()
        .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use super::*;

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        match address {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => panic!("loopback is IPv4 here"),
        }
    }

    #[test]
    fn a_dialler_is_found_by_its_socket_and_a_stranger_is_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_accepted, from) = listener.accept().unwrap();
        let roster = Roster::default();
        let found = || roster.owner(v4(from), v4(listener.local_addr().unwrap())).unwrap();
        assert_eq!(found(), None);
        roster.enter("n1", std::process::id());
        assert_eq!(found().as_deref(), Some("n1"));
        roster.leave("n1");
        assert_eq!(found(), None);
        roster.enter("n1", std::process::id());
        drop(dialled);
        assert_eq!(found(), None, "nobody holds what is closed");
        let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        assert_eq!(roster.owner(nobody, nobody).unwrap(), None, "there is no such socket");
    }
}
