//! Whether an answer is the specification's.
//!
//! Where what happened is not known exactly, a difference that an unseen change could explain is excused, and counted.

use super::evidence::Settled;
use crate::history::{Answer, KeyValue, Ranged, Request, TxnDone};

/// How an answer relates to the one expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// It is that.
    Same,
    /// It may be right: something happened that nobody saw.
    Excused,
    /// It is wrong.
    Differs(String),
}

impl Agreement {
    /// The worse of two.
    fn and(self, other: impl FnOnce() -> Agreement) -> Agreement {
        match self {
            Agreement::Differs(_) => self,
            Agreement::Same => other(),
            Agreement::Excused => match other() {
                Agreement::Same => Agreement::Excused,
                worse => worse,
            },
        }
    }
}

/// Compares a range's answer with the replay's state at a revision.
pub(super) fn read_agreement(settled: &Settled, request: &Request, revision: i64, told: &Answer) -> Agreement {
    match (request, told) {
        (Request::Range(range), Answer::Range(told)) if settled.store.shows(range, revision, told) => Agreement::Same,
        (Request::Range(range), told) => {
            let expected = Answer::Range(settled.store.range(range, revision));
            agreement(settled, request, revision, told, &expected)
        }
        _ => Agreement::Differs("the answer is of another kind than the question".to_owned()),
    }
}

/// Compares an answer that was given at `revision` with the specification's.
pub(super) fn agreement(
    settled: &Settled,
    request: &Request,
    revision: i64,
    told: &Answer,
    expected: &Answer,
) -> Agreement {
    if told == expected {
        return Agreement::Same;
    }
    match (request, told, expected) {
        (Request::Range(range), Answer::Range(told), Answer::Range(expected)) => {
            let at = if range.revision > 0 { range.revision } else { revision };
            ranged(settled, range.limit > 0 || range.count_only, at, told, expected)
        }
        (Request::Put(_), Answer::Put(told), Answer::Put(expected)) => {
            key_values(settled, revision, told.previous.as_slice(), expected.previous.as_slice())
        }
        (Request::Delete(_), Answer::Delete(told), Answer::Delete(expected)) => {
            let kvs = key_values(settled, revision, &told.previous, &expected.previous);
            kvs.and(|| count(settled, told.deleted, expected.deleted))
        }
        (Request::Txn(txn), Answer::Txn(told), Answer::Txn(expected)) => {
            if told.succeeded != expected.succeeded {
                return branch(settled, revision, request, told);
            }
            let ops = if told.succeeded { &txn.success } else { &txn.failure };
            if told.answers.len() != expected.answers.len() || told.answers.len() != ops.len() {
                return Agreement::Differs(format!(
                    "{} operations were answered, {} were asked",
                    told.answers.len(),
                    ops.len()
                ));
            }
            let pairs = told.answers.iter().zip(&expected.answers);
            ops.iter().zip(pairs).fold(Agreement::Same, |so_far, (op, (told, expected))| {
                so_far.and(|| agreement(settled, op, revision, told, expected))
            })
        }
        _ => Agreement::Differs("the answer is of another kind than the question".to_owned()),
    }
}

/// A transaction took the branch that its compares do not lead to.
pub(super) fn branch(settled: &Settled, revision: i64, request: &Request, told: &TxnDone) -> Agreement {
    let Request::Txn(txn) = request else { return Agreement::Same };
    let before = revision - i64::from(Answer::Txn(told.clone()).changed_keys());
    let excused = txn.compares.iter().any(|compare| settled.may_differ(&compare.key, 0, before));
    if excused {
        return Agreement::Excused;
    }
    let keys: Vec<String> =
        txn.compares.iter().map(|compare| told_key(settled.store.get(&compare.key, before), &compare.key)).collect();
    let which = if told.succeeded { "succeeded" } else { "failed" };
    Agreement::Differs(format!("the compares {which}, but at revision {before} there is {}", keys.join(", ")))
}

fn ranged(settled: &Settled, partial: bool, revision: i64, told: &Ranged, expected: &Ranged) -> Agreement {
    if partial && !settled.exact {
        return if settled.gaps.is_empty() {
            Agreement::Differs(format!(
                "it shows {} of {} keys, not {} of {}",
                told.kvs.len(),
                told.count,
                expected.kvs.len(),
                expected.count
            ))
        } else {
            Agreement::Excused
        };
    }
    key_values(settled, revision, &told.kvs, &expected.kvs).and(|| count(settled, told.count, expected.count)).and(
        || {
            if told.more == expected.more {
                Agreement::Same
            } else {
                Agreement::Differs(format!("more is {}", told.more))
            }
        },
    )
}

fn count(settled: &Settled, told: i64, expected: i64) -> Agreement {
    if told == expected {
        Agreement::Same
    } else if !settled.exact && !settled.gaps.is_empty() {
        Agreement::Excused
    } else {
        Agreement::Differs(format!("it counts {told} keys, there are {expected}"))
    }
}

/// Compares key by key; both are in the order of keys, or the answer is wrong.
fn key_values(settled: &Settled, revision: i64, told: &[KeyValue], expected: &[KeyValue]) -> Agreement {
    if let Some(pair) = told.windows(2).find(|pair| pair[0].key >= pair[1].key) {
        return Agreement::Differs(format!("{:?} comes before {:?}", pair[0].key, pair[1].key));
    }
    let (mut told, mut expected) = (told.iter().peekable(), expected.iter().peekable());
    let mut so_far = Agreement::Same;
    loop {
        let (mine, theirs) = match (told.peek(), expected.peek()) {
            (None, None) => return so_far,
            (Some(mine), Some(theirs)) if mine.key == theirs.key => (told.next(), expected.next()),
            (Some(mine), Some(theirs)) if mine.key > theirs.key => (None, expected.next()),
            (Some(_), _) => (told.next(), None),
            (None, Some(_)) => (None, expected.next()),
        };
        so_far = so_far.and(|| key_value(settled, revision, mine, theirs));
    }
}

fn key_value(settled: &Settled, revision: i64, told: Option<&KeyValue>, expected: Option<&KeyValue>) -> Agreement {
    if told == expected {
        return Agreement::Same;
    }
    let key = told.or(expected).map_or("", |kv| &kv.key);
    let excused = match (told, expected) {
        (None, Some(expected)) => settled.may_differ(key, expected.mod_revision, revision),
        (Some(told), None) => {
            settled.may_differ(key, told.mod_revision, revision)
                || told.mod_revision > settled.store.touched(key, revision) && settled.may_differ(key, 0, revision)
        }
        (Some(told), Some(expected)) => {
            told.mod_revision == expected.mod_revision
                && told.value == expected.value
                && settled.may_differ(key, 0, revision)
        }
        (None, None) => true,
    };
    if excused {
        return Agreement::Excused;
    }
    Agreement::Differs(format!(
        "it has {}, at revision {revision} there is {}",
        told_key(told, key),
        told_key(expected, key)
    ))
}

/// A key for people.
pub(super) fn told_key(kv: Option<&KeyValue>, key: &str) -> String {
    match kv {
        None => format!("no {key:?}"),
        Some(kv) => format!(
            "{key:?} = {:?} (mod {}, create {}, version {})",
            kv.value, kv.mod_revision, kv.create_revision, kv.version
        ),
    }
}
