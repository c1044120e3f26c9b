//! One watcher: what it wants, what it gets next, and which group it is in.

use std::sync::Arc;

use super::batch::{Addressed, Batch, Delivery, Output, To, WatcherId};
use super::pipe::Pipe;
use super::range::{Filters, KeyRange};

/// What a watcher wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Keys.
    pub range: KeyRange,
    /// Kinds of change to leave out.
    pub filters: Filters,
    /// Whether events carry the value before.
    pub previous: bool,
    /// Whether it is told from time to time that nothing has happened.
    pub progress_notify: bool,
    /// Whether a large response may be cut.
    pub fragment: bool,
    /// First revision to deliver; 0 is the one after the current. Not negative.
    pub start_revision: i64,
}

/// The group it is in: exactly one.
#[derive(Debug)]
pub(super) enum Place {
    /// Gets what is published, from `next` on.
    Synced,
    /// Catches up from the engine; `turn` is its place in the queue for that.
    Unsynced { turn: u64 },
    /// Its stream was full. What was refused is kept where the engine could not give it again as it is.
    Victim { refused: Option<Addressed> },
}

/// A watcher. The hub's groups own it.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) id: WatcherId,
    pub(super) stream: u64,
    pub(super) watch_id: i64,
    pub(super) spec: Arc<Spec>,
    /// Nothing below it is ever delivered. All matching events below it were handed over or are in `refused`; for a
    /// synced watcher those up to the published revision too.
    pub(super) next: i64,
    /// Got no event since the last progress tick.
    pub(super) quiet: bool,
    pub(super) pipe: Arc<Pipe>,
    pub(super) place: Place,
}

impl Watcher {
    /// Hands over the part of `batch` from `next` on, if any. `Err`: the stream is full, and this was refused.
    pub(super) fn deliver(&mut self, batch: &Arc<Batch>, through: i64) -> Result<(), Addressed> {
        let Some(from) = batch.position(self.next) else { return Ok(()) };
        let output = Output::Events(Delivery {
            watch_id: self.watch_id,
            revision: through,
            batch: Arc::clone(batch),
            from,
            previous: self.spec.previous,
            fragment: self.spec.fragment,
        });
        self.pipe.offer(Addressed { to: To::Watcher(self.id), output })?;
        self.quiet = false;
        self.next = through + 1;
        Ok(())
    }

    /// Whether everything up to `published` was handed over and progress at it says no more than that: it lies neither
    /// before the asked start nor before what was told already.
    pub(super) fn may_progress(&self, published: i64) -> bool {
        matches!(self.place, Place::Synced) && published >= self.spec.start_revision && published + 1 >= self.next
    }
}
