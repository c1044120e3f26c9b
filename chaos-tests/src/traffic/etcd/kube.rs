//! What an API server sends: objects created, updated and deleted by transactions on their revision, lists in pages at one
//! revision, counts.
//!
//! Source: kubernetes `staging/src/k8s.io/apiserver/pkg/storage/etcd3/store.go` (the requests' shapes).

use super::Worker;
use crate::history::{Answer, Compare, Delete, Put, Range, Relation, Request, Target, Txn};

const OBJECTS: u64 = 30;
const PAGE: i64 = 10;
const FIRST: &str = "/registry/pods/";
const END: &str = "/registry/pods0";

pub(super) async fn work(worker: &mut Worker) {
    loop {
        match worker.random.below(10) {
            0 => list(worker).await,
            1 => {
                let count = Range { key: FIRST.into(), end: Some(END.into()), count_only: true, ..Range::default() };
                worker.session.ask(Request::Range(count)).await;
            }
            _ => change(worker).await,
        }
        worker.rest().await;
    }
}

/// Pages, all at the revision of the first.
async fn list(worker: &mut Worker) {
    let (mut key, mut revision) = (FIRST.to_owned(), 0);
    loop {
        let page = Range { key, end: Some(END.into()), limit: PAGE, revision, ..Range::default() };
        let Some(answered) = worker.session.ask(Request::Range(page)).await.ok() else { return };
        let Answer::Range(ranged) = answered.answer else { return };
        if revision == 0 {
            revision = answered.revision;
        }
        match ranged.kvs.last() {
            Some(last) if ranged.more => key = format!("{}\0", last.key),
            _ => return,
        }
    }
}

/// Get, then create, update or delete what was seen.
async fn change(worker: &mut Worker) {
    let key = format!("{FIRST}ns{}/pod{}", worker.random.below(3), worker.random.below(OBJECTS / 3));
    let get = Range { key: key.clone(), ..Range::default() };
    let Some(answered) = worker.session.ask(Request::Range(get.clone())).await.ok() else { return };
    let Answer::Range(ranged) = answered.answer else { return };
    let seen = ranged.kvs.first().map_or(0, |kv| kv.mod_revision);
    let write = if seen != 0 && worker.random.chance(200) {
        Request::Delete(Delete { key: key.clone(), previous: true, ..Delete::default() })
    } else {
        Request::Put(Put { key: key.clone(), value: worker.value(), ..Put::default() })
    };
    let txn = Txn {
        compares: vec![Compare { key, is: Relation::Equal, to: Target::Mod(seen) }],
        success: vec![write],
        failure: vec![Request::Range(get)],
    };
    worker.session.ask(Request::Txn(txn)).await;
}
