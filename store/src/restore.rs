//! A new member's data directory from a snapshot file: the state of the old cluster under the membership of a new one.
//!
//! Every member of the new cluster is restored from the same file with the same `--initial-cluster`, and so starts with
//! the same state, at the same log position. Promises: keys, revisions, leases and compaction are as in the snapshot; old
//! members, their alarms and the old raft position are gone; an existing directory is never touched, and one that could
//! not be filled is removed. Source: etcd `etcdutl/snapshot/v3_snapshot.go`.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::apply::meta;
use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::engine::{self, Batch, Family};
use crate::log::{self, Log, LogId, RealDisk};
use crate::raft::{self, OpenEngine};
use crate::snapshot_file::{self, Summary};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory exists.
    #[error("data directory {0} exists: restoring never changes one; give a new --data-dir")]
    Exists(String),
    /// This member is not in the new cluster.
    #[error("--initial-cluster does not name member {0:?}; add it, or give the right --name")]
    NotNamed(String),
    /// The directory cannot be made.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The snapshot is not whole.
    #[error(transparent)]
    Snapshot(#[from] snapshot_file::Error),
    /// The state cannot be written.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The state's folder cannot be made.
    #[error(transparent)]
    Raft(#[from] raft::Error),
    /// The log cannot be made.
    #[error("the raft log cannot be made")]
    Log(#[from] log::Error),
    /// No runtime could be started for writing the log.
    #[error("cannot start a runtime")]
    Runtime(#[source] std::io::Error),
}

/// Fills the data directory that `config` names (`data_dir`, `name`, `initial_cluster`, token) from the file at `snapshot`.
/// Blocks.
///
/// # Errors
/// [`Error`]; no directory is left behind.
pub fn restore(snapshot: &Path, config: &Config, engine: OpenEngine) -> Result<Summary, Error> {
    if config.data_dir.exists() {
        return Err(Error::Exists(config.data_dir.display().to_string()));
    }
    if config.initial_cluster.peer_urls(&config.name).is_none() {
        return Err(Error::NotNamed(config.name.clone()));
    }
    let restored = fill(snapshot, config, engine);
    if restored.is_err()
        && let Err(error) = std::fs::remove_dir_all(&config.data_dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(target: "restore", path = %config.data_dir.display(), %error, "cannot remove a partial directory");
    }
    restored
}

/// An empty log that begins behind the restored state.
fn found_log(folder: &Path, index: u64) -> Result<(), Error> {
    let opened = RealDisk::new(folder, true);
    let disk = opened.map_err(|source| log::Error::Io { operation: "probe", path: folder.to_owned(), source })?;
    let log = Log::open(folder, Arc::new(disk), log::Config::default(), log::Metrics::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Error::Runtime)?;
    runtime.block_on(async {
        log.reset(LogId { term: 0, index }).await?;
        log.close().await;
        Ok(())
    })
}

fn fill(snapshot: &Path, config: &Config, engine: OpenEngine) -> Result<Summary, Error> {
    // Before anything is made: a damaged file must leave nothing.
    snapshot_file::verify(snapshot)?;
    let dir = DataDir::open(config, rand::random())?;
    let engine = raft::open_state(&dir.state, engine)?;
    let summary = snapshot_file::load(snapshot, &*engine)?;
    let members = data_dir::initial_ids(config).into_iter().map(|(_, id, urls)| (id, urls)).collect();
    let index = summary.header.applied.map_or(0, |applied| applied.index);
    let mut batch = Batch::default();
    batch.delete_range(Family::Members, Bytes::new(), Bytes::from_static(&[0xff; 9]));
    batch.delete_range(Family::Alarms, Bytes::new(), Bytes::from_static(&[0xff; 13]));
    let (from, to) = meta::incarnation_range();
    batch.delete_range(Family::Meta, from, to);
    // Term 0 is below every term that the new cluster will elect.
    batch.put(Family::Meta, Bytes::from_static(meta::APPLIED), meta::encode_applied(0, index));
    batch.put(Family::Meta, Bytes::from_static(meta::MEMBERSHIP), raft::restored_membership(index, members));
    engine.write(batch)?;
    engine.flush()?;
    found_log(&dir.log, index)?;
    Ok(summary)
}
