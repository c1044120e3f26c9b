//! Clients of etcd's API that record what they see: a file for each kind of traffic.
//!
//! Each worker is a task with its own numbers from the run's seed; it ends when the run says so. Values are unique in a run.

mod append;
mod compact;
mod election;
mod kube;
mod lease;
mod lock;
mod register;
mod session;
mod txn;
mod watch;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use fairlead_client::etcd::Error;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use session::{Seat, Session, Told};
pub(crate) use watch::Scribes;

use crate::model::random::Random;
use crate::record::Recorder;

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Puts, gets and deletes of a few keys.
    Register,
    /// Compare-and-swap and transactions over several keys.
    Txn,
    /// The same, with reads at old revisions in transactions, which a compaction may overtake (etcd#18667).
    OldTxn,
    /// Lists that transactions append to.
    Append,
    /// Leases granted, renewed, revoked and left to end, with keys on them.
    Lease,
    /// Locks that guard a fenced key.
    Lock,
    /// Elections that guard a fenced key.
    Election,
    /// Watches opened at revisions around the present one.
    Watch,
    /// Compactions, and reads and watches around them.
    Compact,
    /// What an API server sends for objects: create, update and delete by transaction, pages, watches from a list.
    Kube,
    /// Puts of keys that are written once: how durable an acknowledgement is.
    Unique,
}

/// Some workers of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// What they do.
    pub kind: Kind,
    /// How many.
    pub clients: u32,
    /// The pause of each after an operation, milliseconds: what bounds the rate.
    pub pause_ms: u64,
}

/// What a worker has.
pub(crate) struct Worker {
    pub(crate) session: Session,
    pub(crate) random: Random,
    pub(crate) pause: Duration,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) seats: Arc<Vec<Seat>>,
    /// Its place among all workers: what makes its keys and values its own.
    pub(crate) index: usize,
    /// The last revision that it was told of, where it cares.
    pub(crate) seen_revision: i64,
    values: u64,
}

impl Worker {
    /// A value that nobody else writes.
    pub(crate) fn value(&mut self) -> String {
        self.values += 1;
        format!("v{}.{}", self.index, self.values)
    }

    pub(crate) async fn rest(&self) {
        tokio::time::sleep(self.pause).await;
    }

    async fn work(mut self, kind: Kind) {
        match kind {
            Kind::Register => register::work(&mut self).await,
            Kind::Unique => register::unique(&mut self).await,
            Kind::Txn => txn::work(&mut self, false).await,
            Kind::OldTxn => txn::work(&mut self, true).await,
            Kind::Append => append::work(&mut self).await,
            Kind::Lease => lease::work(&mut self).await,
            Kind::Lock => lock::work(&mut self).await,
            Kind::Election => election::work(&mut self).await,
            Kind::Watch => watch::work(&mut self).await,
            Kind::Compact => compact::work(&mut self).await,
            Kind::Kube => kube::work(&mut self).await,
        }
    }
}

/// Running traffic. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Traffic {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Traffic {
    /// Starts the crowds. Of each, two in three are loyal to a member.
    ///
    /// # Errors
    /// When a member's URL cannot be used.
    pub(crate) fn start(
        crowds: &[Crowd],
        seed: u64,
        timeout: Duration,
        seats: &Arc<Vec<Seat>>,
        recorder: &Arc<Recorder>,
    ) -> Result<Traffic, Error> {
        let mut traffic = Traffic { stop: CancellationToken::new(), tasks: JoinSet::new() };
        let all = crowds.iter().flat_map(|crowd| (0..crowd.clients as usize).map(move |place| (crowd, place)));
        for (index, (crowd, place)) in all.enumerate() {
            let worker = Worker {
                session: Session::open(recorder, seats, place, place % 3 != 2, timeout)?,
                random: Random::new(seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                pause: Duration::from_millis(crowd.pause_ms),
                recorder: Arc::clone(recorder),
                seats: Arc::clone(seats),
                index,
                seen_revision: 0,
                values: 0,
            };
            let (stop, kind) = (traffic.stop.clone(), crowd.kind);
            traffic.tasks.spawn(async move {
                // `None`: the traffic was stopped, which is how every worker ends.
                stop.run_until_cancelled(worker.work(kind)).await.unwrap_or_default();
            });
        }
        Ok(traffic)
    }

    /// Stops; an operation that was under way stays open in the history.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
