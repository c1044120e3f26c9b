//! What can go wrong with a benchmark.

use std::io;

use fairlead_chaos_tests::{cluster, run};
use tonic::Status;

/// A workload that could not be measured, or a run that could not be begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A target's description cannot be read.
    #[error("target {text:?}: {what}; it is fairlead, etcd, NAME=PATH or NAME=URL,URL@PID,PID")]
    Target {
        /// What was given.
        text: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No program for a target.
    #[error(transparent)]
    Candidate(#[from] run::Error),
    /// There is no such workload.
    #[error("no workload {name:?}; `--list` shows them all")]
    Workload {
        /// The name given.
        name: String,
    },
    /// Members could not be started, killed or ended.
    #[error(transparent)]
    Cluster(#[from] cluster::process::Error),
    /// A member cannot be reached.
    #[error("connect to {url}")]
    Connect {
        /// The member.
        url: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
    /// A request that a measurement needs failed.
    #[error("{what}: {:?}: {}", status.code(), status.message())]
    Request {
        /// What was asked.
        what: &'static str,
        /// The answer.
        #[source]
        status: Box<Status>,
    },
    /// A file or a folder of `/proc` or of a member's data cannot be read.
    #[error("read {what}")]
    Files {
        /// What was read.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The target cannot be asked for this.
    #[error("{0}")]
    Unable(String),
}

impl Error {
    /// Names what was asked, for `map_err`.
    pub(crate) fn request(what: &'static str) -> impl FnOnce(Status) -> Error {
        move |status| Error::Request { what, status: Box::new(status) }
    }

    /// Names what was read, for `map_err`.
    pub(crate) fn files(what: &str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Files { what: what.to_owned(), source }
    }
}
