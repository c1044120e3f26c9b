//! Compaction: removing rows that no readable revision needs, in steps, beside apply.
//!
//! Apply has recorded compact revision C when the store stood at revision N (the ceiling). With B, the base revision, the one
//! up to which all is sorted out:
//!
//! ```text
//!      B             C             N            now
//! ─────┼─────────────┼─────────────┼─────────────┤
//!      │ clean up    │ copy        │ apply copies by itself
//! ```
//! - A change in (B, C] has replaced its previous version for good: that goes from Base, if it was there. A tombstone below C
//!   takes its grave with it.
//! - A change in (C, N] whose previous version lies in (B, C] leaves that version needed at C: it is copied to Base. Changes
//!   after N see C and copy for themselves.
//! - Then B := C. That made durable by a flush, and readers that began before it gone, History below B is dropped: whole
//!   files (which snapshots would see vanish), then the rest.
//!
//! Rows exactly at B stay, tombstones included, because a watch may begin there (etcd issues 18089 and 19179).
//! Promises: any prefix of this, cut by a crash or not, leaves every revision from C on readable, and is taken up where it
//! stopped; no answer depends on how far it is. Source: etcd `server/storage/mvcc/kvstore_compaction.go`.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::count::build_fences;
use super::error::Error;
use super::live::stop_at_error;
use super::record::{KeyValue, kv_offset};
use super::revision::{Compaction, NEVER_COMPACTED, Revision};
use super::store::{Mvcc, Published, Shared};
use super::view::View;
use crate::engine::schema::{self, HistoryHeader};
use crate::engine::{self, Batch, Direction, Engine, Family, Snapshot};
use crate::planted::{self, Bug};
use crate::simulated;

/// How long a full device is left alone before the next try.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// How far removal has come: the record `META_COMPACTION`. Each member's own, but it travels with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Old versions up to here are in Base, and History above here is whole.
    pub base: i64,
    /// History below here is gone.
    pub removed: i64,
    /// The compaction under way.
    pub running: Option<Compaction>,
    /// Its next row of History.
    pub next: Revision,
}

impl Progress {
    const NONE: Progress =
        Progress { base: NEVER_COMPACTED, removed: NEVER_COMPACTED, running: None, next: Revision { main: 0, sub: 0 } };

    pub(crate) fn load(get: impl FnOnce(&[u8]) -> Result<Option<Bytes>, engine::Error>) -> Result<Progress, Error> {
        let Some(record) = get(schema::META_COMPACTION)? else { return Ok(Progress::NONE) };
        Progress::decode(record).ok_or_else(|| Error::undecodable(Family::Meta, schema::META_COMPACTION))
    }

    fn save(&self, batch: &mut Batch) {
        let mut out = BytesMut::with_capacity(60);
        out.put_i64(self.base);
        out.put_i64(self.removed);
        out.put_slice(&schema::revision(self.next.main, self.next.sub));
        if let Some(running) = &self.running {
            running.encode(&mut out);
        }
        batch.put(Family::Meta, schema::META_COMPACTION, out);
    }

    fn decode(mut from: Bytes) -> Option<Progress> {
        let base = from.try_get_i64().ok()?;
        let removed = from.try_get_i64().ok()?;
        if from.len() < schema::REVISION_BYTES {
            return None;
        }
        let next = schema::read_revision(&from.split_to(schema::REVISION_BYTES))?.into();
        let running = if from.is_empty() { None } else { Some(Compaction::decode(&mut from)?) };
        (from.is_empty() && removed <= base).then_some(Progress { base, removed, running, next })
    }
}

/// How far a member has come with removing what has been compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The newest recorded compact revision; -1 where there has been none.
    pub scheduled: i64,
    /// Rows below it are gone.
    pub removed: i64,
    /// Between the first and the last step of sorting out what may go.
    pub is_under_way: bool,
}

/// How far removal has come in `snapshot`.
///
/// # Errors
/// Where the state cannot be read.
pub fn removal_of(snapshot: &dyn Snapshot) -> Result<Removal, Error> {
    let view = View::at(snapshot);
    view.sound()?;
    let scheduled = view.compaction().revision;
    let progress = Progress::load(|key| snapshot.get(Family::Meta, key))?;
    Ok(Removal { scheduled, removed: progress.removed, is_under_way: progress.running.is_some() })
}

/// Readers of one span of time: dropped, and so heard of, when the last of them has ended.
pub(crate) struct Generation {
    ended: Arc<Notify>,
}

impl Generation {
    pub(crate) fn new() -> Arc<Generation> {
        Arc::new(Generation { ended: Arc::default() })
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.ended.notify_one();
    }
}

/// What a step has come to.
pub(crate) enum Step {
    /// There is more to do.
    More,
    /// Rows may go once the readers have ended.
    Drain(Draining),
    /// Nothing to do until the next compaction.
    Idle,
}

/// Rows that may be dropped when readers that began before have ended.
pub(crate) struct Draining {
    engine: Arc<dyn Engine>,
    readers: Weak<Generation>,
    ended: Arc<Notify>,
}

impl Draining {
    /// Whether a reader is left that may need the rows.
    pub(crate) fn has_readers(&self) -> bool {
        self.readers.strong_count() > 0
    }
}

/// The background service: removes compacted rows, and builds fences where they are missed. One a store.
pub struct Compactor {
    shared: Arc<Shared>,
}

impl Mvcc {
    /// The service that removes compacted rows.
    #[must_use]
    pub fn compactor(&self) -> Compactor {
        Compactor { shared: self.shared.clone() }
    }

    /// Waits until rows that `revision` compacted are removed on this member, as `physical` asks for.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn physical_done(&self, revision: i64) {
        let mut removed = self.shared.removed.subscribe();
        // The sender lives in `self`, so the only end of this wait is the revision.
        if removed.wait_for(|removed| *removed >= revision).await.is_err() {
            tracing::debug!(revision, "mvcc: the store closed before a compaction was done");
        }
    }
}

impl Compactor {
    /// Removes what compactions leave, and builds fences, until `shutdown`.
    ///
    /// # Errors
    /// What ends the process.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let metrics = self.shared.config.metrics.clone();
        let mut begun = None;
        loop {
            if self.shared.fences_wanted.swap(false, Ordering::AcqRel) && !self.blocking(build_fences).await? {
                self.shared.fences_wanted.store(true, Ordering::Release);
            }
            let step_begun = Instant::now();
            let pause = match self.blocking(step).await {
                Ok(Step::More) => {
                    begun.get_or_insert(step_begun);
                    metrics.compaction_step.observe(millis(step_begun));
                    self.shared.config.compact_step_pause
                }
                Ok(Step::Drain(draining)) => {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return Ok(()),
                        () = draining.ended.notified() => {}
                    }
                    match self.blocking(move |shared| remove(shared, &draining)).await {
                        Ok(()) => {
                            metrics.compaction.observe(millis(begun.take().unwrap_or(step_begun)));
                            metrics.compaction_last.set(unix_seconds());
                            Duration::ZERO
                        }
                        Err(Error::Engine(engine::Error::NoSpace { .. })) => NO_SPACE_PAUSE,
                        Err(error) => return Err(error),
                    }
                }
                Ok(Step::Idle) => {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return Ok(()),
                        () = self.shared.work_due.notified() => {}
                    }
                    Duration::ZERO
                }
                Err(Error::Engine(engine::Error::NoSpace { operation })) => {
                    tracing::warn!(operation, "mvcc: no space to compact, trying again");
                    NO_SPACE_PAUSE
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                // Not in place of an event: the pause leaves disk and core to apply, as etcd's does.
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        match simulated::blocking(move || work(&shared)).await {
            Ok(done) => done,
            Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
            Err(_) => Err(Error::Engine(engine::Error::Io {
                operation: "compaction",
                reason: "the runtime is shutting down".to_owned(),
            })),
        }
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Does the next piece of work, from what the engine says has been done.
pub(crate) fn step(shared: &Shared) -> Result<Step, Error> {
    let published = shared.published();
    let engine = &*published.engine;
    let snapshot = engine.snapshot();
    let view = View::at(&*snapshot);
    view.sound()?;
    let recorded = view.compaction();
    let mut progress = Progress::load(|key| snapshot.get(Family::Meta, key))?;
    let running = match progress.running {
        Some(running) => running,
        None if progress.removed < progress.base => {
            drop(snapshot);
            return begin_draining(shared, published).map(Step::Drain);
        }
        None if recorded.revision > progress.base => {
            progress.next = Revision { main: progress.base.max(0), sub: 0 };
            recorded
        }
        None => return Ok(Step::Idle),
    };
    let sorted = Sorted::up_to(&view, &progress, &running, shared.config.compact_step_rows_max)?;
    let mut batch = sorted.batch;
    let done = sorted.next.is_none();
    match sorted.next {
        Some(next) => progress = Progress { running: Some(running), next, ..progress },
        None => progress = Progress { base: running.revision, running: None, ..progress },
    }
    progress.save(&mut batch);
    fail::fail_point!("compactBeforeCommitBatch");
    if done {
        fail::fail_point!("compactBeforeSetFinishedCompact");
    }
    {
        // A grave is looked at and taken in one hold: apply may be digging it anew.
        let _gate = shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let held = Instant::now();
        let rows: Vec<Bytes> = sorted.graves.iter().map(|(row, _)| row.clone()).collect();
        for ((row, dug), now) in sorted.graves.iter().zip(engine.get_many(Family::Graves, &rows)?) {
            if now.is_some_and(|now| now[..] == schema::revision(dug.main, dug.sub)) {
                batch.delete(Family::Graves, row.clone());
            }
        }
        engine.write(batch)?;
        shared.config.metrics.compaction_hold.observe(millis(held));
    }
    shared.config.metrics.compaction_versions.inc_by(sorted.removed);
    fail::fail_point!("compactAfterCommitBatch");
    if done {
        fail::fail_point!("compactAfterSetFinishedCompact");
    }
    Ok(Step::More)
}

/// Some rows of History sorted out.
struct Sorted {
    batch: Batch,
    /// Graves that go unless apply has dug them anew: row, tombstone.
    graves: Vec<(Bytes, Revision)>,
    /// The first row that was not looked at; `None` where all were.
    next: Option<Revision>,
    /// Versions that this compaction takes away, as etcd counts them: each that another has replaced, and tombstones.
    removed: u64,
}

impl Sorted {
    fn up_to(view: &View<'_>, progress: &Progress, running: &Compaction, rows_max: usize) -> Result<Sorted, Error> {
        let mut sorted = Sorted { batch: Batch::default(), graves: Vec::new(), next: None, removed: 0 };
        let from = schema::revision(progress.next.main, progress.next.sub);
        let to = schema::revision(running.ceiling + 1, 0);
        let (mut result, mut rows) = (Ok(()), 0);
        view.snapshot().scan(Family::History, &from, Some(&to), Direction::Ascending, &mut |row, value| {
            let step = schema::read_revision(row).ok_or_else(|| Error::undecodable(Family::History, row));
            let step = step.and_then(|at| {
                rows += 1;
                if rows > rows_max {
                    sorted.next = Some(at.into());
                    return Ok(ControlFlow::Break(()));
                }
                sorted.look_at(view, progress, running, at.into(), value)?;
                Ok(ControlFlow::Continue(()))
            });
            stop_at_error(&mut result, step)
        })?;
        result.map(|()| sorted)
    }

    fn look_at(
        &mut self,
        view: &View<'_>,
        progress: &Progress,
        running: &Compaction,
        at: Revision,
        value: &[u8],
    ) -> Result<(), Error> {
        let row = schema::revision(at.main, at.sub);
        let damaged = || Error::undecodable(Family::History, &row);
        let (header, event) = HistoryHeader::decode(value).ok_or_else(damaged)?;
        let previous = header.previous.map(Revision::from);
        if at.main > running.revision {
            let needed = previous.filter(|p| progress.base < p.main && p.main <= running.revision);
            if let Some(needed) = needed
                && let Some(kv) = view.version(needed)?
            {
                self.batch.put(Family::Base, base_row(needed), kv);
            }
            return Ok(());
        }
        let replaces = at.main > progress.base && previous.is_some();
        let ends = header.delete && at.main < running.revision;
        self.removed += u64::from(replaces) + u64::from(ends);
        if let Some(stale) = previous.filter(|p| p.main <= running.prior) {
            self.batch.delete(Family::Base, base_row(stale));
        }
        if ends {
            let kv = kv_offset(event).and_then(|offset| KeyValue::read(&event[offset..])).ok_or_else(damaged)?;
            self.graves.push((schema::key(kv.key), at));
        }
        Ok(())
    }
}

fn base_row(revision: Revision) -> Bytes {
    Bytes::copy_from_slice(&schema::revision(revision.main, revision.sub))
}

/// Makes the base revision durable, and sets a term to the readers that may know an older one.
fn begin_draining(shared: &Shared, before: Arc<Published>) -> Result<Draining, Error> {
    before.engine.flush()?;
    let engine = before.engine.clone();
    let readers = Arc::downgrade(&before.generation);
    let ended = before.generation.ended.clone();
    drop(before);
    shared.update_published(|now| Published {
        engine: now.engine.clone(),
        generation: if Arc::ptr_eq(&now.engine, &engine) { Generation::new() } else { now.generation.clone() },
        fenced: now.fenced.clone(),
    });
    Ok(Draining { engine, readers, ended })
}

/// Drops History below the base revision.
pub(crate) fn remove(shared: &Shared, draining: &Draining) -> Result<(), Error> {
    assert!(!draining.has_readers(), "rows are dropped when nobody can read them");
    let engine = &*draining.engine;
    let mut progress = Progress::load(|key| engine.get(Family::Meta, key))?;
    let kept_from = progress.base.max(0) + i64::from(planted::is(Bug::CompactedTooFar));
    let (from, to) = (schema::revision(0, 0), schema::revision(kept_from, 0));
    engine.drop_files(Family::History, &from, &to)?;
    let mut batch = Batch::default();
    batch.delete_range(Family::History, Bytes::copy_from_slice(&from), Bytes::copy_from_slice(&to));
    progress.removed = progress.base;
    progress.save(&mut batch);
    engine.write(batch)?;
    engine.compact_soon(Family::History, &from, &to);
    if Arc::ptr_eq(&shared.published().engine, &draining.engine) {
        shared.removed.send_replace(progress.removed);
    }
    Ok(())
}

/// Does all there is to do; for tests and tools, where nobody reads beside it.
///
/// # Errors
/// What ends the process.
#[cfg(test)]
pub(crate) fn run_to_end(shared: &Shared) -> Result<(), Error> {
    loop {
        match step(shared)? {
            Step::More => {}
            Step::Drain(draining) => remove(shared, &draining)?,
            Step::Idle => return Ok(()),
        }
    }
}
