//! A cluster of one for tests of the services: proposals are applied at once, and every failure can be asked for.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;
use prometheus::Registry;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Context, Leases, Limits, Parts, Snapshots};
use crate::alarm::Alarms;
use crate::apply::{Applied, Command, Outcome, Refusal};
use crate::disk::Reserve;
use crate::engine::mem::MemEngine;
use crate::member::Members;
use crate::metrics::Metrics;
use crate::mvcc::{self, Mvcc, Writer};
use crate::quota::Quota;
use crate::raft::{Consensus, LeaseTime, MemberId, RaftStatus, Unserved};
use crate::watch::{self as watch_room, Hub, RevisionEvents, Source, SourceError};

/// This member, in all tests.
pub(crate) const MEMBER: u64 = 0xa1;

/// Its cluster.
pub(crate) const CLUSTER: u64 = 0xc1;

/// Applies what is proposed, at once.
pub(crate) struct Single {
    writer: Mutex<Writer>,
    hub: Hub,
    alarms: Alarms,
    leases: Mutex<BTreeMap<i64, i64>>,
    status: Mutex<RaftStatus>,
    leader: watch::Sender<Option<MemberId>>,
    unserved: Mutex<Option<Unserved>>,
    proposed: AtomicUsize,
    barriers: AtomicUsize,
    /// Snapshots then end with a wrong digest.
    pub(crate) damage_snapshots: AtomicBool,
    /// Proposals and barriers then wait for ever, as without a quorum.
    pub(crate) stalled: AtomicBool,
}

impl Single {
    /// From now on every call ends with this.
    pub(crate) fn refuse(&self, unserved: Option<Unserved>) {
        *lock(&self.unserved) = unserved;
    }

    /// Changes what is known of the group.
    pub(crate) fn set_status(&self, change: impl FnOnce(&mut RaftStatus)) {
        let mut status = lock(&self.status);
        change(&mut status);
        self.leader.send_replace(status.leader.map(MemberId));
    }

    /// Proposals so far.
    pub(crate) fn proposed(&self) -> usize {
        self.proposed.load(Ordering::SeqCst)
    }

    /// Barriers so far.
    pub(crate) fn barriers(&self) -> usize {
        self.barriers.load(Ordering::SeqCst)
    }

    fn apply(&self, command: Command) -> (i64, Result<Outcome, Refusal>) {
        let mut writer = lock(&self.writer);
        let leases = lock(&self.leases).clone();
        let exists = |id: i64| leases.contains_key(&id);
        let full = self.alarms.no_space();
        let mut group = writer.begin();
        let outcome = match command {
            Command::Put(_) if full => Err(Refusal::NoSpace),
            Command::Put(r) => group.put(&r, &exists).unwrap().map(Outcome::Put),
            Command::DeleteRange(r) => group.delete_range(&r).unwrap().map(Outcome::DeleteRange),
            Command::Txn(r) => group.txn(&r, &exists).unwrap().map(Outcome::Txn),
            Command::Compact(r) => group.compact(r.revision).unwrap().map(|()| Outcome::Compact),
            Command::LeaseGrant(r) => {
                let taken = lock(&self.leases).insert(r.id, r.ttl).is_some();
                if taken { Err(Refusal::LeaseExists) } else { Ok(Outcome::LeaseGrant { id: r.id, ttl: r.ttl }) }
            }
            Command::LeaseRevoke(r) => {
                let known = lock(&self.leases).remove(&r.id).is_some();
                group.revoke(r.id).unwrap();
                if known { Ok(Outcome::LeaseRevoke) } else { Err(Refusal::LeaseNotFound) }
            }
            Command::Alarm(r) => Ok(Outcome::Alarm(self.alarm(&r))),
            Command::MemberPublish { .. } => Ok(Outcome::MemberPublish),
            Command::LeaseExpire { .. } => Ok(Outcome::LeaseRevoke),
            Command::LeaseCheckpoint(_) => Ok(Outcome::LeaseCheckpoint),
        };
        let revision = group.revision();
        self.hub.publish(group.commit().unwrap());
        (revision, outcome)
    }

    fn alarm(&self, r: &pb::AlarmRequest) -> Vec<pb::AlarmMember> {
        let kinds = [pb::AlarmType::Nospace, pb::AlarmType::Corrupt];
        let kinds = kinds.into_iter().filter(|kind| r.alarm == 0 || r.alarm == *kind as i32);
        let activate = r.action == pb::alarm_request::AlarmAction::Activate as i32;
        let changed = kinds.filter(|kind| {
            if activate { self.alarms.activate(r.member_id, *kind) } else { self.alarms.deactivate(r.member_id, *kind) }
        });
        changed.map(|kind| pb::AlarmMember { member_id: r.member_id, alarm: kind as i32 }).collect()
    }

    async fn goes_on(&self) {
        if self.stalled.load(Ordering::SeqCst) {
            std::future::pending().await
        }
    }

    fn served(&self) -> Result<(), Unserved> {
        lock(&self.unserved).clone().map_or(Ok(()), Err)
    }
}

#[tonic::async_trait]
impl Consensus for Single {
    async fn propose(&self, command: Command) -> Result<Applied, Unserved> {
        self.served()?;
        self.goes_on().await;
        let index = self.proposed.fetch_add(1, Ordering::SeqCst) as u64 + 1;
        let (revision, outcome) = self.apply(command);
        Ok(Applied { revision, index, outcome })
    }

    async fn read_barrier(&self) -> Result<(), Unserved> {
        self.barriers.fetch_add(1, Ordering::SeqCst);
        self.goes_on().await;
        self.served()
    }

    async fn renew_lease(&self, id: i64) -> Result<Option<i64>, Unserved> {
        self.served()?;
        Ok(lock(&self.leases).get(&id).copied())
    }

    async fn lease_time(&self, id: i64) -> Result<Option<LeaseTime>, Unserved> {
        self.served()?;
        Ok(lock(&self.leases).get(&id).map(|&ttl| LeaseTime { remaining: ttl, granted: ttl }))
    }

    async fn move_leader(&self, _target: MemberId) -> Result<(), Unserved> {
        self.served()
    }

    fn status(&self) -> RaftStatus {
        lock(&self.status).clone()
    }

    fn watch_leader(&self) -> watch::Receiver<Option<MemberId>> {
        self.leader.subscribe()
    }
}

impl Leases for Single {
    fn ids_by_expiry(&self) -> Vec<i64> {
        lock(&self.leases).keys().copied().collect()
    }
}

impl Snapshots for Single {
    /// A form of its own: 100,000 bytes and their digest.
    fn create(&self) -> std::io::Result<std::fs::File> {
        let state: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
        let mut file = tempfile::tempfile()?;
        file.write_all(&state)?;
        let mut digest = Sha256::digest(&state).to_vec();
        if self.damage_snapshots.load(Ordering::SeqCst) {
            digest[0] ^= 1;
        }
        file.write_all(&digest)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// What the hub reads from.
struct History(Mvcc);

impl Source for History {
    fn revision(&self) -> i64 {
        self.0.revision()
    }

    fn compact_revision(&self) -> i64 {
        self.0.compact_revision()
    }

    fn events(&self, from: i64, revisions: usize, bytes: usize) -> Result<Vec<RevisionEvents>, SourceError> {
        self.0.read(|view| view.events(from, revisions, bytes)).map_err(|error| match error {
            mvcc::Error::Compacted => SourceError::Compacted,
            other => SourceError::Failed(other.to_string()),
        })
    }

    fn previous(&self, key: &[u8], previous: (i64, i64)) -> Result<Option<Bytes>, SourceError> {
        let read = self.0.read(|view| view.previous(key, previous));
        read.map_err(|error| SourceError::Failed(error.to_string()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A context on a cluster of one, and the handle that makes it fail. `change` sees the parts first.
pub(crate) fn context_with(change: impl FnOnce(&mut Parts)) -> (Context, Arc<Single>) {
    let (mvcc, writer) = Mvcc::open(Arc::new(MemEngine::new()), mvcc::Config::default()).unwrap();
    let hub = Hub::new(Arc::new(History(mvcc.clone())), watch_room::Config::default(), StdRng::seed_from_u64(1));
    let alarms = Alarms::default();
    let status = RaftStatus {
        member: MEMBER,
        cluster: CLUSTER,
        leader: Some(MEMBER),
        term: 5,
        last_index: 12,
        committed_index: 11,
        applied_index: 10,
        learner: false,
    };
    let single = Arc::new(Single {
        writer: Mutex::new(writer),
        hub: hub.clone(),
        alarms: alarms.clone(),
        leases: Mutex::default(),
        status: Mutex::new(status),
        leader: watch::Sender::new(Some(MemberId(MEMBER))),
        unserved: Mutex::default(),
        proposed: AtomicUsize::new(0),
        barriers: AtomicUsize::new(0),
        damage_snapshots: AtomicBool::new(false),
        stalled: AtomicBool::new(false),
    });
    let mut parts = Parts {
        consensus: single.clone(),
        mvcc,
        hub,
        leases: single.clone(),
        snapshots: single.clone(),
        members: Members::default(),
        alarms,
        quota: Quota::from_flag(0),
        disk: Reserve::new(Path::new("/"), 0),
        limits: Limits::default(),
        metrics: Metrics::new(Registry::new()).unwrap(),
        rng: Mutex::new(StdRng::seed_from_u64(2)),
        shutdown: CancellationToken::new(),
    };
    change(&mut parts);
    (Context::new(parts), single)
}

/// Everything settles: every task has run until it waits for something else.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    // Reads on blocking threads are no tasks of this runtime: give them real time, then run what they wake.
    tokio::task::spawn_blocking(|| std::thread::sleep(std::time::Duration::from_millis(20))).await.unwrap();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// As [`context_with`], with etcd's defaults.
pub(crate) fn context() -> (Context, Arc<Single>) {
    context_with(|_| {})
}
