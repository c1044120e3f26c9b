//! One gRPC stream's watchers, and what comes for them. Owned by one task.
//!
//! Promises: a watcher's id is free again only once the client has been told that it ended; nothing comes out for a
//! watcher after [`Stream::cancel`]. Dropping the stream ends its watchers.

use std::collections::HashMap;

use super::batch::{Addressed, Delivery, Output, To, WatcherId};
use super::hub::Hub;
use super::pipe::Outlet;
use super::watcher::Spec;

/// A stream.
pub struct Stream {
    hub: Hub,
    id: u64,
    outlet: Outlet,
    /// Watchers of which the client does not know that they ended.
    watchers: HashMap<i64, WatcherId>,
    next_watch_id: i64,
    /// Watchers made so far.
    creations: u64,
}

/// A watcher made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its id on the stream.
    pub watch_id: i64,
    /// The store's revision then.
    pub revision: i64,
}

/// Why no watcher was made. The texts are etcd's (`server/storage/mvcc/watcher.go`), which clients match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The chosen id is taken.
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    /// A negative start.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    NegativeStart,
}

impl Stream {
    pub(super) fn new(hub: Hub, id: u64, outlet: Outlet) -> Stream {
        Stream { hub, id, outlet, watchers: HashMap::new(), next_watch_id: 0, creations: 0 }
    }

    /// Makes a watcher. `watch_id` 0 takes the next free one, from 0 up. The client must be told before it is given
    /// anything that [`Stream::next`] returns afterwards.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn create(&mut self, watch_id: i64, spec: Spec) -> Result<Created, Refused> {
        if spec.start_revision < 0 {
            return Err(Refused::NegativeStart);
        }
        let watch_id = match watch_id {
            0 => {
                while self.watchers.contains_key(&self.next_watch_id) {
                    self.next_watch_id += 1;
                }
                self.next_watch_id += 1;
                self.next_watch_id - 1
            }
            chosen if self.watchers.contains_key(&chosen) => return Err(Refused::DuplicateId),
            chosen => chosen,
        };
        let committed = self.hub.source().revision();
        let (id, revision) = self.hub.with_groups(|groups| groups.create(self.id, watch_id, spec, committed));
        self.watchers.insert(watch_id, id);
        self.creations += 1;
        Ok(Created { watch_id, revision })
    }

    /// Ends a watcher. `false`: there is none of that id.
    pub fn cancel(&mut self, watch_id: i64) -> bool {
        let Some(id) = self.watchers.remove(&watch_id) else { return false };
        self.hub.with_groups(|groups| groups.cancel(id));
        true
    }

    /// Asks for a progress notification of the whole stream. None comes where a watcher is behind or there is none.
    pub fn request_progress(&self) {
        self.hub.groups().request_progress(self.id, self.creations);
    }

    /// Queues a progress notification for each watcher that wants them and had nothing to report since the last tick.
    pub fn tick(&self) {
        self.hub.groups().tick(self.id);
    }

    /// The store's revision as far as it was published or committed.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.hub.source().revision()
    }

    /// What comes next.
    ///
    /// # Cancel safety
    /// Cancelling loses nothing.
    pub async fn next(&mut self) -> Output {
        loop {
            let (addressed, resume) =
                self.outlet.take().await.expect("the hub drops its end only when this is dropped");
            if resume {
                self.hub.with_groups(|groups| groups.resume(self.id));
            }
            if let Some(output) = self.current(addressed) {
                return output;
            }
        }
    }

    /// What is there already.
    #[cfg(test)]
    pub(super) fn try_next(&mut self) -> Option<Output> {
        while let Some((addressed, resume)) = self.outlet.try_take() {
            if resume {
                self.hub.with_groups(|groups| groups.resume(self.id));
            }
            if let Some(output) = self.current(addressed) {
                return Some(output);
            }
        }
        None
    }

    /// The output, unless something has overtaken it: its watcher's cancellation or, for a progress notification of the
    /// whole stream, the creation of a watcher for which it would not hold; that one is asked for again.
    fn current(&mut self, Addressed { to, output }: Addressed) -> Option<Output> {
        match (to, &output) {
            (To::Stream { creations }, _) if creations != self.creations => {
                self.request_progress();
                None
            }
            (To::Stream { .. }, _) => Some(output),
            (To::Watcher(id), Output::Compacted { watch_id, .. }) => {
                let told = self.watchers.get(watch_id) == Some(&id);
                told.then(|| self.watchers.remove(watch_id)).map(|_| output)
            }
            (To::Watcher(id), Output::Events(Delivery { watch_id, .. }) | Output::Progress { watch_id, .. }) => {
                (self.watchers.get(watch_id) == Some(&id)).then_some(output)
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.hub.with_groups(|groups| groups.close(self.id));
    }
}
