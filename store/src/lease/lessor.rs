//! The lessor: which leases there are, and, on the leader, when each of them ends.
//!
//! ```text
//!   replicated, the same on every member:  id → granted TTL, remaining TTL at the last checkpoint
//!   the leader's own, from promote to demote:  when it expires, when it is checkpointed, whether its end is proposed
//! ```
//! Promises: a lease does not expire before its TTL has passed since the last renewal that was answered, on any leader: a
//! new one starts every lease anew (or with the checkpointed rest, which a renewal clears first) and adds the time of an
//! election. A lease whose end was reached is never renewed again within the term; it waits for its end to be applied.
//! Does not: know keys (`mvcc` does), prove leadership, propose. Pure: time is an argument; the one signal that leaves is
//! [`Lessor::sooner`]. Source: etcd `server/lease/lessor.go`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::record::Record;

/// Leases with more than this left are checkpointed this often. Source: etcd `server/lease/lessor.go`.
pub(super) const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Lease {
    granted: i64,
    /// At the last checkpoint; 0 none.
    remaining: i64,
    /// Leader only. Before promotion: when the last renewal runs out.
    expiry: Option<Instant>,
    /// Leader only: when it is checkpointed next.
    checkpoint: Option<Instant>,
    /// Leader only: a checkpoint of it was proposed, and no cleared one has been applied since.
    checkpoint_proposed: bool,
    /// Leader only: where it stands in the queue of expiries.
    queued: Option<Instant>,
    /// Leader only: its end was reached, and is being proposed.
    ending: bool,
}

/// All leases.
#[derive(Debug, Default)]
pub struct Lessor {
    leases: HashMap<i64, Lease>,
    leading: bool,
    /// Every lease by when its end is to be proposed. Empty unless leading.
    expiries: BTreeSet<(Instant, i64)>,
    checkpoints: BTreeSet<(Instant, i64)>,
    sooner: Arc<Notify>,
}

/// A lease renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Its TTL, seconds.
    pub ttl: i64,
    /// A checkpoint of less than that is, or may become, part of the state: it must be cleared by an entry, applied, before
    /// the renewal is answered, or the next leader may not honour it.
    pub clears_checkpoint: bool,
}

impl Lessor {
    /// No leases.
    #[must_use]
    pub fn new() -> Lessor {
        Lessor::default()
    }

    /// Notified when there may be something to do sooner than [`Lessor::next_due`] said.
    #[must_use]
    pub fn sooner(&self) -> Arc<Notify> {
        Arc::clone(&self.sooner)
    }

    /// Replaces all leases by those of the state. Nothing expires until the next promotion.
    pub fn load(&mut self, records: impl IntoIterator<Item = Record>) {
        self.demote();
        self.leases = records.into_iter().map(|r| (r.id, Lease::new(r.granted, r.remaining))).collect();
    }

    /// Adds a lease. `false`: the id is taken.
    pub fn grant(&mut self, id: i64, ttl: i64, now: Instant) -> bool {
        if self.leases.contains_key(&id) {
            return false;
        }
        self.leases.insert(id, Lease::new(ttl, 0));
        if self.leading {
            self.schedule(id, now + seconds(ttl), now);
            self.sooner.notify_one();
        }
        true
    }

    /// Removes a lease. `false`: there is none.
    pub fn revoke(&mut self, id: i64) -> bool {
        self.unschedule(id);
        self.leases.remove(&id).is_some()
    }

    /// Whether there is such a lease.
    #[must_use]
    pub fn exists(&self, id: i64) -> bool {
        self.leases.contains_key(&id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Every lease, by expiry where it is known, then by what is left, then by id.
    #[must_use]
    pub fn ids_by_expiry(&self) -> Vec<i64> {
        let mut all: Vec<_> = self.leases.iter().map(|(id, l)| (l.expiry.is_none(), l.expiry, l.left(), *id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(.., id)| id).collect()
    }

    /// A checkpoint was applied: seconds left, 0 clears. The granted TTL, or `None`: no such lease.
    pub fn checkpointed(&mut self, id: i64, remaining: i64) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        lease.remaining = remaining.clamp(0, lease.granted);
        if remaining == 0 {
            lease.checkpoint_proposed = false;
        }
        Some(lease.granted)
    }

    /// Leadership was gained: every lease gets its full TTL, or what a checkpoint has left of it, and `extension`.
    pub fn promote(&mut self, now: Instant, extension: Duration) {
        // What was renewed here after the election and before this call keeps that.
        let renewed: HashMap<i64, Instant> =
            self.leases.iter().filter_map(|(id, lease)| Some((*id, lease.expiry?))).collect();
        self.demote();
        self.leading = true;
        let ids: Vec<i64> = self.leases.keys().copied().collect();
        for id in ids {
            let given = now + seconds(self.leases[&id].left()) + extension;
            let expiry = renewed.get(&id).map_or(given, |renewed| given.max(*renewed));
            self.schedule(id, expiry, now);
        }
        self.sooner.notify_one();
    }

    /// Leadership was lost: nothing expires here.
    pub fn demote(&mut self) {
        self.leading = false;
        self.expiries.clear();
        self.checkpoints.clear();
        for lease in self.leases.values_mut() {
            *lease = Lease::new(lease.granted, lease.remaining);
        }
    }

    /// Extends a lease by its TTL, after leadership was proved. `None`: there is none, or its end was reached.
    pub fn renew(&mut self, id: i64, now: Instant) -> Option<Renewed> {
        let leading = self.leading;
        let lease = self.leases.get_mut(&id)?;
        if lease.ending || lease.expiry.is_some_and(|expiry| leading && expiry <= now) {
            return None;
        }
        let ttl = lease.granted;
        let clears_checkpoint = lease.remaining != 0 || lease.checkpoint_proposed;
        // A new leader's extension is not taken back.
        let expiry = lease.expiry.map_or(now + seconds(ttl), |expiry| expiry.max(now + seconds(ttl)));
        if leading {
            self.schedule(id, expiry, now);
        } else {
            lease.expiry = Some(expiry);
        }
        Some(Renewed { ttl, clears_checkpoint })
    }

    /// Seconds left and granted. `None`: there is no such lease, or its end was reached.
    #[must_use]
    pub fn remaining(&self, id: i64, now: Instant) -> Option<(i64, i64)> {
        let lease = self.leases.get(&id)?;
        match lease.expiry {
            _ if lease.ending => None,
            Some(expiry) if self.leading && expiry <= now => None,
            Some(expiry) => Some((whole_seconds(expiry.saturating_duration_since(now)), lease.granted)),
            None => Some((lease.left(), lease.granted)),
        }
    }

    /// Up to `max` leases whose end is reached, those first that reached it first. They are not given again, and not
    /// renewed, unless [`Lessor::not_ended`] puts them back.
    pub fn expired(&mut self, now: Instant, max: usize) -> Vec<i64> {
        let ids: Vec<i64> = self.expiries.range(..=(now, i64::MAX)).take(max).map(|(_, id)| *id).collect();
        for id in &ids {
            self.unschedule(*id);
            self.leases.get_mut(id).expect("a queued lease exists").ending = true;
        }
        ids
    }

    /// The end of a lease could not be proposed, or nobody knows: it is given again at `retry`.
    pub fn not_ended(&mut self, id: i64, retry: Instant) {
        if let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.ending && lease.queued.is_none()) {
            lease.queued = Some(retry);
            self.expiries.insert((retry, id));
        }
    }

    /// When the next lease expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(expiry, _)| *expiry)
    }

    /// When the next lease is to be checkpointed.
    #[must_use]
    pub fn next_checkpoint(&self) -> Option<Instant> {
        self.checkpoints.first().map(|(due, _)| *due)
    }

    /// When there is next something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.next_expiry().into_iter().chain(self.next_checkpoint()).min()
    }

    /// Up to `max` leases to checkpoint now, with the seconds left of them.
    pub fn due_checkpoints(&mut self, now: Instant, max: usize) -> Vec<(i64, i64)> {
        let ids: Vec<i64> = self.checkpoints.range(..=(now, i64::MAX)).take(max).map(|(_, id)| *id).collect();
        let mut due = Vec::new();
        for id in ids {
            let expiry = self.leases[&id].expiry.expect("what is scheduled has an expiry");
            self.schedule(id, expiry, now);
            let lease = self.leases.get_mut(&id).expect("a scheduled lease exists");
            let remaining = whole_seconds(expiry.saturating_duration_since(now));
            // A lease that has an extension may still have more than its TTL.
            if remaining > 0 && remaining < lease.granted {
                lease.checkpoint_proposed = true;
                due.push((id, remaining));
            }
        }
        due
    }

    /// Sets when a lease that exists expires, and from it when it is checkpointed.
    fn schedule(&mut self, id: i64, expiry: Instant, now: Instant) {
        self.unschedule(id);
        let lease = self.leases.get_mut(&id).expect("the caller has seen it");
        (lease.expiry, lease.queued) = (Some(expiry), Some(expiry));
        self.expiries.insert((expiry, id));
        if expiry.saturating_duration_since(now) > CHECKPOINT_INTERVAL {
            let due = now + CHECKPOINT_INTERVAL;
            lease.checkpoint = Some(due);
            self.checkpoints.insert((due, id));
        }
    }

    fn unschedule(&mut self, id: i64) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        if let Some(queued) = lease.queued.take() {
            self.expiries.remove(&(queued, id));
        }
        if let Some(due) = lease.checkpoint.take() {
            self.checkpoints.remove(&(due, id));
        }
    }
}

impl Lease {
    fn new(granted: i64, remaining: i64) -> Lease {
        let (expiry, checkpoint, queued) = (None, None, None);
        Lease { granted, remaining, expiry, checkpoint, queued, checkpoint_proposed: false, ending: false }
    }

    /// Seconds that a new leader gives it.
    fn left(&self) -> i64 {
        if self.remaining > 0 { self.remaining } else { self.granted }
    }
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or(0))
}

/// Rounded up: a lease is not said to have nothing left before it has.
fn whole_seconds(left: Duration) -> i64 {
    let whole = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    i64::try_from(whole).unwrap_or(i64::MAX)
}
