//! The node: this member's openraft, its peers and its queues, as one thing that the services can ask.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fairlead_proto::peer::{ProposeReply, propose_reply::Outcome};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Raft, ReadPolicy, ServerState};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::consensus::{Consensus, LeaseTime, MemberId, RaftStatus, Unserved};
use super::leader::Heard;
use super::network::{Forwarded, Identity, Incarnations, Peers};
use super::proposer::{self, Pending, Queue};
use super::read_index::{Attempt, Rounds};
use super::receiving::{Incoming, Receiving};
use super::snapshot::{SnapshotData, Staging};
use super::state_dir::StateDir;
use super::state_machine::StateMachine;
use super::timing::Timing;
use super::trace::Trace;
use super::types::{TypeConfig, Vote};
use crate::apply::{Applied, Command, Tables};
use crate::metrics::Metrics;
use crate::planted::{self, Bug};

/// The longest time between two tries of a read whose round failed without news of another leader: etcd's.
const READ_RETRY_MAX: Duration = Duration::from_millis(100);

/// What a node is made of.
pub(super) struct Parts {
    pub(super) raft: Raft<TypeConfig, StateMachine>,
    pub(super) identity: Identity,
    pub(super) incarnations: Incarnations,
    pub(super) peers: Peers,
    pub(super) answers: Arc<Answers>,
    pub(super) tables: Tables,
    pub(super) state: Arc<StateDir>,
    pub(super) incoming: PathBuf,
    pub(super) applied: watch::Receiver<u64>,
    pub(super) leader: watch::Receiver<Option<MemberId>>,
    /// The term that this member leads, by its own account.
    pub(super) leading: watch::Receiver<Option<u64>>,
    pub(super) timing: Timing,
    pub(super) request_bytes_max: usize,
    pub(super) inflight_bytes_max: usize,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
}

/// One member of the group.
pub struct Node {
    parts: Parts,
    queue: Queue,
    rounds: Rounds,
    heard: Heard,
    /// One incoming snapshot at a time: each fills a whole state.
    incoming: Arc<Semaphore>,
    /// Why the member must end, once it must.
    fatal: Mutex<Option<String>>,
}

impl Node {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|node: &std::sync::Weak<Self>| {
            let node = node.clone();
            let rounds = Rounds::new(move || {
                let node = node.upgrade();
                Box::pin(async move {
                    match node {
                        Some(node) => node.read_attempt().await,
                        None => None,
                    }
                })
            });
            let queue = Queue::new(parts.inflight_bytes_max);
            let incoming = Arc::new(Semaphore::new(1));
            Self { parts, queue, rounds, heard: Heard::new(), incoming, fatal: Mutex::new(None) }
        })
    }

    pub(super) fn raft(&self) -> &Raft<TypeConfig, StateMachine> {
        &self.parts.raft
    }

    pub(super) fn identity(&self) -> Identity {
        self.parts.identity
    }

    pub(super) fn incarnations(&self) -> &Incarnations {
        &self.parts.incarnations
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.parts.peers
    }

    pub(super) fn answers(&self) -> &Answers {
        &self.parts.answers
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    pub(super) fn timing(&self) -> Timing {
        self.parts.timing
    }

    pub(super) fn budget(&self) -> Duration {
        self.parts.timing.budget
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.parts.tables
    }

    /// Why the member had to end, if it had to.
    pub fn fatal_reason(&self) -> Option<String> {
        self.fatal.lock().expect("no holder panics").clone()
    }

    /// Ends the member: the cluster knows another data directory under its id.
    pub(super) fn replaced(&self, reason: &str) {
        let advice = "restore the disk, or remove this member from the cluster and add it anew";
        *self.fatal.lock().expect("no holder panics") = Some(format!("{reason}; {advice}"));
        self.parts.shutdown.cancel();
    }

    pub(super) fn heard_leader(&self, vote: &Vote) {
        if vote.committed {
            self.heard.now();
        }
    }

    pub(super) fn note_leader(&self, leader: Option<MemberId>) {
        let term = self.raft().metrics().borrow_watched().current_term;
        match leader {
            Some(leader) => tracing::info!(target: "raft", %leader, term, "a leader is known"),
            None => tracing::warn!(target: "raft", term, "no leader has been heard within its lease"),
        }
        let server = &self.parts.metrics.server;
        server.has_leader.set(i64::from(leader.is_some()));
        server.is_leader.set(i64::from(leader == Some(MemberId(self.identity().member))));
    }

    /// The leader that openraft names, heard or not.
    fn named_leader(&self) -> Option<u64> {
        self.raft().server_metrics().borrow_watched().current_leader
    }

    /// The leader for a reply's hint; 0 where none is known.
    pub(super) fn leader_hint(&self) -> u64 {
        self.named_leader().unwrap_or(0)
    }

    /// Follows the term that this member leads, by its own account.
    pub(super) fn leading(&self) -> watch::Receiver<Option<u64>> {
        self.parts.leading.clone()
    }

    /// Whether this member leads by its own account; only a round proves it.
    pub(super) fn leads(&self) -> bool {
        self.raft().server_metrics().borrow_watched().state == ServerState::Leader
    }

    /// Waits until a leader is named.
    pub(super) async fn wait_for_leader(&self) -> u64 {
        self.wait_for_leader_that(|_| true).await
    }

    /// Waits until a leader is named that is not `leader`.
    pub(super) async fn wait_for_leader_other_than(&self, leader: u64) {
        self.wait_for_leader_that(|named| named != leader).await;
    }

    async fn wait_for_leader_that(&self, wanted: impl Fn(u64) -> bool) -> u64 {
        let mut changes = self.raft().server_metrics();
        loop {
            if let Some(leader) = self.named_leader().filter(|leader| wanted(*leader)) {
                return leader;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Waits for a change of leader, but no longer than `most`.
    pub(super) async fn wait_for_news(&self, most: Duration) {
        let mut changes = self.raft().server_metrics();
        changes.borrow_and_update();
        // Either way it is time to try again.
        tokio::time::timeout(most, changes.changed()).await.ok();
    }

    /// One try to learn an index that covers all that was acknowledged before it began.
    async fn read_attempt(&self) -> Attempt {
        let leader = self.named_leader()?;
        if leader != self.identity().member {
            let index = self.peers().read_index(leader, self.timing().election).await?;
            return Some(index.map_or(0, |index| index + 1));
        }
        if planted::is(Bug::ReadUnconfirmed) {
            return Some(*self.parts.applied.borrow());
        }
        let round = self.raft().get_read_linearizer(ReadPolicy::ReadIndex);
        let linearizer = tokio::time::timeout(self.timing().election, round).await.ok()?.ok()?;
        Some(linearizer.read_log_id().index() + 1)
    }

    /// For a follower that asks: the index, where this member proves that it leads.
    pub(super) async fn read_index_as_leader(&self) -> Option<Option<u64>> {
        if !self.leads() {
            return None;
        }
        let next = self.rounds.join().await?;
        Some(next.checked_sub(1))
    }

    /// How many entries have been applied, counted from the log's first.
    pub(super) fn applied(&self) -> watch::Receiver<u64> {
        self.parts.applied.clone()
    }

    async fn wait_applied(&self, next: u64) -> Result<(), Unserved> {
        let mut applied = self.parts.applied.clone();
        match applied.wait_for(|applied| *applied >= next).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Unserved::Stopped),
        }
    }

    /// Proof that this member leads now and has applied everything acknowledged before.
    pub(super) async fn lead_barrier(&self) -> bool {
        if !self.leads() {
            return false;
        }
        let Some(next) = self.rounds.join().await else { return false };
        let applied = tokio::time::timeout(self.timing().election, self.wait_applied(next)).await;
        matches!(applied, Ok(Ok(()))) && self.leads()
    }

    async fn barrier(&self) -> Result<(), Unserved> {
        loop {
            if let Some(next) = self.rounds.join().await {
                return self.wait_applied(next).await;
            }
            self.parts.metrics.server.slow_read_indexes_total.inc();
            self.wait_for_news(READ_RETRY_MAX).await;
        }
    }

    /// Why a request had to wait too long.
    fn timed_out(&self, leader_before: Option<u64>) -> Unserved {
        let leader = *self.parts.leader.borrow();
        match leader {
            None => Unserved::TimeoutConnectionLost,
            Some(now) if leader_before.is_some_and(|before| before != now.0) => Unserved::TimeoutLeaderFailed,
            Some(_) => Unserved::Timeout,
        }
    }

    /// A batch from another member.
    pub(super) async fn propose_forwarded(&self, payload: Bytes) -> ProposeReply {
        let appended = match proposer::append(self, payload).await {
            Ok(forwarded) => forwarded,
            Err(_) => Forwarded::Unknown,
        };
        let (outcome, index) = match appended {
            Forwarded::Committed(index) => (Outcome::Committed, index),
            Forwarded::NotAppended => (Outcome::NotAppended, 0),
            Forwarded::Unknown => (Outcome::Unknown, 0),
        };
        ProposeReply { outcome: outcome.into(), index, leader: self.leader_hint() }
    }

    /// Renews a lease, where this member proves that it leads. `Some(None)`: no such lease, or expired.
    pub(super) async fn renew_as_leader(self: &Arc<Self>, id: i64) -> Option<Option<i64>> {
        if !self.lead_barrier().await {
            return None;
        }
        let renewed = self.tables().lessor.lock().expect("no holder panics").renew(id, Instant::now());
        let Some(renewed) = renewed else { return Some(None) };
        if renewed.clears_checkpoint {
            fail::fail_point!("beforeCheckpointInLeaseRenew");
            let checkpoints = vec![fairlead_proto::served::etcdserverpb::LeaseCheckpoint { id, remaining_ttl: 0 }];
            let request = fairlead_proto::served::etcdserverpb::LeaseCheckpointRequest { checkpoints };
            if let Err(error) = self.propose(Command::LeaseCheckpoint(request), &Trace::default()).await {
                tracing::warn!(target: "lease", lease = %format_args!("{id:016x}"), %error, "checkpoint was not cleared");
                // The next leader would give less than what was acknowledged here.
                return None;
            }
        }
        Some(Some(renewed.ttl))
    }

    /// A lease's time, where this member proves that it leads.
    pub(super) async fn lease_time_as_leader(&self, id: i64) -> Option<Option<LeaseTime>> {
        if !self.lead_barrier().await {
            return None;
        }
        let lessor = self.tables().lessor.lock().expect("no holder panics");
        let time = lessor.remaining(id, Instant::now());
        Some(time.map(|(remaining, granted)| LeaseTime { remaining, granted }))
    }

    /// A place for a snapshot from a peer.
    pub(super) async fn stage_snapshot(&self, from: u64) -> std::io::Result<Incoming> {
        let turn = Arc::clone(&self.incoming).acquire_owned().await.map_err(std::io::Error::other)?;
        tracing::info!(target: "raft", peer = %format_args!("{from:x}"), "receiving a snapshot");
        let staging = Staging::create(&self.parts.incoming)?;
        let receiving = Receiving::new(&self.parts.metrics.network, from);
        Ok(Incoming { staging, receiving, _turn: turn })
    }

    /// Installs what was received, and answers with this member's vote.
    pub(super) async fn install_snapshot(&self, vote: Vote, incoming: Incoming) -> std::io::Result<Vote> {
        let Incoming { staging, receiving, _turn } = incoming;
        let installed = self.fill_and_install(vote, staging).await;
        match &installed {
            Ok(_) => receiving.succeeded(&self.parts.metrics.disk),
            Err(error) => {
                tracing::warn!(target: "raft", peer = receiving.label(), %error, "snapshot was not installed")
            }
        }
        installed
    }

    async fn fill_and_install(&self, vote: Vote, staging: Staging) -> std::io::Result<Vote> {
        let (meta, generation) = staging.fill(Arc::clone(&self.parts.state)).await?;
        let snapshot = openraft::Snapshot { meta, snapshot: SnapshotData::Staged(generation) };
        let response = self.raft().install_full_snapshot(vote, snapshot).await.map_err(std::io::Error::other)?;
        Ok(response.vote)
    }
}

/// The services' door: a handle to the node.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Node>);

impl std::ops::Deref for Handle {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

#[tonic::async_trait]
impl Consensus for Handle {
    async fn propose(&self, command: Command) -> Result<Applied, Unserved> {
        self.0.propose(command, &Trace::default()).await
    }

    async fn propose_traced(&self, command: Command, trace: &Trace) -> Result<Applied, Unserved> {
        self.0.propose(command, trace).await
    }

    async fn read_barrier(&self) -> Result<(), Unserved> {
        match tokio::time::timeout(self.budget(), self.barrier()).await {
            Ok(done) => done,
            Err(_) => {
                self.metrics().server.read_indexes_failed_total.inc();
                // etcd gives a read no more precise reason.
                Err(Unserved::Timeout)
            }
        }
    }

    async fn renew_lease(&self, id: i64) -> Result<Option<i64>, Unserved> {
        let node = &self.0;
        node.ask_leader(
            || node.renew_as_leader(id),
            |leader| node.peers().renew_lease(leader, id, node.timing().election),
        )
        .await
    }

    async fn lease_time(&self, id: i64) -> Result<Option<LeaseTime>, Unserved> {
        let node = &self.0;
        node.ask_leader(
            || node.lease_time_as_leader(id),
            |leader| node.peers().lease_time(leader, id, node.timing().election),
        )
        .await
    }

    async fn move_leader(&self, target: MemberId) -> Result<(), Unserved> {
        super::transfer::move_leader(&self.0, target).await
    }

    fn status(&self) -> RaftStatus {
        self.0.status()
    }

    fn watch_leader(&self) -> watch::Receiver<Option<MemberId>> {
        self.parts.leader.clone()
    }
}

impl Node {
    async fn propose(&self, command: Command, trace: &Trace) -> Result<Applied, Unserved> {
        if command.body_len() > self.parts.request_bytes_max {
            return Err(Unserved::TooLarge);
        }
        let before = self.named_leader();
        let led = self.parts.leader.borrow().is_some();
        let pending = Pending::new(&self.parts.metrics.server);
        let answer = self.queue.push(&command, trace)?;
        match tokio::time::timeout(self.budget(), answer).await {
            Ok(Ok(answer)) => {
                pending.answered();
                answer
            }
            Ok(Err(_)) if self.parts.shutdown.is_cancelled() => Err(Unserved::Stopped),
            Ok(Err(_)) | Err(_) if !led && self.parts.leader.borrow().is_none() => Err(Unserved::DeadlineExceeded),
            Ok(Err(_)) | Err(_) => Err(self.timed_out(before)),
        }
    }

    /// Does here or at the leader what only the leader can do, again until it is confirmed or time is up.
    async fn ask_leader<T, H, R>(&self, here: impl Fn() -> H, there: impl Fn(u64) -> R) -> Result<T, Unserved>
    where
        H: Future<Output = Option<T>>,
        R: Future<Output = Option<T>>,
    {
        let before = self.named_leader();
        let ask = async {
            loop {
                let leader = self.wait_for_leader().await;
                let answer = if leader == self.identity().member { here().await } else { there(leader).await };
                match answer {
                    Some(answer) => return answer,
                    None => self.wait_for_news(READ_RETRY_MAX).await,
                }
            }
        };
        tokio::time::timeout(self.budget(), ask).await.map_err(|_| match *self.parts.leader.borrow() {
            None => Unserved::NoLeader,
            Some(_) => self.timed_out(before),
        })
    }

    /// What is known now.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
        let me = self.identity().member;
        RaftStatus {
            member: me,
            cluster: self.identity().cluster,
            leader: self.parts.leader.borrow().map(|leader| leader.0),
            term: metrics.current_term,
            last_index: next(metrics.last_log_index),
            committed_index: next(metrics.cluster_committed.as_ref().map(|id| id.index())),
            applied_index: *self.parts.applied.borrow(),
            learner: metrics.state == ServerState::Learner,
        }
    }
}
