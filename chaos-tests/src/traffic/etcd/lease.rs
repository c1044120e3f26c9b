//! Leases: granted with ids of ours, renewed through any member, asked about, revoked, or left to end; each with two keys.

use std::time::Duration;

use super::{Told, Worker};
use crate::history::{Answer, Code, Failure, Grant, KeepAlive, Put, Range, Request, Revoke, TimeToLive};

/// Renewals of one lease at most.
const RENEWALS_MAX: u64 = 6;

/// Between two renewals.
const RENEW_EVERY: Duration = Duration::from_millis(400);

pub(super) async fn work(worker: &mut Worker) {
    for number in 1i64.. {
        let lease = (i64::try_from(worker.index).unwrap_or(0) + 1) * 1_000_000 + number;
        life(worker, lease).await;
        worker.rest().await;
    }
}

async fn life(worker: &mut Worker, lease: i64) {
    let ttl = 2 + i64::try_from(worker.random.below(4)).unwrap_or(0);
    if !matches!(worker.session.ask(Request::Grant(Grant { lease, ttl })).await, Told::Ok(_)) {
        return;
    }
    let key = |part: &str| format!("l/{lease}/{part}");
    for part in ["a", "b"] {
        let put = Put { key: key(part), value: worker.value(), lease, ..Put::default() };
        worker.session.ask(Request::Put(put)).await;
    }
    for _ in 0..worker.random.below(RENEWALS_MAX) {
        tokio::time::sleep(RENEW_EVERY).await;
        if worker.random.chance(300) {
            worker.session.move_on();
        }
        let told = worker.session.ask(Request::KeepAlive(KeepAlive { lease })).await;
        if gone(&told) {
            break;
        }
        if worker.random.chance(200) {
            worker.session.ask(Request::TimeToLive(TimeToLive { lease })).await;
        }
    }
    if worker.random.chance(500) {
        worker.session.ask(Request::Revoke(Revoke { lease })).await;
        // A renewal after it must not succeed, whoever is asked.
        worker.session.move_on();
        worker.session.ask(Request::KeepAlive(KeepAlive { lease })).await;
    }
    let all = Range { key: key(""), end: Some(key("z")), ..Range::default() };
    worker.session.ask(Request::Range(all)).await;
}

fn gone(told: &Told) -> bool {
    match told {
        Told::Ok(answered) => matches!(&answered.answer, Answer::KeptAlive(kept) if kept.ttl <= 0),
        Told::Failed(Failure { code, .. }) => *code == Code::LeaseNotFound,
        Told::Unknown => false,
    }
}
