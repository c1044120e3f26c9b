//! A watcher that begins before the cache's history: a watch of the store's own, until history takes over.
//!
//! So "gone" means that the store has it no more, and an apiserver that has just started, or has a short history, sends nobody to
//! list again. Such watches are few at a time (`catch_up_watches_max`); who finds no room waits, and is told so after a while.
//! Bookmarks come once history has taken over.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::shared::Shared;
use super::watcher::CacheWatch;
use crate::storage::backend::{BackendWatch, Update};
use crate::storage::{Change, Error, Event, Revision, Watch, WatchOptions};

pub(crate) struct CatchUp {
    shared: Arc<Shared>,
    options: WatchOptions,
    /// Everything up to this revision has been delivered, or is in `ready`.
    position: Revision,
    ready: VecDeque<Event>,
    stage: Stage,
}

enum Stage {
    /// For its turn.
    Waiting,
    /// With the store's help.
    Following { changes: Box<dyn BackendWatch>, _turn: Option<OwnedSemaphorePermit> },
    /// History has taken over.
    Joined(Box<CacheWatch>),
}

impl CatchUp {
    pub(crate) fn new(shared: Arc<Shared>, options: WatchOptions, after: Revision) -> Self {
        CatchUp { shared, options, position: after, ready: VecDeque::new(), stage: Stage::Waiting }
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let turn = turn(&self.shared).await?;
        let mut changes = self.shared.backend().watch(&self.options.scope, self.position.next());
        // The answer tells where a quiet past ends.
        if self.shared.is_progress_trusted() {
            changes.request_progress().await?;
        }
        self.stage = Stage::Following { changes, _turn: turn };
        Ok(())
    }

    fn take(&mut self, update: Update) -> Result<(), Error> {
        let codec = self.shared.codec();
        match update {
            Update::Changes(raws) => {
                for raw in &raws {
                    let change = Change::read(&*codec, raw)?;
                    self.position = self.position.max(change.revision);
                    self.ready.extend(change.seen_through(&*self.options.predicate, &*codec)?);
                }
            }
            Update::Progress(revision) if self.shared.is_progress_trusted() => {
                self.position = self.position.max(revision);
            }
            Update::Progress(_) => {}
        }
        Ok(())
    }
}

/// One of the few places; none is needed where the end of a quiet past cannot be told, since it could be kept for ever.
async fn turn(shared: &Shared) -> Result<Option<OwnedSemaphorePermit>, Error> {
    if !shared.is_progress_trusted() {
        return Ok(None);
    }
    let turn = Arc::clone(shared.catch_ups()).acquire_owned();
    match timeout(shared.config().ready_within, turn).await {
        Ok(turn) => turn.map(Some).map_err(|_| Error::Ended),
        Err(_) => Err(Error::NotReady { prefix: Arc::clone(shared.collection().prefix()) }),
    }
}

#[async_trait]
impl Watch for CatchUp {
    async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match &mut self.stage {
                Stage::Joined(watch) => return watch.next().await,
                Stage::Waiting => self.follow().await?,
                Stage::Following { changes, .. } => {
                    let update = changes.next().await?;
                    self.take(update)?;
                    // At once, so that the turn is free for others however slowly this is read.
                    if let Some(watch) = self.shared.join(self.position, &self.options) {
                        self.stage = Stage::Joined(Box::new(watch));
                    }
                }
            }
        }
    }
}
