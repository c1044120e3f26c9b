//! One watcher of a cache: the state or the history that it begins with, then what is dispatched, with bookmarks between.
//!
//! ```text
//! state (added) ─▶ history after it ─▶ buffer ◀── dispatch
//!                                        │ all up to D was dispatched, and what comes next is beyond D
//!                                        └─▶ bookmark at D
//! ```
//!
//! Promises: see [`Watch`]; a bookmark's revision is never ahead of what was delivered, nor behind it.
//! Does nothing but when it is awaited, so whoever does not read is slow, and is closed ([`super::dispatch`]).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::{Instant, sleep_until};

use super::dispatch::End;
use super::freshness::{Freshness, Waiting};
use super::shared::Shared;
use crate::storage::bookmark::Schedule;
use crate::storage::{Change, Codec, Decoded, Error, Event, Predicate, Revision, Scope, Watch, WatchOptions};

/// What a watcher begins with.
pub(crate) struct Beginning {
    /// Objects to deliver as added.
    pub(crate) state: Vec<Decoded>,
    /// Changes to deliver after that.
    pub(crate) changes: Vec<Arc<Change>>,
    /// What is dispatched up to this revision is in the above, or not wanted.
    pub(crate) upto: Revision,
    /// The revision that the bookmark after the initial state has to have, if there is to be one.
    pub(crate) end_from: Option<Revision>,
}

pub(crate) struct CacheWatch {
    state: std::vec::IntoIter<Decoded>,
    changes: std::vec::IntoIter<Arc<Change>>,
    upto: Revision,
    registration: Registration,
    scope: Scope,
    predicate: Arc<dyn Predicate>,
    codec: Arc<dyn Codec>,
    bookmarks: Option<Schedule>,
    wanted: Option<Wanted>,
    /// The next change, taken from the buffer already.
    held: Option<Arc<Change>>,
    /// The last change that was seen, delivered or not.
    position: Revision,
}

/// A bookmark that is due as soon as it is true.
struct Wanted {
    from: Revision,
    is_end: bool,
    /// What had been dispatched when it was looked at: as soon as all of that is delivered, the bookmark is true.
    dispatched: Option<Revision>,
    /// For the initial state's end the store is asked how far it is.
    _waiting: Option<Waiting<Arc<Freshness>>>,
}

/// A place among the watchers that changes are dispatched to.
pub(crate) struct Registration {
    pub(crate) shared: Arc<Shared>,
    pub(crate) scope: Box<str>,
    pub(crate) id: u64,
    pub(crate) buffer: mpsc::Receiver<Arc<Change>>,
    pub(crate) end: End,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.outlets().remove(&self.scope, self.id);
    }
}

impl Registration {
    fn ended(&self) -> Error {
        self.end.get().cloned().unwrap_or(Error::Ended)
    }
}

impl CacheWatch {
    pub(crate) fn new(registration: Registration, beginning: Beginning, options: WatchOptions) -> Self {
        let shared = &registration.shared;
        let wanted = beginning.end_from.map(|from| {
            let waiting = Some(Waiting::begin(Arc::clone(shared.freshness())));
            // Not before the state itself, which may be newer than what has been dispatched.
            let from = from.max(beginning.upto);
            Wanted { from, is_end: true, dispatched: None, _waiting: waiting }
        });
        CacheWatch {
            state: beginning.state.into_iter(),
            changes: beginning.changes.into_iter(),
            upto: beginning.upto,
            scope: options.scope,
            predicate: options.predicate,
            codec: shared.codec(),
            bookmarks: options.bookmarks.then(|| Schedule::new(Instant::now(), options.deadline)),
            wanted,
            held: None,
            // Only the state's end, not the future that a watch may wait for, is a place to make bookmarks from.
            position: Revision::ZERO,
            registration,
        }
    }

    /// What there is without waiting.
    fn at_hand(&mut self) -> Result<Option<Event>, Error> {
        for object in self.state.by_ref() {
            let object = object.map_err(Error::Undecodable)?;
            if self.predicate.matches(&object.attributes) {
                return Ok(Some(Event::Added(object)));
            }
        }
        while let Some(change) = self.changes.next() {
            if let Some(event) = self.see(&change)? {
                return Ok(Some(event));
            }
        }
        loop {
            // First, so that all up to there is in the buffer, or was.
            self.look_how_far();
            let next = self.held.take().map_or_else(|| self.registration.buffer.try_recv(), Ok);
            let change = match next {
                Ok(change) if change.revision <= self.upto => continue,
                Ok(change) => change,
                Err(TryRecvError::Empty) => return Ok(self.bookmark_before(None)),
                Err(TryRecvError::Disconnected) => return Err(self.registration.ended()),
            };
            if let Some(bookmark) = self.bookmark_before(Some(change.revision)) {
                self.held = Some(change);
                return Ok(Some(bookmark));
            }
            if let Some(event) = self.see(&change)? {
                return Ok(Some(event));
            }
        }
    }

    fn see(&mut self, change: &Change) -> Result<Option<Event>, Error> {
        if !self.scope.contains(change.key.as_str()) {
            return Ok(None);
        }
        self.position = change.revision;
        change.seen_through(&*self.predicate, &*self.codec)
    }

    /// For a bookmark that is wanted: how far has been dispatched.
    fn look_how_far(&mut self) {
        if let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.dispatched.is_none()) {
            let dispatched = self.registration.shared.dispatched_now();
            wanted.dispatched = (dispatched >= wanted.from.max(self.position)).then_some(dispatched);
        }
    }

    /// The bookmark that is wanted, if all up to it has been delivered: what comes next is beyond it, or nothing is there.
    fn bookmark_before(&mut self, next: Option<Revision>) -> Option<Event> {
        let revision = self.wanted.as_ref()?.dispatched?;
        if next.is_some_and(|next| next <= revision) {
            return None;
        }
        let initial_events_end = self.wanted.take()?.is_end;
        if let Some(bookmarks) = &mut self.bookmarks {
            bookmarks.sent(Instant::now());
        }
        Some(Event::Bookmark { revision, initial_events_end })
    }
}

#[async_trait]
impl Watch for CacheWatch {
    async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.at_hand()? {
                return Ok(event);
            }
            let least = self.wanted.as_ref().map(|wanted| wanted.from.max(self.position));
            let due = self.bookmarks.filter(|_| self.wanted.is_none()).map(|bookmarks| bookmarks.due());
            let Registration { shared, buffer, .. } = &mut self.registration;
            tokio::select! {
                biased;
                change = buffer.recv() => match change {
                    Some(change) => self.held = Some(change),
                    None => return Err(self.registration.ended()),
                },
                _ = shared.dispatched_from(least.unwrap_or_default()), if least.is_some() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let from = self.position.max(self.upto);
                    self.wanted = Some(Wanted { from, is_end: false, dispatched: None, _waiting: None });
                }
            }
        }
    }
}
