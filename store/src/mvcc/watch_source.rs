//! History for the watch hub: its door `watch::Source` onto this room.

use bytes::Bytes;

use super::error::Error;
use super::store::Mvcc;
use crate::watch::{RevisionEvents, Source, SourceError};

impl Source for Mvcc {
    fn revision(&self) -> i64 {
        Mvcc::revision(self)
    }

    fn compact_revision(&self) -> i64 {
        Mvcc::compact_revision(self)
    }

    fn events(&self, from: i64, revisions_max: usize, bytes_max: usize) -> Result<Vec<RevisionEvents>, SourceError> {
        self.read(|view| view.events(from, revisions_max, bytes_max)).map_err(failed)
    }

    fn previous(&self, key: &[u8], previous: (i64, i64)) -> Result<Option<Bytes>, SourceError> {
        self.read(|view| view.previous(key, previous)).map_err(failed)
    }
}

fn failed(error: Error) -> SourceError {
    match error {
        Error::Compacted => SourceError::Compacted,
        other => SourceError::Failed(other.to_string()),
    }
}
