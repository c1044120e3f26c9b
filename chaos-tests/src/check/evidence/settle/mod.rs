//! Settles what happened at each revision, and what became of the operations whose clients were not told.
//!
//! With the members' committed log ([`replay`]) this is exact: each unknown operation is at a revision, or never was, and a
//! revision that nobody asked for is a contradiction. Without it ([`infer`]) the revisions in answers, in what reads show
//! and in watch events are put together; what stays open is a gap, and [`Settled::may_differ`] tells the checkers where a
//! gap could explain what they see.

mod infer;
mod replay;

use std::collections::{BTreeMap, BTreeSet};

use super::Mark;
use super::log::Log;
use super::ops::Op;
use super::watches::Run;
use crate::history::{Answer, Line, Request};
use crate::model::Store;

/// What became of an operation that could change keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It changes no keys: a read, a refusal, a delete of nothing.
    None,
    /// It took effect at a revision.
    At(i64),
    /// It never took effect.
    Never,
    /// Not known.
    Open,
}

/// Who changed keys at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// An operation, by its place in the evidence.
    Op(usize),
    /// The end of a lease.
    Expire {
        lease: i64,
        /// The term of the leader that found it expired, and that of the entry; equal in a sound log.
        terms: (u64, u64),
    },
    /// The lock or election service.
    Service,
    /// Nobody: the log has it, no client asked for it.
    Nobody,
    /// Not known who; a read or a watch showed it.
    Shown,
}

/// What changed keys at a revision.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) sort: Sort,
    /// The log's record, where there is one.
    pub(crate) entry: Option<Line>,
    /// What the specification answers.
    pub(crate) answer: Option<Answer>,
}

/// How two records contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disagreement {
    /// A write was acknowledged at a revision at which the log has something else.
    Lost,
    /// Two operations have one revision.
    SharedRevision,
    /// A change that nobody asked for.
    Unasked,
    /// A refused operation took effect.
    Refused,
    /// An acknowledged operation took effect twice.
    TwiceAcknowledged,
    /// An operation with an unknown result took effect twice.
    TwiceUnknown,
    /// A member's revision after an entry is not the specification's.
    Revision,
}

/// Two records that cannot both be right.
#[derive(Clone, Debug)]
pub(crate) struct Contradiction {
    pub(crate) how: Disagreement,
    pub(crate) mark: Mark,
    pub(crate) others: Vec<Line>,
    pub(crate) what: String,
}

/// What is settled.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The replay, with the state at each revision.
    pub(crate) store: Store,
    pub(crate) causes: BTreeMap<i64, Cause>,
    /// Of each operation, in the order of the evidence.
    pub(crate) fates: Vec<Fate>,
    /// Of each operation: the highest revision that anybody had been answered before it was invoked.
    pub(crate) floors: Vec<i64>,
    pub(crate) contradictions: Vec<Contradiction>,
    /// Whether there was a log to settle by.
    pub(crate) exact: bool,
    /// Revisions at which it is not known what happened, ascending.
    pub(crate) gaps: Vec<i64>,
    /// Requests whose fate is open.
    open: Vec<Request>,
    /// Keys that were ever attached to a lease, and may vanish with it.
    pub(crate) leased: BTreeSet<String>,
    /// What the names of locks and elections begin with, and owner keys that were let go.
    services: Vec<String>,
}

impl Settled {
    /// Whether a change that is not known could have touched the key after `since`, up to `revision`.
    pub(crate) fn may_differ(&self, key: &str, since: i64, revision: i64) -> bool {
        if self.exact {
            return false;
        }
        let first = self.gaps.partition_point(|gap| *gap <= since);
        let gap = self.gaps.get(first).is_some_and(|gap| *gap <= revision);
        gap && (self.leased.contains(key)
            || self.is_service_key(key)
            || self
                .open
                .iter()
                .any(|request| request.may_delete(key) || request.puts().iter().any(|put| put.key == key)))
    }

    /// How many operations are open.
    pub(crate) fn open_count(&self) -> usize {
        self.fates.iter().filter(|fate| **fate == Fate::Open).count()
    }

    /// Whether a key belongs to the lock or election service.
    pub(crate) fn is_service_key(&self, key: &str) -> bool {
        self.services.iter().any(|name| key.starts_with(name.as_str()))
    }

    fn contradict(&mut self, how: Disagreement, mark: Mark, others: &[Line], what: String) {
        self.contradictions.push(Contradiction { how, mark, others: others.to_vec(), what });
    }
}

/// Settles everything, by the log where it can be replayed.
pub(crate) fn settle(ops: &[Op<'_>], watches: &[Run<'_>], log: &Log<'_>) -> Settled {
    let mut settled =
        Settled { fates: vec![Fate::None; ops.len()], floors: floors(ops), exact: log.usable(), ..Settled::default() };
    for op in ops {
        match op.request {
            Request::Lock(lock) => settled.services.push(format!("{}/", lock.name)),
            Request::Campaign(campaign) => settled.services.push(format!("{}/", campaign.name)),
            Request::Unlock(unlock) => settled.services.push(unlock.key.clone()),
            Request::Resign(resign) => settled.services.push(resign.key.clone()),
            other => {
                settled.leased.extend(other.puts().into_iter().filter(|put| put.lease != 0).map(|put| put.key.clone()))
            }
        }
    }
    settled.services.sort_unstable();
    settled.services.dedup();
    if log.usable() {
        replay::by_log(&mut settled, ops, log);
    } else {
        infer::by_what_was_seen(&mut settled, ops, watches);
    }
    settled.open =
        (0..ops.len()).filter(|at| settled.fates[*at] == Fate::Open).map(|at| ops[at].request.clone()).collect();
    settled
}

/// The highest revision answered strictly before each invocation.
fn floors(ops: &[Op<'_>]) -> Vec<i64> {
    let mut answers: Vec<(u64, i64)> =
        ops.iter().filter_map(|op| op.ok().map(|(mark, answered)| (mark.at, answered.revision))).collect();
    answers.sort_unstable();
    let (mut next, mut highest) = (0, 0);
    let floor = |op: &Op<'_>| {
        while let Some((at, revision)) = answers.get(next)
            && *at < op.invoked.at
        {
            highest = highest.max(*revision);
            next += 1;
        }
        highest
    };
    ops.iter().map(floor).collect()
}

/// The keys a request names in puts and deletes.
fn touched(request: &Request) -> Vec<&str> {
    match request {
        Request::Put(put) => vec![&put.key],
        Request::Delete(delete) => vec![&delete.key],
        Request::Txn(txn) => txn.success.iter().chain(&txn.failure).flat_map(touched).collect(),
        _ => Vec::new(),
    }
}
