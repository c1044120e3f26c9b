//! Who leads, as this member may believe: a leader that has not been heard within its lease is none.
//!
//! openraft names the last leader for ever; etcd's health and `hasleader` rules want to know that it is gone. A follower
//! counts from the last message of the leader, the leader from its last quorum.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, ServerState};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::consensus::MemberId;
use super::node::Node;
use super::silence::silence;

/// When the leader was last heard.
pub(crate) struct Heard {
    start: Instant,
    /// Milliseconds since `start`; 0 never.
    at: AtomicU64,
    /// Set while nobody is believed to lead: the next message wakes the follower of leadership.
    silent: AtomicBool,
    news: Notify,
}

impl Heard {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), at: AtomicU64::new(0), silent: AtomicBool::new(true), news: Notify::new() }
    }

    /// A message of a leader has come.
    pub(crate) fn now(&self) {
        let since = self.start.elapsed().as_millis();
        self.at.store(u64::try_from(since).unwrap_or(u64::MAX).max(1), Ordering::Release);
        if self.silent.swap(false, Ordering::AcqRel) {
            self.news.notify_one();
        }
    }

    fn at(&self) -> Option<Instant> {
        let at = self.at.load(Ordering::Acquire);
        (at > 0).then(|| self.start + Duration::from_millis(at))
    }
}

/// What is believed, and until when without further news.
struct Belief {
    leader: Option<u64>,
    until: Option<Instant>,
}

fn believe(node: &Node) -> Belief {
    let metrics = node.raft().metrics().borrow_watched().clone();
    let lease = node.timing().lease();
    let me = node.identity().member;
    let proof = match metrics.state {
        // A lone voter needs no quorum but its own.
        ServerState::Leader if metrics.membership_config.voter_ids().count() <= 1 => {
            return Belief { leader: Some(me), until: None };
        }
        ServerState::Leader => metrics.last_quorum_acked.map(|acked| Instant::now() - acked.elapsed()),
        _ => node.heard().at(),
    };
    let until = proof.map(|at| at + lease);
    match until.filter(|until| *until > Instant::now()) {
        Some(until) => Belief { leader: metrics.current_leader, until: Some(until) },
        None => Belief { leader: None, until: None },
    }
}

/// What others follow.
pub(crate) struct Followed {
    /// The leader, as it may be believed.
    pub(crate) leader: watch::Sender<Option<MemberId>>,
    /// The term that this member leads, by its own account.
    pub(crate) leading: watch::Sender<Option<u64>>,
    /// Whether appends wait: no quorum answers.
    pub(crate) silent: watch::Sender<bool>,
}

/// Whether this member is a silent leader since it leads, and until when without further news.
fn silent(node: &Node, led_since: Option<Instant>) -> (bool, Option<Instant>) {
    let (Some(led_since), metrics) = (led_since, node.raft().metrics()) else { return (false, None) };
    let metrics = metrics.borrow_watched();
    if metrics.membership_config.voter_ids().count() <= 1 {
        return (false, None);
    }
    let answered_ago =
        metrics.last_quorum_acked.map_or(Duration::MAX, |acked| acked.elapsed()).min(led_since.elapsed());
    let timing = node.timing();
    let (silent, rest) = silence(answered_ago, timing.lease(), timing.silence());
    (silent, Some(Instant::now() + rest))
}

/// Keeps both up to date until shutdown.
pub(crate) async fn follow(node: Arc<Node>, followed: Followed, shutdown: CancellationToken) {
    let Followed { leader, leading, silent: hushed } = followed;
    let mut changes = node.raft().server_metrics();
    let mut metrics = node.raft().metrics();
    let mut seen = None;
    let mut led_since = None;
    loop {
        let belief = believe(&node);
        node.heard().silent.store(belief.leader.is_none(), Ordering::Release);
        let believed = belief.leader.map(MemberId);
        if leader.send_if_modified(|known| std::mem::replace(known, believed) != believed) {
            node.note_leader(believed);
        }
        if believed.is_some() && seen != believed {
            seen = believed;
            node.metrics().server.leader_changes_seen_total.inc();
        }
        let leads = {
            let metrics = node.raft().metrics();
            let metrics = metrics.borrow_watched();
            (metrics.state == ServerState::Leader).then_some(metrics.current_term)
        };
        if leading.send_if_modified(|known| std::mem::replace(known, leads) != leads) {
            led_since = leads.map(|_| Instant::now());
        }
        let (silence, turns) = silent(&node, led_since);
        if hushed.send_if_modified(|known| std::mem::replace(known, silence) != silence) && silence {
            tracing::warn!(target: "raft", "no quorum answers: appends wait, so that others can elect a leader");
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = node.heard().news.notified() => {}
            // A leader without a quorum hears of its return only here.
            changed = metrics.changed(), if leads.is_some() && believed.is_none() => if changed.is_err() { return },
            () = at(belief.until) => {}
            () = at(turns) => {}
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
