//! Storage without a cache: every call asks the store, every watch is one of the store's.
//!
//! For resources that are not worth a cache, for reads that must be exact, and below the cacher.
//! A watch's bookmarks are what the store says of its progress, so on a store whose progress cannot be trusted there is only
//! the one that ends the initial state.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::backend::{BackendWatch, Update};
use super::bookmark::Schedule;
use super::{
    At, Backend, Change, Codec, Decoded, Error, Event, Key, List, ListOptions, Predicate, Read, Revision, Scope,
    Storage, Swapped, Watch, WatchFrom, WatchOptions, Write, decode, paging,
};

/// Storage of one resource, straight from the store.
#[derive(Clone, Debug)]
pub struct Direct {
    backend: Arc<dyn Backend>,
    codec: Arc<dyn Codec>,
}

impl Direct {
    /// Storage in this store, of objects of this kind.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, codec: Arc<dyn Codec>) -> Self {
        Direct { backend, codec }
    }

    /// The store.
    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// The codec, to share.
    pub(crate) fn shared_codec(&self) -> Arc<dyn Codec> {
        Arc::clone(&self.codec)
    }
}

#[async_trait]
impl Storage for Direct {
    async fn get(&self, key: &Key, at: At) -> Result<Read, Error> {
        let list = self.list(&ListOptions::new(Scope::Object(key.clone()), at)).await?;
        Ok(Read { object: list.objects.into_iter().next(), revision: list.revision, is_live: true })
    }

    async fn list(&self, options: &ListOptions) -> Result<List, Error> {
        paging::list(&*self.backend, &*self.codec, options).await
    }

    async fn count(&self, scope: &Scope) -> Result<usize, Error> {
        self.backend.count(scope).await
    }

    async fn swap(&self, key: &Key, expected: Option<Revision>, write: Write) -> Result<Swapped<Decoded>, Error> {
        Ok(match self.backend.swap(key, expected, write).await? {
            Swapped::Done(revision) => Swapped::Done(revision),
            Swapped::Lost(current) => Swapped::Lost(current.map(|record| decode(&*self.codec, &record))),
        })
    }

    async fn watch(&self, options: WatchOptions) -> Result<Box<dyn Watch>, Error> {
        let mut ready = VecDeque::new();
        let begins_with_state = options.initial_events || !matches!(options.from, WatchFrom::After(_));
        let after = if begins_with_state { self.initial(&options, &mut ready).await? } else { after(options.from) };
        let is_marked = options.bookmarks && self.backend.is_progress_trusted().await;
        Ok(Box::new(DirectWatch {
            changes: self.backend.watch(&options.scope, after.next()),
            bookmarks: is_marked.then(|| Schedule::new(Instant::now(), options.deadline)),
            predicate: options.predicate,
            codec: Arc::clone(&self.codec),
            ready,
        }))
    }

    async fn revision(&self) -> Result<Revision, Error> {
        self.backend.revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.backend.compact(revision).await
    }

    fn codec(&self) -> &dyn Codec {
        &*self.codec
    }
}

impl Direct {
    /// Queues the current state; returns its revision.
    async fn initial(&self, options: &WatchOptions, ready: &mut VecDeque<Event>) -> Result<Revision, Error> {
        let at = match options.from {
            WatchFrom::After(revision) => At::NotOlderThan(revision),
            WatchFrom::Any | WatchFrom::MostRecent => At::MostRecent,
        };
        let list =
            ListOptions { predicate: Arc::clone(&options.predicate), ..ListOptions::new(options.scope.clone(), at) };
        let list = self.list(&list).await?;
        ready.extend(list.objects.into_iter().map(Event::Added));
        if options.initial_events {
            ready.push_back(Event::Bookmark { revision: list.revision, initial_events_end: true });
        }
        Ok(list.revision)
    }
}

fn after(from: WatchFrom) -> Revision {
    match from {
        WatchFrom::After(revision) => revision,
        WatchFrom::Any | WatchFrom::MostRecent => Revision::ZERO,
    }
}

/// A watch of the store's, with a selector.
struct DirectWatch {
    changes: Box<dyn BackendWatch>,
    predicate: Arc<dyn Predicate>,
    codec: Arc<dyn Codec>,
    /// `None` when none are wanted, or none can be had.
    bookmarks: Option<Schedule>,
    /// What has come and was not taken yet.
    ready: VecDeque<Event>,
}

#[async_trait]
impl Watch for DirectWatch {
    async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let due = self.bookmarks.map(|bookmarks| bookmarks.due());
            tokio::select! {
                biased;
                update = self.changes.next() => self.take(update?)?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    // The answer is the bookmark.
                    self.changes.request_progress().await?;
                    self.bookmarks = self.bookmarks.map(|mut bookmarks| { bookmarks.sent(Instant::now()); bookmarks });
                }
            }
        }
    }
}

impl DirectWatch {
    fn take(&mut self, update: Update) -> Result<(), Error> {
        match update {
            Update::Changes(changes) => {
                for raw in &changes {
                    let change = Change::read(&*self.codec, raw)?;
                    self.ready.extend(change.seen_through(&*self.predicate, &*self.codec)?);
                }
            }
            Update::Progress(revision) if self.bookmarks.is_some() => {
                self.ready.push_back(Event::Bookmark { revision, initial_events_end: false });
            }
            Update::Progress(_) => {}
        }
        Ok(())
    }
}
