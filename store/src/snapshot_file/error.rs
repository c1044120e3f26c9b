//! What can go wrong with a snapshot file, told so that a person knows which file, where, and what to try.

use std::io;

use crate::engine;

/// Why a snapshot could not be written, read or loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or its folder could not be used.
    #[error("cannot {operation} snapshot file {file}")]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The sink of [`super::write()`] failed.
    #[error("cannot write snapshot")]
    Write(#[source] io::Error),
    /// The state below could not be read or written.
    #[error("snapshot: {0}")]
    Engine(#[from] engine::Error),
    /// Some other file.
    #[error("{file} is not a Fairlead snapshot: {what}")]
    Foreign {
        /// The file.
        file: String,
        /// What it looks like, and what to try.
        what: &'static str,
    },
    /// A newer binary wrote it.
    #[error(
        "snapshot file {file} has form {found}, this binary knows {known}: use the version that wrote it, or a newer one"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// [`super::VERSION`].
        known: u32,
    },
    /// The file's own form is known, but what its records mean is not.
    #[error(
        "snapshot file {file} holds a state of form {found:?}, this binary knows {known:?}: use the version that wrote it"
    )]
    StateForm {
        /// The file.
        file: String,
        /// What it says.
        found: String,
        /// What this binary writes.
        known: String,
    },
    /// A newer binary wrote it: it holds what this one could not keep.
    #[error(
        "snapshot file {file} has a family of keys unknown to this binary ({name:?}): use the version that wrote it, or a newer one"
    )]
    UnknownFamily {
        /// The file.
        file: String,
        /// The family's name.
        name: String,
    },
    /// Cut, flipped or never finished.
    #[error(
        "snapshot file {file} is damaged at offset {offset}: {what}; take another copy, nothing of this one can be trusted"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A record that no snapshot can carry.
    #[error("a record of {bytes} bytes in family {family} is more than a snapshot carries ({max})", max = super::FRAME_BYTES_MAX)]
    RecordTooLarge {
        /// The family.
        family: &'static str,
        /// Key and value.
        bytes: usize,
    },
    /// Loading is only into an empty engine, so that old and new never mix.
    #[error("cannot load a snapshot into a state that already holds keys in family {family}")]
    NotEmpty {
        /// The family.
        family: &'static str,
    },
}
