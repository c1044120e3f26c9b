//! The lease service on a member that gains and loses leadership, in paused time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Config, Expiry, Leadership, Lessor};
use crate::apply::{Applied, Command, Outcome, Refusal};
use crate::raft::Unserved;

/// A log of one member, that applies at once after a round trip.
struct Log {
    leads: watch::Sender<Option<u64>>,
    /// Whether leadership can be proved.
    provable: AtomicBool,
    fails: AtomicBool,
    lessor: Arc<Mutex<Lessor>>,
    applied: Mutex<Vec<(Instant, Command)>>,
    changed: Notify,
    inflight: AtomicUsize,
    inflight_most: AtomicUsize,
}

const ROUND_TRIP: Duration = Duration::from_millis(5);

#[tonic::async_trait]
impl Leadership for Log {
    fn leads(&self) -> watch::Receiver<Option<u64>> {
        self.leads.subscribe()
    }

    async fn confirm(&self, term: u64) -> bool {
        sleep(ROUND_TRIP).await;
        self.provable.load(Ordering::SeqCst) && *self.leads.borrow() == Some(term)
    }

    async fn propose(&self, command: Command) -> Result<Applied, Unserved> {
        let now = self.inflight.fetch_add(1, Ordering::SeqCst) + 1;
        self.inflight_most.fetch_max(now, Ordering::SeqCst);
        sleep(ROUND_TRIP).await;
        self.inflight.fetch_sub(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(Unserved::Timeout);
        }
        let outcome = match &command {
            Command::LeaseExpire { id, .. } => match self.lessor.lock().unwrap().revoke(*id) {
                true => Ok(Outcome::LeaseRevoke),
                false => Err(Refusal::LeaseNotFound),
            },
            Command::LeaseCheckpoint(request) => {
                for one in &request.checkpoints {
                    self.lessor.lock().unwrap().checkpointed(one.id, one.remaining_ttl);
                }
                Ok(Outcome::LeaseCheckpoint)
            }
            other => panic!("the lease service does not propose {other:?}"),
        };
        self.applied.lock().unwrap().push((Instant::now(), command));
        self.changed.notify_one();
        Ok(Applied { revision: 1, index: 1, outcome })
    }
}

struct Running {
    log: Arc<Log>,
    lessor: Arc<Mutex<Lessor>>,
    expired_total: IntCounter,
    shutdown: CancellationToken,
    service: tokio::task::JoinHandle<()>,
}

fn start(term: Option<u64>) -> Running {
    let lessor = Arc::new(Mutex::new(Lessor::new()));
    let log = Arc::new(Log {
        leads: watch::Sender::new(term),
        provable: AtomicBool::new(true),
        fails: AtomicBool::new(false),
        lessor: Arc::clone(&lessor),
        applied: Mutex::default(),
        changed: Notify::new(),
        inflight: AtomicUsize::new(0),
        inflight_most: AtomicUsize::new(0),
    });
    let expired_total = IntCounter::new("expired", "expired").unwrap();
    let leadership = Arc::clone(&log) as Arc<dyn Leadership>;
    let config = Config::new(Duration::from_secs(1));
    let expiry = Expiry::new(Arc::clone(&lessor), leadership, config, expired_total.clone());
    let shutdown = CancellationToken::new();
    let service = tokio::spawn(expiry.run(shutdown.clone()));
    Running { log, lessor, expired_total, shutdown, service }
}

impl Running {
    fn grant(&self, id: i64, ttl: i64) {
        assert!(self.lessor.lock().unwrap().grant(id, ttl, Instant::now()));
    }

    /// The next entry, and how long after `since` it was applied.
    async fn next(&self, since: Instant) -> (Duration, Command) {
        loop {
            let first = {
                let mut applied = self.log.applied.lock().unwrap();
                (!applied.is_empty()).then(|| applied.remove(0))
            };
            match first {
                Some((at, command)) => return (at - since, command),
                None => self.log.changed.notified().await,
            }
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.service.await.unwrap();
    }
}

fn about(expected_seconds: u64, got: Duration) -> bool {
    let expected = Duration::from_secs(expected_seconds);
    got >= expected && got < expected + Duration::from_millis(50)
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_when_its_time_has_come_and_not_by_a_scan() {
    let running = start(Some(4));
    let start = Instant::now();
    sleep(Duration::from_millis(1)).await;
    running.grant(i64::MIN, 2);
    running.grant(9, super::TTL_MAX);
    let (after, command) = running.next(start).await;
    assert_eq!(command, Command::LeaseExpire { id: i64::MIN, term: 4 });
    assert!(about(2, after), "{after:?}");
    assert_eq!(running.expired_total.get(), 1);
    assert!(running.lessor.lock().unwrap().exists(9));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_prove_it_ends_nothing_and_the_next_one_starts_anew() {
    let running = start(Some(4));
    let start = Instant::now();
    sleep(Duration::from_millis(1)).await;
    running.grant(9, 5);
    running.log.provable.store(false, Ordering::SeqCst);
    assert!(timeout(Duration::from_secs(60), running.next(start)).await.is_err());
    running.log.leads.send_replace(None);
    running.log.provable.store(true, Ordering::SeqCst);
    assert!(timeout(Duration::from_secs(60), running.next(start)).await.is_err());
    let start = Instant::now();
    running.log.leads.send_replace(Some(6));
    let (after, command) = running.next(start).await;
    assert_eq!(command, Command::LeaseExpire { id: 9, term: 6 });
    assert!(about(6, after), "the whole TTL and an election: {after:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_applied_is_proposed_again() {
    let running = start(Some(4));
    let start = Instant::now();
    sleep(Duration::from_millis(1)).await;
    running.grant(9, 2);
    running.log.fails.store(true, Ordering::SeqCst);
    assert!(timeout(Duration::from_secs(10), running.next(start)).await.is_err());
    assert!(running.lessor.lock().unwrap().renew(9, Instant::now()).is_none(), "its end was reached");
    running.log.fails.store(false, Ordering::SeqCst);
    let (_, command) = timeout(Duration::from_secs(2), running.next(start)).await.unwrap();
    assert_eq!(command, Command::LeaseExpire { id: 9, term: 4 });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_ends_are_proposed_within_both_bounds() {
    let running = start(Some(4));
    sleep(Duration::from_millis(1)).await;
    (0..2500).for_each(|id| running.grant(id, 2));
    sleep(Duration::from_secs(2)).await;
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..2500 {
        times.push(running.next(start).await.0);
    }
    assert_eq!(running.log.inflight_most.load(Ordering::SeqCst), 16);
    for second in 0..times.last().unwrap().as_secs() {
        let within = times.iter().filter(|at| at.as_secs() == second).count();
        assert!(within <= 1016, "{within} in second {second}");
    }
    assert!(*times.last().unwrap() < Duration::from_secs(4), "{:?}", times.last());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn long_leases_are_checkpointed_every_five_minutes() {
    let running = start(Some(4));
    let start = Instant::now();
    sleep(Duration::from_millis(1)).await;
    (0..1500).for_each(|id| running.grant(id, 1000));
    running.grant(5000, 299);
    for (n, remaining) in [(1000, 700), (500, 700)] {
        let (_, command) = running.next(start).await;
        let Command::LeaseCheckpoint(request) = command else { panic!("a checkpoint comes first") };
        assert_eq!(request.checkpoints.len(), n);
        assert!(request.checkpoints.iter().all(|one| one.remaining_ttl == remaining));
    }
    assert!(start.elapsed() < Duration::from_secs(302), "{:?}", start.elapsed());
    running.stop().await;
}
