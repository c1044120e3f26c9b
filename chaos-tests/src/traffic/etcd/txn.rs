//! Compare-and-swap by revision or by value, and transactions that write, read and delete several keys at once.

use super::Worker;
use crate::history::{Answer, Compare, Delete, KeyValue, Put, Range, Relation, Request, Target, Txn};

const KEYS: u64 = 6;

/// With `old`, transactions now and then read at an old revision.
pub(super) async fn work(worker: &mut Worker, old: bool) {
    loop {
        let key = format!("c/{}", worker.random.below(KEYS));
        match worker.random.below(3) {
            0 => several(worker, key, old).await,
            _ => swap(worker, key).await,
        }
        worker.rest().await;
    }
}

/// Reads, then writes if nobody has written meanwhile.
async fn swap(worker: &mut Worker, key: String) {
    let read = worker.session.ask(Request::Range(Range { key: key.clone(), ..Range::default() })).await;
    let Some(answered) = read.ok() else { return };
    let Answer::Range(ranged) = answered.answer else { return };
    let seen: Option<&KeyValue> = ranged.kvs.first();
    let to = match seen {
        Some(kv) if worker.random.chance(300) => Target::Value(kv.value.clone()),
        Some(kv) if worker.random.chance(300) => Target::Version(kv.version),
        _ => Target::Mod(seen.map_or(0, |kv| kv.mod_revision)),
    };
    let put = Put { key: key.clone(), value: worker.value(), ..Put::default() };
    let txn = Txn {
        compares: vec![Compare { key: key.clone(), is: Relation::Equal, to }],
        success: vec![Request::Put(put)],
        failure: vec![Request::Range(Range { key, ..Range::default() })],
    };
    worker.session.ask(Request::Txn(txn)).await;
}

/// Two keys change together, and the transaction reads what it has written.
async fn several(worker: &mut Worker, key: String, old: bool) {
    let other = format!("{key}x");
    let value = worker.value();
    let put = |key: &String| Request::Put(Put { key: key.clone(), value: value.clone(), ..Put::default() });
    let revision = if old && worker.random.chance(200) { worker.seen_revision.saturating_sub(20).max(0) } else { 0 };
    let range = Request::Range(Range { key: key.clone(), end: Some(format!("{key}z")), revision, ..Range::default() });
    let delete = Request::Delete(Delete { key: other.clone(), previous: true, ..Delete::default() });
    let txn = Txn {
        compares: vec![Compare { key: other.clone(), is: Relation::Greater, to: Target::Version(2) }],
        success: vec![put(&key), delete, range.clone()],
        failure: vec![put(&key), put(&other), range],
    };
    let told = worker.session.ask(Request::Txn(txn)).await;
    worker.seen_revision = told.revision().unwrap_or(worker.seen_revision);
}
