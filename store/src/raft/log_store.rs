//! openraft's log storage on `store::log`.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use futures::{Stream, StreamExt, stream};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};

use super::types::{Entry, LogId, TypeConfig, Vote, log_id, term_of};
use super::wire;
use crate::log::{self, Log};
use crate::simulated;

/// Bytes of entries read for one append to a peer, and for one step of apply.
const READ_BYTES_MAX: usize = 1 << 20;

/// The log, as openraft reads and writes it.
#[derive(Clone)]
pub(crate) struct LogStore {
    pub(crate) log: Log,
}

fn to_log(id: &LogId) -> log::LogId {
    log::LogId { term: term_of(id), index: id.index() }
}

pub(crate) fn from_log(id: log::LogId) -> LogId {
    log_id(id.term, id.index)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

impl LogStore {
    /// Entries of [from, to) up to [`READ_BYTES_MAX`], at least one. From memory, or else on a blocking thread.
    async fn read(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let read = match self.log.read_cached(from, to, READ_BYTES_MAX) {
            Some(entries) => entries,
            None => {
                let log = self.log.clone();
                let read = simulated::blocking(move || log.read(from, to, READ_BYTES_MAX));
                read.await.map_err(io::Error::other)?.map_err(failed)?
            }
        };
        let entry = |entry: log::Entry| wire::entry_from_body(from_log(entry.id), entry.payload).map_err(failed);
        read.into_iter().map(entry).collect()
    }

    /// The half-open range that `range` means in this log.
    fn bounds(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(from) => from + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(to) => to + 1,
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        let end = self.log.state().last.map_or(0, |last| last.index + 1);
        (from, to.min(end))
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (mut from, to) = self.bounds(&range);
        let mut all = Vec::new();
        while from < to {
            all.extend(self.read(from, to).await?);
            from = all.last().map_or(to, |last: &Entry| last.log_id.index() + 1);
        }
        Ok(all)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        match self.read(start, end).await {
            // openraft purges nothing that a live stream still sends: this one has been given up, as by a leader that slept
            // while another was elected, and an error of it would end the member. Nothing to send is a heartbeat of that
            // term, on whose answer the stream ends.
            Err(error) if self.log.state().purged.is_some_and(|purged| purged.index >= start) => {
                tracing::warn!(target: "raft", start, %error, "a stream that was given up asked for purged entries");
                Ok(Vec::new())
            }
            read => read,
        }
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = self.bounds(&range);
        let store = self.clone();
        let steps = stream::unfold(Some(from), move |next| {
            let store = store.clone();
            async move {
                let from = next.filter(|from| *from < to)?;
                match store.read(from, to).await {
                    Ok(entries) => {
                        let next = entries.last().map(|last| last.log_id.index() + 1);
                        Some((entries.into_iter().map(Ok).collect::<Vec<_>>(), next))
                    }
                    Err(error) => Some((vec![Err(error)], None)),
                }
            }
        });
        Box::pin(steps.flat_map(stream::iter))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.log.state().vote.map(|vote| wire::decode_vote(vote).map_err(failed)).transpose()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.log.state();
        let last_purged_log_id = state.purged.map(from_log);
        Ok(LogState { last_purged_log_id, last_log_id: state.last.or(state.purged).map(from_log) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.log.save_vote(wire::encode_vote(vote)).await.map_err(failed)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(id) = committed {
            self.log.save_committed(to_log(&id));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.state().committed.map(from_log))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entry = |entry: Entry| log::Entry { id: to_log(&entry.log_id), payload: wire::entry_body(&entry.payload) };
        let entries = entries.into_iter().map(entry).collect();
        let done = move |result: Result<(), std::sync::Arc<log::Error>>| {
            callback.io_completed(result.map_err(|error| io::Error::other(error.to_string())));
        };
        // Bounds what is not durable yet; only a disk that has stalled makes this wait.
        self.log.room().await;
        self.log.append(entries, Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.log.truncate_after(last_log_id.as_ref().map(to_log)).await.map_err(failed)
    }

    async fn purge(&mut self, id: LogId) -> Result<(), io::Error> {
        self.log.purge(to_log(&id)).await.map_err(failed)
    }
}
