//! Elections: campaign, write what the leader guards, resign.

use std::time::Duration;

use super::Worker;
use super::lock::guard;
use crate::history::{Answer, Campaign, Grant, Request, Resign, Revoke};

/// How long a candidate waits to win.
const WON_WITHIN: Duration = Duration::from_secs(3);

/// Seconds.
const TTL: i64 = 2;

const NAME: &str = "election/0";

pub(super) async fn work(worker: &mut Worker) {
    for number in 1i64.. {
        let lease = (i64::try_from(worker.index).unwrap_or(0) + 1) * 1_000_000 + number;
        if worker.session.ask(Request::Grant(Grant { lease, ttl: TTL })).await.revision().is_some() {
            let campaign = Campaign { name: NAME.to_owned(), lease, value: worker.value() };
            let told = worker.session.ask_within(Request::Campaign(campaign), WON_WITHIN).await;
            if let Some(Answer::Held(held)) = told.ok().map(|answered| answered.answer) {
                guard(worker, NAME, &held, lease).await;
                worker.session.ask(Request::Resign(Resign { key: held.key, token: held.token })).await;
            }
            worker.session.ask(Request::Revoke(Revoke { lease })).await;
        }
        worker.rest().await;
    }
}
