//! The newest revisions, kept for the last step from catching up to live delivery.
//!
//! Under a fast writer a watcher that only ever reads the engine arrives where the writer was, never where it is. The last
//! few revisions are given from here, under the lock, and the watcher is synced. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Batch, Recorded};
use super::config::Config;
use super::watcher::Watcher;

/// Contiguous revisions up to the published one; may be empty.
#[derive(Debug, Default)]
pub(super) struct Recent {
    revisions: VecDeque<Recorded>,
    bytes: usize,
}

/// How giving a watcher what it misses went.
pub(super) enum HandOver {
    /// It has everything up to the published revision.
    Done,
    /// Its stream is full, and marked slow.
    Full,
    /// What it needs is no longer here.
    TooFar,
}

impl Recent {
    /// Adds what was just published, and forgets what exceeds the bounds.
    pub(super) fn remember(&mut self, chunk: &[Recorded], config: &Config) {
        for recorded in chunk {
            self.bytes += recorded.bytes;
            self.revisions.push_back(recorded.clone());
        }
        while self.revisions.len() > config.handover_revisions_max || self.bytes > config.handover_bytes_max {
            let Some(oldest) = self.revisions.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
    }

    /// Gives `watcher` everything from its next revision on.
    pub(super) fn hand_over(&self, watcher: &mut Watcher) -> HandOver {
        let missing = self.revisions.partition_point(|recorded| recorded.revision < watcher.next);
        if self.revisions.get(missing).is_none_or(|first| first.revision != watcher.next) {
            return HandOver::TooFar;
        }
        let mut batch = Batch::default();
        let mut through = watcher.next;
        for recorded in self.revisions.range(missing..) {
            through = recorded.revision;
            for cell in recorded.cells.iter() {
                if watcher.spec.range.has(&cell.event.key) && watcher.spec.filters.pass(&cell.event) {
                    batch.push(recorded.revision, cell);
                }
            }
        }
        if !batch.is_empty() && watcher.deliver(&Arc::new(batch), through).is_err() {
            return HandOver::Full;
        }
        watcher.next = through + 1;
        HandOver::Done
    }

    #[cfg(test)]
    pub(super) fn last(&self) -> Option<i64> {
        self.revisions.back().map(|recorded| recorded.revision)
    }
}
