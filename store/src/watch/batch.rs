//! Events on their way to watchers: matched once for all watchers of a range, encoded once for all watchers.
//!
//! A [`Cell`] is one committed event, shared by every batch that has it. Its form with `prev_kv` is made on first demand,
//! once, by whoever sends it first; apply never waits for that read.

use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_proto::encoded;
use tokio::sync::OnceCell;

use super::event::{Event, Kind, RevisionEvents};
use super::source::{Source, SourceError};
use crate::simulated;

/// One committed event.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) event: Event,
    with_previous: OnceLock<Result<Bytes, SourceError>>,
}

impl Cell {
    /// The encoded event with `prev_kv`, or without where there was no value before or it is compacted away. May block.
    pub(super) fn with_previous(&self, source: &dyn Source) -> Result<Bytes, SourceError> {
        self.with_previous.get_or_init(|| splice_previous(&self.event, source)).clone()
    }
}

fn splice_previous(event: &Event, source: &dyn Source) -> Result<Bytes, SourceError> {
    /// Field 3, length-delimited: `mvccpb.Event.prev_kv`.
    const PREV_KV: u8 = 3 << 3 | 2;
    let created = matches!(event.kind, Kind::Put { created: true });
    let Some(previous) = event.previous.filter(|_| !created) else { return Ok(event.encoded.clone()) };
    let Some(kv) = source.previous(&event.key, previous)? else { return Ok(event.encoded.clone()) };
    let mut whole = BytesMut::with_capacity(event.encoded.len() + kv.len() + 11);
    whole.put_slice(&event.encoded);
    whole.put_u8(PREV_KV);
    prost::encoding::encode_varint(kv.len() as u64, &mut whole);
    whole.put_slice(&kv);
    Ok(whole.freeze())
}

/// A revision's events, shared.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) revision: i64,
    pub(super) cells: Arc<[Arc<Cell>]>,
    pub(super) bytes: usize,
}

impl From<RevisionEvents> for Recorded {
    fn from(from: RevisionEvents) -> Self {
        let bytes = from.events.iter().map(|event| event.encoded.len()).sum();
        let cell = |event| Arc::new(Cell { event, with_previous: OnceLock::new() });
        Recorded { revision: from.revision, cells: from.events.into_iter().map(cell).collect(), bytes }
    }
}

/// Events of whole revisions that one range and filter let through, in order. Never empty once built.
#[derive(Debug, Default)]
pub(super) struct Batch {
    cells: Vec<(i64, Arc<Cell>)>,
    /// Bytes of the encoded events, without `prev_kv`.
    pub(super) bytes: usize,
    /// Set once every cell has its form with `prev_kv`.
    previous_read: OnceCell<()>,
}

impl Batch {
    /// Adds the next event.
    pub(super) fn push(&mut self, revision: i64, cell: &Arc<Cell>) {
        debug_assert!(self.cells.last().is_none_or(|(last, _)| *last <= revision), "in revision order");
        self.bytes += cell.event.encoded.len();
        self.cells.push((revision, Arc::clone(cell)));
    }

    /// Where the events from `revision` on begin; `None` where there are none.
    pub(super) fn position(&self, revision: i64) -> Option<usize> {
        let position = self.cells.partition_point(|(own, _)| *own < revision);
        (position < self.cells.len()).then_some(position)
    }

    /// Whether it has no event.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Makes the form with `prev_kv` of every event. Blocks.
    pub(super) fn read_previous(&self, source: &dyn Source) -> Result<(), SourceError> {
        self.cells.iter().try_for_each(|(_, cell)| cell.with_previous(source).map(drop))
    }

    fn encoded(&self, from: usize) -> Vec<encoded::Event> {
        self.cells[from..].iter().map(|(_, cell)| encoded::Event(cell.event.encoded.clone())).collect()
    }

    /// With `prev_kv`, read off the runtime unless it has been read already.
    async fn encoded_with_previous(
        self: &Arc<Self>,
        from: usize,
        source: &Arc<dyn Source>,
    ) -> Result<Vec<encoded::Event>, SourceError> {
        let read = || async {
            if self.cells.iter().all(|(_, cell)| cell.with_previous.get().is_some()) {
                return Ok(());
            }
            let (batch, source) = (Arc::clone(self), Arc::clone(source));
            let read = simulated::blocking(move || batch.read_previous(&*source)).await;
            read.unwrap_or_else(|error| Err(SourceError::Failed(format!("reading previous values: {error}"))))
        };
        self.previous_read.get_or_try_init(read).await?;
        let whole = |(_, cell): &(i64, Arc<Cell>)| cell.with_previous(&**source).map(encoded::Event);
        self.cells[from..].iter().map(whole).collect()
    }
}

/// What identifies a watcher in this process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WatcherId(pub(super) u64);

/// A batch for one watcher.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(super) watch_id: i64,
    pub(super) revision: i64,
    pub(super) batch: Arc<Batch>,
    pub(super) from: usize,
    pub(super) previous: bool,
    pub(super) fragment: bool,
}

impl Delivery {
    /// The watcher's id on its stream.
    #[must_use]
    pub fn watch_id(&self) -> i64 {
        self.watch_id
    }

    /// Every matching event up to this revision is in this delivery or in an earlier one.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Whether the client agreed to have it cut into several responses.
    #[must_use]
    pub fn fragment(&self) -> bool {
        self.fragment
    }

    /// Its events in wire form, with `prev_kv` where the watcher wants it. Reads off the runtime where it must.
    ///
    /// # Errors
    /// [`SourceError::Failed`].
    pub async fn events(&self, source: &Arc<dyn Source>) -> Result<Vec<encoded::Event>, SourceError> {
        if self.previous {
            self.batch.encoded_with_previous(self.from, source).await
        } else {
            Ok(self.batch.encoded(self.from))
        }
    }
}

/// What waits for a stream.
#[derive(Clone, Debug)]
pub enum Output {
    /// Events of one watcher.
    Events(Delivery),
    /// Everything up to `revision` that concerns the watcher (or, with id -1, every watcher of the stream) was sent before.
    Progress {
        /// -1 where the client asked for the whole stream.
        watch_id: i64,
        /// That revision.
        revision: i64,
    },
    /// The watcher has ended: what it should get next has been compacted away.
    Compacted {
        /// The watcher's id on its stream.
        watch_id: i64,
        /// The compact revision.
        compact_revision: i64,
    },
}

/// Whose an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// A watcher's.
    Watcher(WatcherId),
    /// That of all watchers of the stream, which had made `creations` until then.
    Stream { creations: u64 },
}

/// An output and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Addressed {
    pub(super) to: To,
    pub(super) output: Output,
}

impl Addressed {
    /// What it counts against a stream's bound.
    pub(super) fn bytes(&self) -> usize {
        match &self.output {
            Output::Events(delivery) => delivery.batch.bytes,
            Output::Progress { .. } | Output::Compacted { .. } => 0,
        }
    }
}
