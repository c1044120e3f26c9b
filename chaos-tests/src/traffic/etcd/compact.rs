//! Compactions close behind the present, reads at both sides of the compacted revision, and watches from it.

use super::{Worker, watch};
use crate::history::{Compact, Delete, Put, Range, Request};

/// How far behind the present it compacts.
const BEHIND: u64 = 200;

pub(super) async fn work(worker: &mut Worker) {
    let mut compacted = 0;
    for round in 0u64.. {
        if compacted > 0 {
            // The compacted revision's own events are still owed to a watch from it.
            watch::look_from(worker, compacted).await;
        }
        // A key with exactly two revisions, so that a compaction meets its tombstone (etcd#18089, #19179).
        let key = format!("t/{}/{round}", worker.index);
        let put = Put { key: key.clone(), value: worker.value(), ..Put::default() };
        worker.session.ask(Request::Put(put)).await;
        let deleted = worker.session.ask(Request::Delete(Delete { key: key.clone(), ..Delete::default() })).await;
        if let Some(now) = deleted.revision() {
            let revision = if worker.random.chance(200) {
                now
            } else {
                now - i64::try_from(worker.random.below(BEHIND)).unwrap_or(0)
            };
            if revision > compacted {
                let compact = Compact { revision, physical: worker.random.chance(300) };
                if worker.session.ask(Request::Compact(compact)).await.revision().is_some() {
                    compacted = revision;
                }
            }
            for at in [compacted - 1, compacted, compacted + 1] {
                worker.session.move_on();
                let range = Range { key: key.clone(), revision: at.max(1), ..Range::default() };
                worker.session.ask(Request::Range(range)).await;
            }
        }
        worker.rest().await;
    }
}
