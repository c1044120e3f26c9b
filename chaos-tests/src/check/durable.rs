//! I-04: what was acknowledged survives: each acknowledged put is shown by the final reads, or something came after it.
//!
//! The final reads are those asked after the traffic has stopped (phase `end`). With a log, each acknowledged write has to
//! be in it too.

use std::collections::HashMap;

use super::agree::told_key;
use super::evidence::{Disagreement, Evidence, Fate, Op};
use super::verdict::{Findings, Verdict};
use crate::history::{Answer, Phase, Request, covers};

/// The last acknowledged put of a key.
struct Last<'e, 'h> {
    revision: i64,
    op: &'e Op<'h>,
}

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let settled = &evidence.settled;
    let mut findings = Findings::default();
    for contradiction in settled.contradictions.iter().filter(|it| it.how == Disagreement::Lost) {
        findings.broken(contradiction.mark, &contradiction.others, || contradiction.what.clone());
    }
    let Some(end) = evidence.phase(Phase::End) else {
        return if findings.clean() {
            Verdict::Unknown { why: "the run has no final reads: phase `end` is missing".to_owned() }
        } else {
            findings.verdict()
        };
    };
    let last = last_puts(evidence);
    let mut keys: Vec<&&str> = last.keys().collect();
    keys.sort_unstable();
    let mut read = 0;
    for op in evidence.ops.iter().filter(|op| op.invoked >= end && op.is_linearizable_read()) {
        let (Some((mark, answered)), Request::Range(range)) = (op.ok(), op.request) else { continue };
        let Answer::Range(ranged) = &answered.answer else { continue };
        if range.limit > 0 || range.count_only {
            continue;
        }
        read += 1;
        for key in keys.iter().filter(|key| covers(&range.key, range.end.as_deref(), key)) {
            let put = &last[**key];
            findings.judged();
            let shown = ranged.kvs.iter().find(|kv| kv.key == ***key);
            let kept = shown.is_some_and(|kv| kv.mod_revision >= put.revision);
            let gone = shown.is_none() && may_be_gone(evidence, key, put.revision);
            if !kept && !gone {
                findings.broken(mark, &[put.op.invoked.line, put.op.shown_at().line, op.invoked.line], || {
                    format!(
                        "{key:?} was acknowledged at revision {}, the final read has {}",
                        put.revision,
                        told_key(shown, key)
                    )
                });
            }
        }
    }
    if read == 0 && findings.clean() {
        return Verdict::Unknown { why: "no final read succeeded after phase `end`".to_owned() };
    }
    findings.verdict()
}

fn last_puts<'e, 'h>(evidence: &'e Evidence<'h>) -> HashMap<&'h str, Last<'e, 'h>> {
    let mut last: HashMap<&str, Last<'_, '_>> = HashMap::new();
    for op in &evidence.ops {
        let Some((_, answered)) = op.ok().filter(|(_, answered)| answered.answer.changed_keys()) else { continue };
        let branch = match (&answered.answer, op.request) {
            (Answer::Txn(told), Request::Txn(txn)) => {
                if told.succeeded { &txn.success } else { &txn.failure }.as_slice()
            }
            _ => std::slice::from_ref(op.request),
        };
        for put in branch.iter().flat_map(Request::puts) {
            let known = last.entry(&put.key).or_insert(Last { revision: answered.revision, op });
            if answered.revision > known.revision {
                *known = Last { revision: answered.revision, op };
            }
        }
    }
    last
}

/// Whether something that came after `revision` could have deleted the key.
fn may_be_gone(evidence: &Evidence<'_>, key: &str, revision: i64) -> bool {
    let settled = &evidence.settled;
    if settled.exact {
        let now = settled.store.revision();
        return settled.store.get(key, now).is_none() && settled.store.touched(key, now) > revision;
    }
    let deleted = |(op, fate): (&Op<'_>, &Fate)| {
        op.request.may_delete(key)
            && match fate {
                Fate::At(at) => *at > revision,
                Fate::Open => true,
                Fate::None | Fate::Never => false,
            }
    };
    settled.leased.contains(key) || settled.is_service_key(key) || evidence.ops.iter().zip(&settled.fates).any(deleted)
}
