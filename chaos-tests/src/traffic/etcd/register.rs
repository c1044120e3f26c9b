//! Puts, gets and deletes of ten keys; and puts of keys that are written once.

use super::{Told, Worker};
use crate::history::{Delete, Put, Range, Request};

/// Few, so that clients meet.
const KEYS: u64 = 10;

/// How far back old revisions are read.
const BACK: u64 = 50;

pub(super) async fn work(worker: &mut Worker) {
    let mut revision = 0;
    loop {
        let key = format!("r/{}", worker.random.below(KEYS));
        let request = match worker.random.below(100) {
            0..45 => {
                let previous = worker.random.chance(300);
                Request::Put(Put { key, value: worker.value(), previous, ..Put::default() })
            }
            45..75 => Request::Range(Range { key, ..Range::default() }),
            75..85 => Request::Range(Range { key, serializable: true, ..Range::default() }),
            85..88 => {
                let revision = revision - i64::try_from(worker.random.below(BACK)).unwrap_or(0);
                Request::Range(Range { key, revision: revision.max(0), ..Range::default() })
            }
            88..92 => Request::Range(Range { key: "r/".into(), end: Some("r0".into()), ..Range::default() }),
            92..99 => Request::Delete(Delete { key, previous: true, ..Delete::default() }),
            _ => Request::Delete(Delete { key, end: Some("r/9".into()), ..Delete::default() }),
        };
        let told = worker.session.ask(request).await;
        revision = told.revision().unwrap_or(revision);
        worker.rest().await;
    }
}

/// Every put has a key of its own: an acknowledged one that is gone afterwards cannot have been overwritten.
pub(super) async fn unique(worker: &mut Worker) {
    for number in 0u64.. {
        let key = format!("u/{}/{number:07}", worker.index);
        let put = Put { key: key.clone(), value: worker.value(), ..Put::default() };
        let told = worker.session.ask(Request::Put(put)).await;
        if matches!(told, Told::Ok(_)) && worker.random.chance(100) {
            worker.session.ask(Request::Range(Range { key, ..Range::default() })).await;
        }
        worker.rest().await;
    }
}
