//! What can go wrong in this room.

use crate::apply::Refusal;
use crate::engine::{self, Family};

/// Why a read or a change did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The revision asked for is below the compact revision.
    #[error("required revision has been compacted")]
    Compacted,
    /// The revision asked for is above the current one.
    #[error("required revision is a future revision")]
    FutureRevision,
    /// A transaction that is no read was run as one.
    #[error("a transaction with writes was run as a read")]
    WriteInRead,
    /// The engine failed; the process must end.
    #[error("the state cannot be read or written")]
    Engine(#[from] engine::Error),
    /// A row is missing or does not decode; the process must end.
    #[error("the state is damaged: row {row:02x?} of {} {reason}", family.name())]
    Corrupt {
        /// Where.
        family: Family,
        /// Which.
        row: Vec<u8>,
        /// What about it.
        reason: &'static str,
    },
}

impl Error {
    pub(crate) fn undecodable(family: Family, row: &[u8]) -> Error {
        Error::Corrupt { family, row: row.to_vec(), reason: "does not decode" }
    }

    pub(crate) fn missing(family: Family, row: &[u8]) -> Error {
        Error::Corrupt { family, row: row.to_vec(), reason: "is missing" }
    }

    /// As the answer to a command, where it is one.
    ///
    /// # Errors
    /// Itself where it ends the process.
    pub(crate) fn into_refusal(self) -> Result<Refusal, Error> {
        match self {
            Error::Compacted => Ok(Refusal::Compacted),
            Error::FutureRevision => Ok(Refusal::FutureRevision),
            other => Err(other),
        }
    }
}
