//! Lists that grow by one element a transaction: what the check for cycles reads.
//!
//! A list is the value of a key, its elements apart by commas. An append reads the list and writes it longer if nobody has
//! written meanwhile. A list that is long is left for a new one.

use super::Worker;
use crate::history::{Answer, Compare, Put, Range, Relation, Request, TEXT_BYTES_MAX, Target, Txn};

/// Lists in use at a time.
const LISTS: u64 = 3;

/// Bytes at which a list is left: values must stand in the history as they are.
const LIST_BYTES_MAX: usize = TEXT_BYTES_MAX - 40;

pub(super) async fn work(worker: &mut Worker) {
    let mut generation = 0u64;
    loop {
        let key = format!("list/{generation}/{}", worker.random.below(LISTS));
        let read = worker.session.ask(Request::Range(Range { key: key.clone(), ..Range::default() })).await;
        let Some(Answer::Range(ranged)) = read.ok().map(|answered| answered.answer) else {
            worker.rest().await;
            continue;
        };
        let (list, mod_revision) =
            ranged.kvs.first().map_or((String::new(), 0), |kv| (kv.value.clone(), kv.mod_revision));
        if list.len() > LIST_BYTES_MAX {
            generation += 1;
            continue;
        }
        let element = worker.value();
        let longer = if list.is_empty() { element } else { format!("{list},{element}") };
        let txn = Txn {
            compares: vec![Compare { key: key.clone(), is: Relation::Equal, to: Target::Mod(mod_revision) }],
            success: vec![Request::Put(Put { key: key.clone(), value: longer, ..Put::default() })],
            failure: vec![Request::Range(Range { key, ..Range::default() })],
        };
        worker.session.ask(Request::Txn(txn)).await;
        worker.rest().await;
    }
}
