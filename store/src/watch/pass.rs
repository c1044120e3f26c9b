//! One read of history for many watchers that catch up.
//!
//! Planned under the hub's lock, read without it on a thread that may block, and handed back under the lock. Watchers of
//! the same range and filters share a batch.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::{Batch, Recorded, WatcherId};
use super::config::Config;
use super::range::{Filters, KeyRange};
use super::source::{Source, SourceError};
use super::watcher::Spec;

/// What to read, and for whom.
#[derive(Debug)]
pub(super) struct Pass {
    from: i64,
    revisions_max: usize,
    bytes_max: usize,
    wants: HashMap<(KeyRange, Filters), Want>,
}

#[derive(Debug, Default)]
struct Want {
    watchers: Vec<(WatcherId, i64)>,
    previous: bool,
    batch: Batch,
}

/// What was read.
#[derive(Debug)]
pub(super) enum Read {
    /// Every event from the pass's start up to `through`.
    Events {
        through: i64,
        /// Watchers that have got further.
        found: Vec<Found>,
    },
    /// Its start has been compacted away.
    Compacted { compact_revision: i64 },
}

/// What was read for one watcher.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: WatcherId,
    /// What it needed next when the pass was planned.
    pub(super) next: i64,
    /// `None`: nothing of it concerns the watcher.
    pub(super) batch: Option<Arc<Batch>>,
}

impl Pass {
    /// A read from `from` on.
    pub(super) fn new(from: i64, config: &Config) -> Pass {
        let (revisions_max, bytes_max) = (config.catchup_revisions_max, config.batch_bytes_max);
        Pass { from, revisions_max, bytes_max, wants: HashMap::new() }
    }

    /// Includes a watcher whose next revision, `next`, is not below the pass's start.
    pub(super) fn add(&mut self, id: WatcherId, next: i64, spec: &Spec) {
        let want = self.wants.entry((spec.range.clone(), spec.filters)).or_default();
        want.watchers.push((id, next));
        want.previous |= spec.previous;
    }

    /// Reads. Blocks.
    pub(super) fn read(mut self, source: &dyn Source) -> Result<Read, SourceError> {
        fail::fail_point!("beforeSyncWatchers");
        // Taken first: whatever is committed later is not claimed to have been read.
        let committed = source.revision();
        let revisions = match source.events(self.from, self.revisions_max, self.bytes_max) {
            Ok(revisions) => revisions,
            Err(SourceError::Compacted) => {
                // Above the start, whatever the order in which the source publishes the two.
                let compact_revision = source.compact_revision().max(self.from + 1);
                return Ok(Read::Compacted { compact_revision });
            }
            Err(error) => return Err(error),
        };
        let through = revisions.last().map_or(committed, |last| last.revision);
        for recorded in revisions.into_iter().map(Recorded::from) {
            for ((range, filters), want) in &mut self.wants {
                for cell in recorded.cells.iter().filter(|c| range.has(&c.event.key) && filters.pass(&c.event)) {
                    want.batch.push(recorded.revision, cell);
                }
            }
        }
        let mut found = Vec::new();
        for want in self.wants.into_values() {
            if want.previous {
                want.batch.read_previous(source)?;
            }
            let batch = Some(Arc::new(want.batch)).filter(|batch| !batch.is_empty());
            let further = want.watchers.into_iter().filter(|(_, next)| *next <= through);
            found.extend(further.map(|(id, next)| Found { id, next, batch: batch.clone() }));
        }
        // By id, not by hash, so that a seed replays.
        found.sort_unstable_by_key(|found| found.id);
        Ok(Read::Events { through, found })
    }
}
