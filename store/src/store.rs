//! The store: one member, put together. Config → [`Store::build`] → [`Store::run`].
//!
//! ```text
//! data_dir ─▶ log ─┐
//!        engine ───┴▶ raft ─▶ apply ─▶ hub           build: nothing is answered yet
//! peer listener ─▶ raft runs ─▶ client listener ─▶ published ─▶ "ready to serve client requests"
//! stop: leadership handed over ─▶ streams end ─▶ raft ─▶ log
//! ```
//! Promises: whatever fails in `build` says what, why and what to try, and has lost nothing. Does not: read flags, set up
//! logging, listen for signals.

use std::sync::Arc;
use std::time::Duration;

use fairlead_proto::served::etcdserverpb as pb;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply::{Command, Tables};
use crate::config::{ClusterState, Config};
use crate::data_dir::{self, DataDir};
use crate::disk::{self, RESERVE_BYTES_DEFAULT, Reserve};
use crate::engine::rocks::{self, RocksEngine};
use crate::engine::{self, Engine};
use crate::lease::{self, Lessor};
use crate::log::{self, Log};
use crate::metrics::Metrics;
use crate::mvcc::{self, Mvcc};
use crate::net;
use crate::raft::{self, Consensus, Handle};
use crate::rpc;
use crate::watch::{self, Hub};
use crate::{auto_compaction, http};

/// How long open calls may take to end once the member stops.
const DRAIN_MAX: Duration = Duration::from_millis(300);

/// Why a member could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory is not usable.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The raft log is not usable.
    #[error("the raft log cannot be opened")]
    Log(#[from] log::Error),
    /// Raft could not start or had to end.
    #[error(transparent)]
    Raft(#[from] raft::Error),
    /// The state is not usable.
    #[error(transparent)]
    Mvcc(#[from] mvcc::Error),
    /// Apply's tables are not usable.
    #[error(transparent)]
    Apply(#[from] crate::apply::Error),
    /// An address or a certificate is not usable.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// A task of the member ended.
    #[error("{what} failed: {reason}")]
    Task {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Metrics could not be registered.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}
