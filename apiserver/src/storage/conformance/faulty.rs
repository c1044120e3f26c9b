//! Stores whose watches are not what they should be.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::super::backend::{Backend, BackendWatch, Range, Ranged, Swapped, Update, Write};
use super::super::{Error, Key, Record, Revision, Scope};

/// What is wrong with a store's watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They deliver late, which is allowed.
    Lag(Duration),
    /// They lose every so manieth change, which is not.
    LoseEvery(usize),
}

/// A store with a fault.
#[derive(Clone, Debug)]
pub struct Faulty<B> {
    store: B,
    fault: Fault,
}

impl<B: Backend> Faulty<B> {
    /// This store, with this fault.
    #[must_use]
    pub fn new(store: B, fault: Fault) -> Self {
        Faulty { store, fault }
    }
}

#[async_trait]
impl<B: Backend> Backend for Faulty<B> {
    async fn range(&self, range: Range<'_>) -> Result<Ranged, Error> {
        self.store.range(range).await
    }

    async fn count(&self, scope: &Scope) -> Result<usize, Error> {
        self.store.count(scope).await
    }

    async fn swap(&self, key: &Key, expected: Option<Revision>, write: Write) -> Result<Swapped<Record>, Error> {
        self.store.swap(key, expected, write).await
    }

    fn watch(&self, scope: &Scope, from: Revision) -> Box<dyn BackendWatch> {
        Box::new(FaultyWatch { watch: self.store.watch(scope, from), fault: self.fault, late: None, changes: 0 })
    }

    async fn revision(&self) -> Result<Revision, Error> {
        self.store.revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.store.compact(revision).await
    }

    async fn is_progress_trusted(&self) -> bool {
        self.store.is_progress_trusted().await
    }
}

struct FaultyWatch {
    watch: Box<dyn BackendWatch>,
    fault: Fault,
    /// What is held back, and until when.
    late: Option<(Instant, Update)>,
    changes: usize,
}

#[async_trait]
impl BackendWatch for FaultyWatch {
    async fn next(&mut self) -> Result<Update, Error> {
        loop {
            if let Some((due, _)) = &self.late {
                sleep_until(*due).await;
                let (_, update) = self.late.take().expect("it was there before the sleep");
                return Ok(update);
            }
            match (self.fault, self.watch.next().await?) {
                (Fault::Lag(lag), update) => self.late = Some((Instant::now() + lag, update)),
                (Fault::LoseEvery(nth), Update::Changes(mut changes)) => {
                    changes.retain(|_| {
                        self.changes += 1;
                        !self.changes.is_multiple_of(nth)
                    });
                    if !changes.is_empty() {
                        return Ok(Update::Changes(changes));
                    }
                }
                (Fault::LoseEvery(_), update) => return Ok(update),
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), Error> {
        self.watch.request_progress().await
    }
}
