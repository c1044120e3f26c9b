//! The end of a run: everybody at the same index, the final reads, the hashes.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::fault::{Error, Ground};
use crate::history::{Event, HashKv, MemberStep, Range, Request};
use fairlead_client::etcd::pb;

/// Keys of one final read: its answer has to fit a line of the history.
const KEYS_MAX: i64 = 5_000;
/// Statuses cannot be subscribed to.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until all members have applied the same and records how far each is; the highest revision.
pub(super) async fn converge(ground: &Ground, within: Duration) -> i64 {
    let (names, until) = (ground.names(), Instant::now() + within);
    loop {
        let statuses = join_all(names.iter().map(|name| ground.status(name))).await;
        let mut applied = Vec::new();
        let mut revisions = Vec::new();
        for (name, status) in names.iter().zip(&statuses) {
            let Some(status) = status else { continue };
            let revision = status.header.as_ref().map_or(0, |header| header.revision);
            applied.push(status.raft_applied_index);
            revisions.push(revision);
            let step = MemberStep::Status { applied: status.raft_applied_index, revision, term: status.raft_term };
            ground.recorder.member(ground.number(name), step);
        }
        let same = applied.len() == names.len() && applied.iter().min() == applied.iter().max();
        if same || Instant::now() > until {
            return revisions.into_iter().max().unwrap_or(0);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Reads everything, in ranges that the recorder can hold, each from another member; whether all of it succeeded.
pub(super) async fn read_all(ground: &Ground) -> Result<bool, Error> {
    let mut session = ground.session(0)?;
    let (mut from, mut complete) = ("\0".to_owned(), true);
    loop {
        let end = boundary(ground, &from).await;
        let range = Range { key: from.clone(), end: Some(end.clone().unwrap_or("\0".to_owned())), ..Range::default() };
        complete &= session.ask(Request::Range(range)).await.ok().is_some();
        session.move_on();
        match end {
            Some(end) => from = end,
            None => return Ok(complete),
        }
    }
}

/// Where the next read begins; `None` behind the last key.
async fn boundary(ground: &Ground, from: &str) -> Option<String> {
    let request = pb::RangeRequest {
        key: from.to_owned().into(),
        range_end: "\0".into(),
        limit: KEYS_MAX + 1,
        keys_only: true,
        ..Default::default()
    };
    for name in ground.names() {
        if let Ok(answer) = ground.admin(&name).range(request.clone()).await {
            let next = answer.kvs.get(usize::try_from(KEYS_MAX).ok()?)?;
            return Some(String::from_utf8_lossy(&next.key).into_owned());
        }
    }
    None
}

/// Records each member's hash at one revision.
pub(super) async fn hashes(ground: &Ground, revision: i64) {
    for name in ground.names() {
        match ground.admin(&name).hash_kv(revision).await {
            Ok(answer) => ground.recorder.record(&Event::HashKv(HashKv {
                member: ground.number(&name),
                revision,
                compact_revision: answer.compact_revision,
                hash: answer.hash,
            })),
            // Not recorded, it is missed by the checker.
            Err(error) => tracing::warn!(member = name, %error, "no hash of the keys"),
        }
    }
}
