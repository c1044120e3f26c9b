//! Snapshots as openraft sees them: the state itself, flushed.
//!
//! Building one is an atomic flush: the durable state then covers the snapshot's log id, and the log may be purged behind
//! it. A file is made only when a follower needs one, streamed straight from an engine snapshot taken at that moment, and
//! carries its own metadata, which may be newer than what openraft was told. Installing one swaps a generation that was
//! filled and verified before (`state_dir`).

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use openraft::RaftSnapshotBuilder;

use super::state_dir::{Generation, StateDir};
use super::types::{SnapshotMeta, TypeConfig, log_id, term_of};
use super::wire;
use crate::apply::meta;
use crate::metrics::{Disk, Metrics};
use crate::rpc::Snapshots;
use crate::simulated;
use crate::snapshot_file::{self, AppliedId, Header};

type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Bytes written to a client's snapshot file at once.
const EXPORT_BUFFER_BYTES: usize = 1 << 20;

/// A snapshot's content.
pub(crate) enum SnapshotData {
    /// This member's own state.
    Here,
    /// A generation that was received and verified.
    Staged(Generation),
}

/// Writes this member's state as a snapshot file.
#[derive(Clone)]
pub struct Exporter {
    pub(crate) state: Arc<StateDir>,
    /// Where files for clients are made.
    pub(crate) folder: PathBuf,
    pub(crate) cluster: u64,
    pub(crate) member: u64,
    pub(crate) metrics: Metrics,
}

impl Exporter {
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Writes the state as of now. Blocks.
    ///
    /// # Errors
    /// Of the engine, or of `out`.
    pub(crate) fn export(&self, out: &mut impl Write) -> io::Result<()> {
        let engine = self.state.engine();
        let snapshot = engine.snapshot();
        let applied = meta::applied(&*snapshot).map_err(io::Error::other)?;
        let membership = meta::membership(&*snapshot).map_err(io::Error::other)?.unwrap_or_default();
        let header = Header {
            cluster: self.cluster,
            member: Some(self.member),
            applied: applied.map(|(term, index)| AppliedId { term, index }),
            revision: crate::mvcc::revision_of(&*snapshot).map_err(io::Error::other)?,
            membership,
        };
        snapshot_file::write(&*snapshot, &header, out).map_err(io::Error::other)?;
        Ok(())
    }
}

impl Snapshots for Exporter {
    fn create(&self) -> io::Result<File> {
        let mut file = tempfile::tempfile_in(&self.folder)?;
        let mut buffered = BufWriter::with_capacity(EXPORT_BUFFER_BYTES, &mut file);
        self.export(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        file.rewind()?;
        Ok(file)
    }
}

/// What a snapshot file's header means to openraft.
pub(crate) fn meta_of(header: &Header) -> Result<SnapshotMeta, wire::Error> {
    let last_log_id = header.applied.map(|id| log_id(id.term, id.index));
    Ok(SnapshotMeta { last_log_id, last_membership: wire::decode_stored_membership(header.membership.clone())? })
}

/// Builds a snapshot of `meta`: makes the state durable at least up to it.
pub(crate) struct Builder {
    pub(super) state: Arc<StateDir>,
    pub(super) meta: SnapshotMeta,
    pub(super) built: Arc<std::sync::Mutex<Option<SnapshotMeta>>>,
    pub(super) disk: Disk,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let engine = self.state.engine();
        let saving = self.disk.snap_save_total_duration_seconds.start_timer();
        let syncing = self.disk.snap_fsync_duration_seconds.start_timer();
        fail::fail_point!("raftBeforeSaveSnap");
        let flushed = simulated::blocking(move || engine.flush()).await;
        flushed.map_err(io::Error::other)?.map_err(io::Error::other)?;
        syncing.observe_duration();
        fail::fail_point!("raftAfterSaveSnap");
        let id = self.meta.last_log_id.as_ref();
        tracing::info!(target: "raft", term = id.map(term_of), index = id.map(|id| id.index()), "saved snapshot");
        *self.built.lock().expect("no holder panics") = Some(self.meta.clone());
        saving.observe_duration();
        Ok(Snapshot { meta: self.meta.clone(), snapshot: SnapshotData::Here })
    }
}

/// A snapshot being received: a file beside the state, until it is whole.
pub(crate) struct Staging {
    file: File,
    path: tempfile::TempPath,
}

impl Staging {
    /// A file in `folder`, removed when this is dropped.
    pub(crate) fn create(folder: &std::path::Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (file, path) = tempfile::Builder::new().prefix("incoming-").tempfile_in(folder)?.into_parts();
        Ok(Self { file, path })
    }

    /// Appends a piece.
    pub(crate) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        let mut file = self.file.try_clone()?;
        simulated::blocking(move || file.write_all(&piece)).await.map_err(io::Error::other)?
    }

    /// Verifies the whole file while it fills a generation of `state` from it.
    pub(crate) async fn fill(self, state: Arc<StateDir>) -> io::Result<(SnapshotMeta, Generation)> {
        let path = self.path;
        let filled = simulated::blocking(move || {
            let generation = state.stage().map_err(io::Error::other)?;
            let summary = snapshot_file::load(&path, &**generation.engine()).map_err(io::Error::other)?;
            let meta = meta_of(&summary.header).map_err(io::Error::other)?;
            Ok((meta, generation))
        });
        filled.await.map_err(io::Error::other)?
    }
}
