//! Who dialled: from a connection's two addresses to the member that owns its far socket.
//!
//! `/proc/net/tcp` maps addresses to a socket inode, `/proc/<pid>/fd` maps a process to its inodes; only the members' own
//! processes are searched. Linux only, IPv4 loopback only: that is where the harness puts its members.
//! Source: proc(5), kernel `Documentation/networking/proc_net_tcp.rst`.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

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
        let Some(inode) = inode_of(&fs::read_to_string("/proc/self/net/tcp")?, local, remote) else {
            return Ok(None);
        };
        let pids: Vec<_> = {
            let pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
            pids.iter().map(|(member, pid)| (member.clone(), *pid)).collect()
        };
        Ok(pids.into_iter().find(|(_, pid)| holds(*pid, &inode)).map(|(member, _)| member))
    }
}

/// Finds the inode column of the row with these two addresses.
fn inode_of(table: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<String> {
    let (local, remote) = (hex(local), hex(remote));
    table.lines().skip(1).find_map(|row| {
        let columns: Vec<&str> = row.split_ascii_whitespace().collect();
        let matches = *columns.get(1)? == local && *columns.get(2)? == remote;
        // Inode 0: the dialler has closed its socket already.
        (matches && *columns.get(9)? != "0").then(|| columns[9].to_owned())
    })
}

/// An address as the kernel prints it: the four bytes as one native-endian word, then the port.
fn hex(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

fn holds(pid: u32, inode: &str) -> bool {
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
        drop(dialled);
    }
}
