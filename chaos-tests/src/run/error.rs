//! Why a run has no verdict.

use std::io;
use std::path::PathBuf;

use crate::cluster::process;
use crate::fault;
use crate::history::{ReadError, WriteError};

/// A run that could not be done, or whose history is worth nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something that the run needs is not there.
    #[error("{what}")]
    Precondition {
        /// What, and what to do.
        what: String,
    },
    /// The cluster could not be started or stopped.
    #[error("the cluster")]
    Cluster(#[from] process::Error),
    /// The harness failed at a fault.
    #[error("a fault")]
    Fault(#[from] fault::Error),
    /// Clients could not be made.
    #[error("a client")]
    Client(#[from] fairlead_client::etcd::Error),
    /// A file of the run could not be written or read.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The history could not be written.
    #[error("the history")]
    Write(#[from] WriteError),
    /// The history could not be read back.
    #[error("{}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// A history without a plan cannot be replayed.
    #[error("{} has no plan: it was not recorded by a run", path.display())]
    NoPlan {
        /// Which.
        path: PathBuf,
    },
    /// The run has left something behind.
    #[error("the run has left behind: {}; `fairlead chaos doctor --undo` removes it", left.join(", "))]
    Left {
        /// What.
        left: Vec<String>,
    },
}
