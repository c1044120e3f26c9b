//! What is known of the way to each peer, and its families: connected or not, bytes, failures, round trips.
//!
//! A peer is active once it has answered a call of ours, and lost when a call finds no way to it or an answer breaks off.
//! Labels are member ids in hexadecimal, as etcd writes them, and only members have any.
//! Source: etcd `server/etcdserver/api/rafthttp/metrics.go`, `peer_status.go`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};
use tokio::time::Instant;

use crate::metrics;

/// The way to one peer.
pub(crate) struct Contact {
    pub(super) sent_bytes: IntCounter,
    pub(super) received_bytes: IntCounter,
    pub(super) sent_failures: IntCounter,
    pub(super) received_failures: IntCounter,
    round_trip: Histogram,
    active: IntGauge,
    lost: IntCounter,
    is_active: AtomicBool,
    start: Instant,
    /// Milliseconds since `start`; 0 never.
    appended: AtomicU64,
}

impl Contact {
    fn new(families: &metrics::Network, me: u64, peer: u64) -> Contact {
        let (local, remote) = (format!("{me:x}"), format!("{peer:x}"));
        families.known_peers.with_label_values(&[&local, &remote]).set(1);
        Contact {
            sent_bytes: families.peer_sent_bytes_total.with_label_values(&[&remote]),
            received_bytes: families.peer_received_bytes_total.with_label_values(&[&remote]),
            sent_failures: families.peer_sent_failures_total.with_label_values(&[&remote]),
            received_failures: families.peer_received_failures_total.with_label_values(&[&remote]),
            round_trip: families.peer_round_trip_time_seconds.with_label_values(&[&remote]),
            active: families.active_peers.with_label_values(&[&local, &remote]),
            lost: families.disconnected_peers_total.with_label_values(&[&local, &remote]),
            is_active: AtomicBool::new(false),
            start: Instant::now(),
            appended: AtomicU64::new(0),
        }
    }

    /// The peer has answered.
    pub(super) fn answered(&self) {
        if !self.is_active.load(Ordering::Relaxed) && !self.is_active.swap(true, Ordering::AcqRel) {
            self.active.set(1);
        }
    }

    /// There is no way to the peer now.
    pub(super) fn is_lost(&self) {
        if self.is_active.swap(false, Ordering::AcqRel) {
            self.active.set(0);
            self.lost.inc();
        }
    }

    /// A round trip took so long.
    pub(super) fn took(&self, round_trip: Duration) {
        self.round_trip.observe(round_trip.as_secs_f64());
    }

    /// An append or a heartbeat goes out; how long after the one before.
    pub(super) fn appends(&self) -> Option<Duration> {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let before = self.appended.swap(now, Ordering::Relaxed);
        (before > 0).then(|| Duration::from_millis(now.saturating_sub(before)))
    }
}

/// The ways to all members that this one has been told of.
#[derive(Clone)]
pub(crate) struct Contacts {
    me: u64,
    families: metrics::Network,
    all: Arc<Mutex<HashMap<u64, Arc<Contact>>>>,
}

impl Contacts {
    pub(crate) fn new(me: u64, families: metrics::Network) -> Contacts {
        Contacts { me, families, all: Arc::default() }
    }

    /// The way to a member.
    pub(super) fn to(&self, member: u64) -> Arc<Contact> {
        let mut all = self.all.lock().expect("no holder panics");
        Arc::clone(all.entry(member).or_insert_with(|| Arc::new(Contact::new(&self.families, self.me, member))))
    }

    /// The way to whoever says that it is `caller`, if that is a member.
    pub(super) fn known(&self, caller: u64) -> Option<Arc<Contact>> {
        self.all.lock().expect("no holder panics").get(&caller).cloned()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_active_from_its_answer_until_it_is_lost_and_lost_once() {
        let families = metrics::Metrics::new(Registry::new()).unwrap().network;
        let contacts = Contacts::new(1, families.clone());
        assert!(contacts.known(0xbe).is_none(), "a stranger makes no series");
        let contact = contacts.to(0xbe);
        let seen = || {
            let of = ["1", "be"];
            let lost = families.disconnected_peers_total.with_label_values(&of).get();
            (families.active_peers.with_label_values(&of).get(), lost)
        };
        contact.is_lost();
        assert_eq!(seen(), (0, 0), "what was never there is not lost");
        contact.answered();
        contact.answered();
        assert_eq!(seen(), (1, 0));
        contact.is_lost();
        contact.is_lost();
        assert_eq!(seen(), (0, 1));
        assert!(contacts.known(0xbe).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_between_two_appends_is_known_from_the_second_on() {
        let contact = Contacts::new(1, metrics::Metrics::new(Registry::new()).unwrap().network).to(2);
        assert_eq!(contact.appends(), None);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(contact.appends(), Some(Duration::from_millis(249)), "the first moment counts as one millisecond");
    }
}
