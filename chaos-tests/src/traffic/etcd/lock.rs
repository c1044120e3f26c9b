//! Locks with a fencing token: the owner key's create revision guards every write of the resource.
//!
//! A holder writes only in a transaction that its owner key still exists as it was created; the write carries the token, and
//! the checker refuses a lower token after a higher. That two clients *believe* they hold the lock at once is not asserted:
//! no lock service can promise it (Jepsen's etcd 3.4.3 report).

use std::time::Duration;

use super::Worker;
use crate::history::{
    Answer, Compare, Grant, Held, KeepAlive, Lock, Put, Relation, Request, Revoke, Target, Txn, Unlock,
};

/// How long a lock is waited for.
const LOCK_WITHIN: Duration = Duration::from_secs(3);

/// Seconds; short, so that a paused holder loses it.
const TTL: i64 = 2;

/// Longer than the lease lives without a renewal.
const PAUSED: Duration = Duration::from_secs(6);

const LOCKS: u64 = 2;

/// Fenced writes under one lock at most.
const WRITES_MAX: u64 = 4;

pub(super) async fn work(worker: &mut Worker) {
    for number in 1i64.. {
        let lease = (i64::try_from(worker.index).unwrap_or(0) + 1) * 1_000_000 + number;
        let name = format!("lock/{}", worker.random.below(LOCKS));
        if worker.session.ask(Request::Grant(Grant { lease, ttl: TTL })).await.revision().is_some() {
            let told = worker.session.ask_within(Request::Lock(Lock { name: name.clone(), lease }), LOCK_WITHIN).await;
            if let Some(Answer::Held(held)) = told.ok().map(|answered| answered.answer) {
                guard(worker, &name, &held, lease).await;
                worker.session.ask(Request::Unlock(Unlock { key: held.key })).await;
            }
            worker.session.ask(Request::Revoke(Revoke { lease })).await;
        }
        worker.rest().await;
    }
}

/// Writes the resource behind a lock or an election, fenced.
pub(super) async fn guard(worker: &mut Worker, name: &str, held: &Held, lease: i64) {
    if worker.random.chance(100) {
        // A holder that was paused: it goes on as if it held the lock, and its fenced write has to fail (etcd#11408).
        tokio::time::sleep(PAUSED).await;
    }
    for _ in 0..=worker.random.below(WRITES_MAX) {
        let key = format!("fenced/{name}");
        let value = format!("{}:{}", held.token, worker.value());
        let owner = Compare { key: held.key.clone(), is: Relation::Equal, to: Target::Create(held.token) };
        let put = Request::Put(Put { key, value, ..Put::default() });
        let txn = Txn { compares: vec![owner], success: vec![put], failure: Vec::new() };
        worker.session.ask(Request::Txn(txn)).await;
        worker.session.ask(Request::KeepAlive(KeepAlive { lease })).await;
        worker.rest().await;
    }
}
