//! What can go wrong with a fault.

use std::io;

use crate::cluster::process;

/// A fault that could not be applied, seen or undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cluster refused.
    #[error(transparent)]
    Cluster(#[from] process::Error),
    /// This machine cannot do it.
    #[error("{fault} cannot be done here: {why}; `fairlead chaos doctor` tells what can")]
    Unavailable {
        /// Which.
        fault: &'static str,
        /// What is missing.
        why: String,
    },
    /// Nothing of it was seen.
    #[error("no effect: {0}")]
    NoEffect(String),
    /// A member did not do what it was asked.
    #[error("{member} did not {what}: {why}")]
    Member {
        /// Who.
        member: String,
        /// What.
        what: &'static str,
        /// In its words.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{what}")]
    Io {
        /// Which, and what for.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A step took too long.
    #[error("{step} took longer than {seconds} s")]
    Late {
        /// Which.
        step: &'static str,
        /// Its deadline.
        seconds: u64,
    },
}
