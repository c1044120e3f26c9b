//! Where the hub reads committed events that it no longer holds: the door of the engine's history.
//!
//! Promises nothing itself. Asks of an implementation: [`Source::revision`] is at least what apply has published, so that
//! a watcher that has read to its end has missed nothing. All calls may block on disk but the two revisions.

use bytes::Bytes;

use super::event::RevisionEvents;

/// Why history could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The asked revision is below the compact revision.
    #[error("required revision has been compacted")]
    Compacted,
    /// The engine cannot read. Ends the member.
    #[error("reading history failed: {0}")]
    Failed(String),
}

/// Committed history.
pub trait Source: Send + Sync + 'static {
    /// The newest committed revision. Does not block.
    fn revision(&self) -> i64;

    /// The compact revision. Does not block.
    fn compact_revision(&self) -> i64;

    /// Whole revisions from `from` on, in order: at least one if there is one, then as many as fit both bounds.
    ///
    /// # Errors
    /// [`SourceError::Compacted`] if `from` is below the compact revision (at it is allowed); [`SourceError::Failed`].
    fn events(&self, from: i64, revisions_max: usize, bytes_max: usize) -> Result<Vec<RevisionEvents>, SourceError>;

    /// The encoded `KeyValue` of `key` as changed at `previous` (main, sub); `None` where it is compacted away.
    ///
    /// # Errors
    /// [`SourceError::Failed`].
    fn previous(&self, key: &[u8], previous: (i64, i64)) -> Result<Option<Bytes>, SourceError>;
}
