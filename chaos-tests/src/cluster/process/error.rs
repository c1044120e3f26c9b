//! What can go wrong with a cluster of processes.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A failed operation on a cluster or a member.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No executable where one was looked for.
    #[error("{program} was not found; looked at {}; set {variable} to its path", looked.join(", "))]
    ProgramMissing {
        /// The program wanted.
        program: &'static str,
        /// The environment variable that names it.
        variable: &'static str,
        /// Where it was looked for.
        looked: Vec<String>,
    },
    /// No such member in this cluster.
    #[error("no member named {name:?}; members are {}", members.join(", "))]
    MemberUnknown {
        /// The name given.
        name: String,
        /// The names there are.
        members: Vec<String>,
    },
    /// No free port in the harness's range.
    #[error("no free loopback port between {from} and {to}")]
    PortsExhausted {
        /// First port tried.
        from: u16,
        /// Last port tried.
        to: u16,
    },
    /// A folder or file of the cluster could not be written.
    #[error("write {}", path.display())]
    Files {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A process could not be started.
    #[error("start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A fault proxy could not be started.
    #[error("start the fault proxy of {member}")]
    Proxy {
        /// The member behind it.
        member: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A signal could not be sent.
    #[error("send {signal} to {member}")]
    Signal {
        /// The member.
        member: String,
        /// The signal's name.
        signal: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The operation needs a running member, or a stopped one.
    #[error("{member} is {state}")]
    WrongState {
        /// The member.
        member: String,
        /// What it is.
        state: &'static str,
    },
    /// A member ended before it was ready; the tail of its log follows.
    #[error("{member} ended before it was ready ({status}); end of {}:\n{tail}", log.display())]
    EndedEarly {
        /// The member.
        member: String,
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A member was not ready, or not gone, in time; the tail of its log follows.
    #[error("{member} was not {wanted} within {within:?}; end of {}:\n{tail}", log.display())]
    TooLate {
        /// The member.
        member: String,
        /// What was waited for.
        wanted: &'static str,
        /// How long.
        within: Duration,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A member's own disk could not be had or changed.
    #[error("{what}: {said}; a disk for each member needs root and a loop device, `fairlead chaos doctor` tells more")]
    Disk {
        /// What was tried.
        what: String,
        /// What the system said.
        said: String,
    },
    /// No member claimed leadership in time.
    #[error("no leader within {within:?}")]
    NoLeader {
        /// How long was waited.
        within: Duration,
    },
}
