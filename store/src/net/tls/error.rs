//! What can be wrong with certificates, keys and lists.

use std::io;
use std::path::PathBuf;

use crate::config::Invalid;

/// TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}\n  why: {source}\n  try: a path that exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is of no use\n  why: {why}\n  try: {remedy}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What it should be.
        remedy: &'static str,
    },
    /// A self-signed certificate cannot be made or kept.
    #[error("cannot make a self-signed certificate under {}\n  why: {why}\n  try: a data dir that may be written", folder.display())]
    SelfSigned {
        /// Where it is kept.
        folder: PathBuf,
        /// Why not.
        why: String,
    },
    /// Cipher suites or versions that cannot be.
    #[error(transparent)]
    Setting(#[from] Invalid),
}

impl Error {
    pub(super) fn content(path: &std::path::Path, why: impl ToString, remedy: &'static str) -> Error {
        Error::Content { path: path.to_owned(), why: why.to_string(), remedy }
    }
}
