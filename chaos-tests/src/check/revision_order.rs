//! I-01 by revisions: the revisions that the store gave are an order of all operations which explains every answer.
//!
//! Over the whole run, linear. A write is at its revision, a read at its header's. Then: real time is kept (an operation is
//! not before one that had been answered when it began), every answer is the replay's, every change in the log was asked
//! for, and every acknowledged write is in it. Trusts the revisions; [`super::values`] does not.

use super::agree::{Agreement, agreement, branch, read_agreement};
use super::evidence::{Disagreement, Evidence, Fate, Op, Sort};
use super::verdict::{Findings, Verdict};
use crate::history::{Answer, Request};

/// Answers that an unseen change could explain, of 1000, above which the run says too little.
const EXCUSED_PER_MILLE_MAX: u64 = 50;

pub(super) fn check(evidence: &Evidence<'_>) -> Verdict {
    let settled = &evidence.settled;
    let mut findings = Findings::default();
    let (mut answers, mut excused) = (0u64, 0u64);
    for contradiction in &settled.contradictions {
        if contradiction.how != Disagreement::SharedRevision {
            findings.broken(contradiction.mark, &contradiction.others, || contradiction.what.clone());
        }
    }
    for (at, op) in evidence.ops.iter().enumerate() {
        let Some((mark, answered)) = op.ok().filter(|_| is_ordered(op)) else { continue };
        findings.judged();
        answers += 1;
        let floor = settled.floors[at];
        let wrote = answered.answer.changed_keys();
        if answered.revision < floor || wrote && answered.revision == floor {
            let witness = earlier(evidence, op, answered.revision);
            findings.broken(mark, &witness, || {
                format!(
                    "answered at revision {}, though {floor} had been answered before it was asked",
                    answered.revision
                )
            });
            continue;
        }
        match explained(evidence, at, op) {
            Agreement::Same => {}
            Agreement::Excused => excused += 1,
            Agreement::Differs(how) => findings.broken(mark, &around(evidence, op, answered.revision), || how),
        }
    }
    if findings.clean() && excused * 1000 > answers * EXCUSED_PER_MILLE_MAX {
        return Verdict::Unknown {
            why: format!(
                "{excused} of {answers} answers hang on operations whose fate is not known, and there is no log to settle them"
            ),
        };
    }
    let settled_by = if settled.exact {
        format!("by {} log entries", evidence.log.entries.len())
    } else {
        format!("without a log, {} operations open, {excused} answers excused", settled.open_count())
    };
    findings.verdict_with(Some(settled_by))
}

/// Whether an operation has a place in the order of the whole cluster.
pub(super) fn is_ordered(op: &Op<'_>) -> bool {
    match op.request {
        Request::Range(_) => op.is_linearizable_read(),
        Request::Txn(txn) => {
            let all = || txn.success.iter().chain(&txn.failure);
            all().any(Request::may_write) || !all().all(|op| matches!(op, Request::Range(range) if range.serializable))
        }
        Request::Put(_) | Request::Delete(_) => true,
        _ => false,
    }
}

/// Holds an answer against the replay.
fn explained(evidence: &Evidence<'_>, at: usize, op: &Op<'_>) -> Agreement {
    let settled = &evidence.settled;
    let Some((_, answered)) = op.ok() else { return Agreement::Same };
    if answered.answer.changed_keys() {
        let Fate::At(revision) = settled.fates[at] else { return Agreement::Same };
        if let (Answer::Txn(told), Request::Txn(txn)) = (&answered.answer, op.request)
            && settled.store.holds(&txn.compares, revision - 1) != told.succeeded
        {
            return branch(settled, revision, op.request, told);
        }
        return match settled.causes.get(&revision).and_then(|cause| cause.answer.as_ref()) {
            Some(expected) => agreement(settled, op.request, revision, &answered.answer, expected),
            None if settled.exact => Agreement::Same,
            None => Agreement::Excused,
        };
    }
    if matches!(op.request, Request::Range(_)) {
        return read_agreement(settled, op.request, answered.revision, &answered.answer);
    }
    match settled.store.read(op.request, answered.revision) {
        Some(expected) => agreement(settled, op.request, answered.revision, &answered.answer, &expected),
        None => match (&answered.answer, op.request) {
            (Answer::Txn(told), _) => branch(settled, answered.revision, op.request, told),
            (_, Request::Delete(delete)) if settled.may_differ(&delete.key, 0, answered.revision) => Agreement::Excused,
            _ => Agreement::Differs(format!(
                "it changed nothing, though at revision {} there was something to change",
                answered.revision
            )),
        },
    }
}

/// The answer that came before an operation began and has a higher revision.
fn earlier(evidence: &Evidence<'_>, op: &Op<'_>, revision: i64) -> Vec<u32> {
    let before = |other: &&Op<'_>| {
        other.ok().is_some_and(|(mark, answered)| mark.at < op.invoked.at && answered.revision >= revision)
    };
    let witness =
        evidence.ops.iter().filter(before).max_by_key(|other| other.ok().map(|(_, answered)| answered.revision));
    witness.map(|other| vec![other.invoked.line, other.shown_at().line, op.invoked.line]).unwrap_or_default()
}

/// The operations that last touched the keys an answer is about.
fn around(evidence: &Evidence<'_>, op: &Op<'_>, revision: i64) -> Vec<u32> {
    let settled = &evidence.settled;
    let keys: Vec<String> = match op.request {
        Request::Range(range) => settled
            .store
            .keys_in(&range.key, range.end.as_deref(), revision)
            .map(|kv| kv.key.clone())
            .chain([range.key.clone()])
            .collect(),
        Request::Put(put) => vec![put.key.clone()],
        Request::Delete(delete) => vec![delete.key.clone()],
        Request::Txn(txn) => txn.compares.iter().map(|compare| compare.key.clone()).collect(),
        _ => Vec::new(),
    };
    let mut lines = vec![op.invoked.line];
    for key in keys.iter().take(4) {
        // Its last two writers: the one whose effect is missing or shown, and the one before.
        let mut at = revision;
        for _ in 0..2 {
            let touched = settled.store.touched(key, at);
            if let Some(cause) = settled.causes.get(&touched) {
                lines.extend(cause.entry);
                if let Sort::Op(writer) = cause.sort {
                    lines.extend([evidence.ops[writer].invoked.line, evidence.ops[writer].shown_at().line]);
                }
            }
            at = touched - 1;
        }
    }
    lines
}
