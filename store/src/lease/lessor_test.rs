//! Leases over several members and leaders, against a model: none ends early, none lives for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::lessor::{CHECKPOINT_INTERVAL, Lessor, Renewed};
use super::record::Record;

const SECOND: Duration = Duration::from_secs(1);
const EXTENSION: Duration = SECOND;

/// What is replicated.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Grant(i64, i64),
    Revoke(i64),
    Checkpoint(i64, i64),
}

struct Member {
    lessor: Lessor,
    applied: usize,
}

struct Cluster {
    rng: StdRng,
    now: Instant,
    log: Vec<Entry>,
    members: Vec<Member>,
    leader: usize,
    /// Lease → TTL and the last moment at which an owner was told that it lives.
    model: BTreeMap<i64, (i64, Instant)>,
    ended: usize,
    cleared: usize,
    leaders: usize,
}

impl Cluster {
    fn new(seed: u64) -> Cluster {
        let members = (0..3).map(|_| Member { lessor: Lessor::new(), applied: 0 }).collect();
        let (rng, log, model) = (StdRng::seed_from_u64(seed), Vec::new(), BTreeMap::new());
        let mut cluster =
            Cluster { rng, now: Instant::now(), log, members, leader: 0, model, ended: 0, cleared: 0, leaders: 0 };
        cluster.elect(0);
        cluster
    }

    fn elect(&mut self, next: usize) {
        let was = std::mem::replace(&mut self.leader, next);
        // The one that was deposed may learn of it late; it must not matter.
        if was != next && self.rng.random_bool(0.5) {
            self.members[was].lessor.demote();
        }
        self.catch_up(next);
        // A renewal may come between the election and the lessor's promotion.
        if self.rng.random_bool(0.3) {
            self.renew();
        }
        let lessor = &mut self.members[next].lessor;
        lessor.demote();
        lessor.promote(self.now, EXTENSION);
        self.leaders += 1;
    }

    fn catch_up(&mut self, member: usize) {
        let Member { lessor, applied } = &mut self.members[member];
        for entry in &self.log[*applied..] {
            match *entry {
                Entry::Grant(id, ttl) => assert!(lessor.grant(id, ttl, self.now)),
                Entry::Revoke(id) => assert!(lessor.revoke(id)),
                Entry::Checkpoint(id, remaining) => _ = lessor.checkpointed(id, remaining),
            }
        }
        *applied = self.log.len();
    }

    fn propose(&mut self, entry: Entry) {
        self.log.push(entry);
        self.catch_up(self.leader);
    }

    fn grant(&mut self) {
        const IDS: [i64; 8] = [i64::MIN, i64::MAX, -1, 0, 1, 0x7000_0000_0000_0001, -77, 42];
        let id = IDS[self.rng.random_range(0..IDS.len())];
        let ttl = [2, 10, 500, 5000, super::TTL_MAX][self.rng.random_range(0..5)];
        let taken = self.model.contains_key(&id);
        assert_eq!(self.members[self.leader].lessor.exists(id), taken);
        if !taken {
            self.propose(Entry::Grant(id, ttl));
            self.model.insert(id, (ttl, self.now));
        }
    }

    fn some_lease(&mut self) -> Option<i64> {
        let n = self.rng.random_range(0..self.model.len().max(1));
        self.model.keys().nth(n).copied()
    }

    fn renew(&mut self) {
        let Some(id) = self.some_lease() else { return };
        let Some(Renewed { ttl, clears_checkpoint }) = self.members[self.leader].lessor.renew(id, self.now) else {
            return;
        };
        assert_eq!(ttl, self.model[&id].0);
        if clears_checkpoint {
            self.cleared += 1;
            self.propose(Entry::Checkpoint(id, 0));
        }
        self.model.insert(id, (ttl, self.now));
    }

    fn revoke(&mut self) {
        if let Some(id) = self.some_lease() {
            self.propose(Entry::Revoke(id));
            self.model.remove(&id);
            assert_eq!(self.members[self.leader].lessor.renew(id, self.now), None);
        }
    }

    fn end_expired(&mut self) {
        let max = self.rng.random_range(1..4);
        for id in self.members[self.leader].lessor.expired(self.now, max) {
            let (ttl, told) = self.model[&id];
            assert!(self.now >= told + Duration::from_secs(ttl as u64), "lease {id} ended early");
            let lessor = &mut self.members[self.leader].lessor;
            assert_eq!(lessor.renew(id, self.now), None, "its end was reached");
            assert_eq!(lessor.remaining(id, self.now), None);
            if self.rng.random_bool(0.3) {
                lessor.not_ended(id, self.now + SECOND);
            } else {
                self.propose(Entry::Revoke(id));
                self.model.remove(&id);
                self.ended += 1;
            }
        }
    }

    fn checkpoint(&mut self) {
        for (id, remaining) in self.members[self.leader].lessor.due_checkpoints(self.now, 3) {
            assert!(remaining > 0 && remaining < self.model[&id].0);
            // It is proposed, and something else may be applied first.
            if self.rng.random_bool(0.5) {
                self.renew();
            }
            self.propose(Entry::Checkpoint(id, remaining));
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..15 => self.grant(),
            15..50 => self.renew(),
            50..53 => self.revoke(),
            53..70 => self.end_expired(),
            70..80 => self.checkpoint(),
            80..85 => {
                let next = self.rng.random_range(0..self.members.len());
                self.elect(next);
            }
            85..90 => {
                let member = self.rng.random_range(0..self.members.len());
                self.catch_up(member);
            }
            _ => self.now += Duration::from_millis([1, 700, 3000, 60_000, 400_000][self.rng.random_range(0..5)]),
        }
    }
}

#[tokio::test]
async fn no_lease_ends_before_its_ttl_since_the_last_answer_across_leaders_and_checkpoints() {
    let (mut ended, mut cleared, mut leaders) = (0, 0, 0);
    for seed in 0..300 {
        println!("seed {seed}");
        let mut cluster = Cluster::new(seed);
        for _ in 0..400 {
            cluster.step();
        }
        ended += cluster.ended;
        cleared += cluster.cleared;
        leaders += cluster.leaders;
    }
    assert!(ended > 1000 && cleared > 100 && leaders > 3000, "{ended} {cleared} {leaders}");
}

#[tokio::test]
async fn a_lease_that_nobody_renews_ends_although_the_leader_changes_often() {
    let ttl = 3600;
    let mut cluster = Cluster::new(1);
    cluster.propose(Entry::Grant(7, ttl));
    let start = cluster.now;
    let mut next_election = start + Duration::from_secs(700);
    loop {
        cluster.now += SECOND;
        let lessor = &mut cluster.members[cluster.leader].lessor;
        if lessor.expired(cluster.now, 1) == [7] {
            break;
        }
        for (id, remaining) in lessor.due_checkpoints(cluster.now, 10) {
            cluster.propose(Entry::Checkpoint(id, remaining));
        }
        if cluster.now >= next_election {
            next_election += Duration::from_secs(700);
            let next = (cluster.leader + 1) % 3;
            cluster.catch_up(next);
            cluster.leader = next;
            cluster.members[next].lessor.promote(cluster.now, EXTENSION);
            cluster.leaders += 1;
        }
        assert!(cluster.now < start + Duration::from_secs(2 * 3600), "it lives for ever");
    }
    assert!(cluster.leaders > 3);
    let lived = cluster.now - start;
    assert!(lived >= Duration::from_secs(3600) && lived < Duration::from_secs(5400), "{lived:?}");
}

#[tokio::test]
async fn a_member_that_does_not_lead_ends_nothing_and_lists_everything() {
    let now = Instant::now();
    let mut lessor = Lessor::new();
    let record = |id, granted, remaining| Record { id, granted, remaining };
    lessor.load([record(3, 50, 0), record(-9, 10, 0), record(5, 500, 20)]);
    assert_eq!(lessor.ids_by_expiry(), [-9, 5, 3]);
    assert!(lessor.next_due().is_none() && lessor.expired(now + 900 * SECOND, 9).is_empty());
    assert_eq!((lessor.remaining(5, now), lessor.remaining(6, now)), (Some((20, 500)), None));

    lessor.promote(now, EXTENSION);
    assert_eq!(lessor.next_due(), Some(now + 11 * SECOND));
    assert_eq!(lessor.renew(3, now + 40 * SECOND).map(|renewed| renewed.clears_checkpoint), Some(false));
    assert_eq!(lessor.renew(5, now).map(|renewed| renewed.clears_checkpoint), Some(true));
    assert_eq!(lessor.ids_by_expiry(), [-9, 3, 5]);
    assert_eq!(lessor.expired(now + 60 * SECOND, 9), [-9]);
    assert_eq!(lessor.expired(now + 60 * SECOND, 9), [0; 0], "it is given once");

    lessor.demote();
    assert!(lessor.expired(now + 900 * SECOND, 9).is_empty());
    assert!(lessor.exists(-9), "only apply removes leases");
}

#[tokio::test]
async fn a_renewal_while_a_checkpoint_is_on_its_way_clears_it() {
    let now = Instant::now();
    let mut lessor = Lessor::new();
    lessor.promote(now, EXTENSION);
    assert!(lessor.grant(1, 2000, now));
    let due = now + CHECKPOINT_INTERVAL;
    assert_eq!(lessor.due_checkpoints(due, 9), [(1, 1700)]);
    assert!(lessor.renew(1, due).is_some_and(|renewed| renewed.clears_checkpoint));
    assert_eq!(lessor.checkpointed(1, 1700), Some(2000));
    assert!(lessor.renew(1, due).is_some_and(|renewed| renewed.clears_checkpoint));
    assert_eq!(lessor.checkpointed(1, 0), Some(2000));
    assert!(lessor.renew(1, due).is_some_and(|renewed| !renewed.clears_checkpoint));
    assert_eq!(lessor.checkpointed(2, 5), None);
}
