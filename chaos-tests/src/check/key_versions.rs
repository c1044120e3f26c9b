//! I-03: of each key, create revision ≤ mod revision, version 1 at its creation and one more with each put, and a mod
//! revision that always shows the same.

use std::collections::HashMap;

use super::agree::told_key;
use super::evidence::{Evidence, Mark};
use super::verdict::{Findings, Verdict};
use crate::history::{KeyValue, Request, WatchEvent};

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let mut findings = Findings::default();
    let mut known: HashMap<(&str, i64), (Mark, &KeyValue)> = HashMap::new();
    let mut show = |mark: Mark, kv, with_value: bool| {
        findings.judged();
        one(&mut findings, mark, kv);
        if !with_value {
            return;
        }
        let (first, before) = known.entry((&kv.key, kv.mod_revision)).or_insert((mark, kv));
        if *before != kv {
            findings.broken(mark, &[first.line], || {
                format!("{} was {} before", told_key(Some(kv), &kv.key), told_key(Some(before), &kv.key))
            });
        }
    };
    for op in &evidence.ops {
        let with_value = !matches!(op.request, Request::Range(range) if range.keys_only);
        if let Some((mark, answered)) = op.ok() {
            answered.answer.shown().into_iter().for_each(|kv| show(mark, kv, with_value));
        }
    }
    for run in &evidence.watches {
        for (mark, event) in run.events() {
            if let WatchEvent::Put { kv, .. } = event {
                show(mark, kv, true);
            }
            if let Some(previous) = event.previous() {
                show(mark, previous, true);
            }
        }
    }
    findings.verdict()
}

/// What holds of a key by itself.
fn one(findings: &mut Findings, mark: Mark, kv: &KeyValue) {
    let created = kv.create_revision == kv.mod_revision;
    // Each put since the creation took a revision of its own.
    let room = kv.mod_revision - kv.create_revision;
    if kv.create_revision < 2 || room < 0 || kv.version < 1 || created != (kv.version == 1) || kv.version - 1 > room {
        findings.broken(mark, &[], || format!("{} cannot be", told_key(Some(kv), &kv.key)));
    }
}
