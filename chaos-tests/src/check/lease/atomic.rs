//! I-31: all keys of a lease that is over vanish in one revision, and come in one response of a watch.
//!
//! After the revision at which the lease ended nobody is shown one of its keys any more, and no watch is told of the delete
//! of one of them at another revision.

use std::collections::BTreeMap;

use super::ends;
use crate::check::evidence::{Evidence, Mark};
use crate::check::verdict::{Findings, Verdict};
use crate::history::{KeyValue, Request, WatchEvent};

pub(crate) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    // Lease ids are not used again, or this keeps the last end.
    let over: BTreeMap<i64, i64> = ends(evidence).into_iter().map(|end| (end.lease, end.revision)).collect();
    if over.is_empty() {
        return findings
            .verdict_with((!evidence.settled.exact).then(|| "no log tells of the ends of leases".to_owned()));
    }
    let mut shown = |mark: Mark, kv: &KeyValue, at: i64| {
        let Some(end) = over.get(&kv.lease).filter(|end| kv.mod_revision < **end && kv.lease != 0) else { return };
        findings.judged();
        if at >= *end {
            findings.broken(mark, &[], || {
                format!("{:?} is shown at revision {at}, but its lease {} ended at {end}", kv.key, kv.lease)
            });
        }
    };
    for op in &evidence.ops {
        let old = matches!(op.request, Request::Range(range) if range.revision > 0);
        if let Some((mark, answered)) = op.ok().filter(|_| !old) {
            answered.answer.shown().into_iter().for_each(|kv| shown(mark, kv, answered.revision));
        }
    }
    for run in &evidence.watches {
        // Of each key, the lease it was seen attached to.
        let mut attached: BTreeMap<&str, &KeyValue> = BTreeMap::new();
        for (mark, event) in run.events() {
            match event {
                WatchEvent::Put { kv, .. } => {
                    attached.insert(&kv.key, kv);
                }
                WatchEvent::Delete { key, mod_revision, .. } => {
                    if let Some(kv) = attached.remove(key.as_str()) {
                        shown(mark, kv, mod_revision - 1);
                    }
                }
            }
        }
    }
    findings.verdict()
}
