//! openraft's state machine: hands committed entries to apply, in groups, and answers their clients.

use std::io;
use std::sync::{Arc, Mutex};

use futures::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answers::Answers;
use super::snapshot::{Builder, SnapshotData};
use super::state_dir::StateDir;
use super::types::{LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig, log_id, term_of};
use super::wire;
use crate::apply::{Applier, meta};
use crate::metrics::Metrics;

type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Bytes of entries applied in one engine batch: bounds the batch's memory and the time between two answers.
const APPLY_GROUP_BYTES_MAX: usize = 1 << 20;

/// The applied state, as openraft sees it.
pub(crate) struct StateMachine {
    applier: Applier,
    state: Arc<StateDir>,
    answers: Arc<Answers>,
    /// The next index after the last applied one.
    applied: watch::Sender<u64>,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    built: Arc<Mutex<Option<SnapshotMeta>>>,
    metrics: Metrics,
}

impl StateMachine {
    /// The state as it stands in the engine.
    pub(crate) fn new(
        applier: Applier,
        state: Arc<StateDir>,
        answers: Arc<Answers>,
        metrics: Metrics,
    ) -> io::Result<(Self, watch::Receiver<u64>)> {
        let (last_applied, membership) = read_state(&state)?;
        let (applied, follow) = watch::channel(last_applied.map_or(0, |id| id.index() + 1));
        let built = last_applied.map(|id| SnapshotMeta { last_log_id: Some(id), last_membership: membership.clone() });
        let built = Arc::new(Mutex::new(built));
        let machine = Self { applier, state, answers, applied, last_applied, membership, built, metrics };
        Ok((machine, follow))
    }

    /// Applies a group in one batch, then answers.
    fn apply_group(&mut self, group: &mut Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let Some((last, _)) = group.last() else { return Ok(()) };
        let last = last.log_id;
        fail::fail_point!("beforeApplyGroup");
        let begun = Instant::now();
        let mut applying = self.applier.begin();
        let mut answers = Vec::with_capacity(group.len());
        for (entry, _) in group.iter() {
            match &entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(Payload(batch)) => {
                    let (term, index) = (term_of(&entry.log_id), entry.log_id.index());
                    let applied = applying.entry(term, index, batch.clone()).map_err(fatal)?;
                    self.answers.applying(&applied.0, begun);
                    answers.push(applied);
                }
                EntryPayload::Membership(membership) => {
                    fail::fail_point!("beforeApplyOneConfChange");
                    self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                    applying.membership(wire::encode_stored_membership(&self.membership));
                }
            }
        }
        applying.commit(term_of(&last), last.index()).map_err(fatal)?;
        self.last_applied = Some(last);
        self.applied.send_replace(last.index() + 1);
        self.metrics.server.proposals_applied_total.set(i64::try_from(last.index() + 1).unwrap_or(i64::MAX));
        for (id, answers) in answers {
            self.answers.complete(id, answers);
        }
        for responder in group.drain(..).filter_map(|(_, responder)| responder) {
            responder.send(());
        }
        Ok(())
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() }
    }
}

/// Applied id and membership in the engine.
fn read_state(state: &StateDir) -> io::Result<(Option<LogId>, StoredMembership)> {
    let engine = state.engine();
    let snapshot = engine.snapshot();
    let applied = meta::applied(&*snapshot).map_err(io::Error::other)?.map(|(term, index)| log_id(term, index));
    let membership = meta::membership(&*snapshot).map_err(io::Error::other)?;
    let membership = membership.map(wire::decode_stored_membership).transpose().map_err(io::Error::other)?;
    Ok((applied, membership.unwrap_or_default()))
}

/// An error that ends the member: said once, with its causes; openraft would only say that apply failed.
fn fatal(error: crate::apply::Error) -> io::Error {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    tracing::error!(target: "apply", %error, cause, "apply failed: this member ends");
    io::Error::other(error)
}

fn bytes_of(entry: &super::types::Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(Payload(batch)) => batch.len(),
        _ => 64,
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(next) = entries.try_next().await? {
            bytes += bytes_of(&next.0);
            group.push(next);
            if bytes >= APPLY_GROUP_BYTES_MAX {
                self.apply_group(&mut group)?;
                bytes = 0;
            }
        }
        self.apply_group(&mut group)
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let (state, built) = (Arc::clone(&self.state), Arc::clone(&self.built));
        Builder { state, meta: self.meta(), built, disk: self.metrics.disk.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> Result<(), io::Error> {
        let SnapshotData::Staged(generation) = snapshot else {
            return Err(io::Error::other("a member cannot install its own state"));
        };
        self.metrics.server.snapshot_apply_in_progress_total.set(1);
        fail::fail_point!("raftBeforeApplySnap");
        let timer = self.metrics.disk.snap_db_fsync_duration_seconds.start_timer();
        let engine = self.state.publish(generation).map_err(io::Error::other)?;
        timer.observe_duration();
        fail::fail_point!("raftAfterApplySnap");
        fail::fail_point!("applyBeforeOpenSnapshot");
        self.applier.replace_engine(engine).map_err(fatal)?;
        (self.last_applied, self.membership) = read_state(&self.state)?;
        *self.built.lock().expect("no holder panics") = Some(meta.clone());
        let next = self.last_applied.map_or(0, |id| id.index() + 1);
        self.answers.installed(next);
        self.applied.send_replace(next);
        self.metrics.server.snapshot_apply_in_progress_total.set(0);
        let index = self.last_applied.map(|id| id.index());
        tracing::info!(target: "raft", index, "installed a snapshot");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let built = self.built.lock().expect("no holder panics").clone();
        Ok(built.map(|meta| Snapshot { meta, snapshot: SnapshotData::Here }))
    }
}
