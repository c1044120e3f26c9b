//! What can go wrong in the log. Everything but [`Error::Purged`] and [`Error::Closed`] means that the member must not go on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The log's errors. Those about a file name it, and the offset, so that a person can look.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that were once durable are damaged. Nothing is repaired: what follows them cannot be trusted.
    #[error(
        "the raft log is damaged: {path} at offset {offset}: {reason}; the member cannot start from it: restore the file, or remove the member and add it again with an empty data dir"
    )]
    Corrupt {
        /// The damaged segment.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A segment that holds entries still needed is not there.
    #[error(
        "the raft log is incomplete: segment {path} is missing; restore the file, or remove the member and add it again with an empty data dir"
    )]
    Missing {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A file with a segment's name that is no segment.
    #[error("{path} is no raft log segment of fairlead; is this the right folder?")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer release.
    #[error(
        "{path} has log format {found}, this release reads up to {supported}; start the release that wrote it, or a newer one"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest format version read here.
        supported: u32,
    },
    /// An append that does not start right after the last entry.
    #[error("append at index {found} would leave a hole: the next index is {expected}")]
    Hole {
        /// The index that must come next.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// A record larger than the format can hold.
    #[error("a log record of {bytes} bytes exceeds the format's bound of {bytes_max}")]
    TooLarge {
        /// Its payload's size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The entry asked for has been purged.
    #[error("log index {from} has been purged: the log begins after {purged}")]
    Purged {
        /// The first index asked for.
        from: u64,
        /// The newest purged index.
        purged: u64,
    },
    /// The log was closed while it waited for disk space; nothing that waited had been acknowledged.
    #[error("no space left for a new raft log segment in {path}")]
    NoSpace {
        /// The log's folder.
        path: PathBuf,
    },
    /// The log's thread could not be started.
    #[error("cannot start the log's flusher: {0}")]
    Start(#[source] io::Error),
    /// An earlier write or sync failed; nothing is accepted since, and nothing is retried.
    #[error("the raft log has failed: {0}")]
    Failed(#[source] Arc<Error>),
    /// The log has been closed.
    #[error("the raft log is closed")]
    Closed,
}

impl Error {
    /// Wraps what the system said.
    pub(super) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { operation, path, source }
    }
}
