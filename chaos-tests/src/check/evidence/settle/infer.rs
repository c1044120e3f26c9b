//! Settles without a log: by the revisions in answers, in what reads and transactions show, and in watch events.
//!
//! A put whose client was not told is found by its value. What nobody saw remains a gap. Does not: guess which delete it was
//! that a watch shows, nor where an unseen one was; a checker that meets the difference asks [`Settled::may_differ`].

use std::collections::{BTreeMap, HashMap};

use super::{Cause, Disagreement, Fate, Settled, Sort};
use crate::check::evidence::Mark;
use crate::check::evidence::ops::Op;
use crate::check::evidence::watches::Run;
use crate::history::{Answer, Grant, KeyValue, Request, Txn, WatchEvent};
use crate::model::FIRST_REVISION;

/// What is known of a revision.
enum Claim<'h> {
    /// An operation, and the branch of its transaction.
    Op(usize, Option<bool>),
    /// Keys, and what they were after it.
    Shown(BTreeMap<&'h str, Option<&'h KeyValue>>),
}

/// Puts together what was seen.
pub(super) fn by_what_was_seen(settled: &mut Settled, ops: &[Op<'_>], watches: &[Run<'_>]) {
    let mut claims: BTreeMap<i64, Claim<'_>> = BTreeMap::new();
    acknowledged(settled, ops, &mut claims);
    let shown = everything_shown(ops, watches);
    unknown_puts(settled, ops, &shown, &mut claims);
    rest(settled, ops, &shown, watches, &mut claims);
    for (at, op) in ops.iter().enumerate() {
        if op.open() && op.request.may_write() && settled.fates[at] == Fate::None {
            settled.fates[at] = Fate::Open;
        }
    }
    replay(settled, ops, &claims);
    let answered = ops.iter().filter_map(|op| op.ok().map(|(_, answered)| answered.revision)).max();
    let last = claims.keys().next_back().copied().into_iter().chain(answered).max().unwrap_or(FIRST_REVISION);
    // Of a revision that was only shown there may have been more than was shown.
    let whole = |revision: &i64| matches!(claims.get(revision), Some(Claim::Op(..)));
    settled.gaps = (FIRST_REVISION + 1..=last).filter(|revision| !whole(revision)).collect();
}

fn acknowledged<'h>(settled: &mut Settled, ops: &[Op<'h>], claims: &mut BTreeMap<i64, Claim<'h>>) {
    for (at, op) in ops.iter().enumerate() {
        let Some((mark, answered)) = op.ok().filter(|(_, answered)| answered.answer.changed_keys()) else { continue };
        let branch = if let Answer::Txn(txn) = &answered.answer { Some(txn.succeeded) } else { None };
        if let Some(Claim::Op(other, _)) = claims.get(&answered.revision) {
            let what = format!("two operations were acknowledged at revision {}", answered.revision);
            settled.contradict(
                Disagreement::SharedRevision,
                mark,
                &[ops[*other].shown_at().line, op.invoked.line],
                what,
            );
            continue;
        }
        claims.insert(answered.revision, Claim::Op(at, branch));
        settled.fates[at] = Fate::At(answered.revision);
    }
}

/// Every key with its value that anybody was shown, with the record.
fn everything_shown<'h>(ops: &[Op<'h>], watches: &[Run<'h>]) -> Vec<(Mark, &'h KeyValue)> {
    let mut shown: Vec<(Mark, &KeyValue)> = Vec::new();
    for op in ops {
        // Without values nothing can be told apart.
        if matches!(op.request, Request::Range(range) if range.keys_only) {
            continue;
        }
        if let Some((mark, answered)) = op.ok() {
            shown.extend(answered.answer.shown().into_iter().map(|kv| (mark, kv)));
        }
    }
    for run in watches {
        shown.extend(run.events().filter_map(|(mark, event)| match event {
            WatchEvent::Put { kv, .. } => Some((mark, kv)),
            WatchEvent::Delete { .. } => None,
        }));
    }
    shown
}

fn unknown_puts<'h>(
    settled: &mut Settled,
    ops: &[Op<'h>],
    shown: &[(Mark, &'h KeyValue)],
    claims: &mut BTreeMap<i64, Claim<'h>>,
) {
    let mut by_value: HashMap<(&str, &str), usize> = HashMap::new();
    for (at, op) in ops.iter().enumerate() {
        by_value.extend(op.request.puts().into_iter().map(|put| ((put.key.as_str(), put.value.as_str()), at)));
    }
    for (mark, kv) in shown {
        let Some(at) = by_value.get(&(kv.key.as_str(), kv.value.as_str())).copied() else { continue };
        match settled.fates[at] {
            Fate::At(revision) if revision != kv.mod_revision => {
                let how =
                    if ops[at].ok().is_some() { Disagreement::TwiceAcknowledged } else { Disagreement::TwiceUnknown };
                let what =
                    format!("the value {:?} of one put is at revision {revision} and at {}", kv.value, kv.mod_revision);
                settled.contradict(how, *mark, &[ops[at].invoked.line, ops[at].shown_at().line], what);
            }
            Fate::None if ops[at].open() && !claims.contains_key(&kv.mod_revision) => {
                claims.insert(kv.mod_revision, Claim::Op(at, branch_with(ops[at].request, kv)));
                settled.fates[at] = Fate::At(kv.mod_revision);
            }
            Fate::None if ops[at].refused().is_some() => {
                let what = format!("a put was refused, but took effect at revision {}", kv.mod_revision);
                settled.contradict(
                    Disagreement::Refused,
                    *mark,
                    &[ops[at].invoked.line, ops[at].shown_at().line],
                    what,
                );
            }
            _ => {}
        }
    }
}

/// The branch of a transaction that puts this value.
fn branch_with(request: &Request, kv: &KeyValue) -> Option<bool> {
    let Request::Txn(Txn { success, failure, .. }) = request else { return None };
    let puts = |branch: &[Request]| {
        branch.iter().flat_map(Request::puts).any(|put| put.key == kv.key && put.value == kv.value)
    };
    match (puts(success), puts(failure)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

/// What was shown of revisions that no operation explains: leases' ends, owner keys of locks.
fn rest<'h>(
    settled: &mut Settled,
    ops: &[Op<'h>],
    shown: &[(Mark, &'h KeyValue)],
    watches: &[Run<'h>],
    claims: &mut BTreeMap<i64, Claim<'h>>,
) {
    let deletes = watches.iter().flat_map(Run::events).filter_map(|(mark, event)| match event {
        WatchEvent::Delete { key, mod_revision, .. } => Some((mark, *mod_revision, key.as_str(), None)),
        WatchEvent::Put { .. } => None,
    });
    let puts = shown.iter().map(|(mark, kv)| (*mark, kv.mod_revision, kv.key.as_str(), Some(*kv)));
    for (mark, revision, key, kv) in deletes.chain(puts) {
        let claim = claims.entry(revision).or_insert_with(|| Claim::Shown(BTreeMap::new()));
        let Claim::Shown(keys) = claim else { continue };
        let explained = settled.is_service_key(key)
            || ops.iter().any(|op| op.open() && op.request.puts().iter().any(|put| put.key == key));
        if kv.is_some() && !explained && !keys.contains_key(key) {
            let what = format!("{key:?} is shown with revision {revision}, but no client asked for it");
            settled.contradict(Disagreement::Unasked, mark, &[], what);
        }
        keys.entry(key).or_insert(kv);
    }
}

fn replay(settled: &mut Settled, ops: &[Op<'_>], claims: &BTreeMap<i64, Claim<'_>>) {
    for (revision, claim) in claims {
        settled.store.skip_to(*revision);
        let (sort, answer) = match claim {
            Claim::Op(at, branch) => {
                for put in ops[*at].request.puts() {
                    // That the grant came before is not this replay's question.
                    if put.lease != 0 && settled.store.lease(put.lease).is_none() {
                        settled
                            .store
                            .apply(&Request::Grant(Grant { lease: put.lease, ttl: 0 }))
                            .expect("the id is free");
                    }
                }
                let applied =
                    settled.store.apply_branch(ops[*at].request, *branch).ok().filter(|applied| applied.changed);
                (Sort::Op(*at), applied.map(|applied| applied.answer))
            }
            Claim::Shown(keys) => {
                for (key, kv) in keys {
                    settled.store.install(key, *kv, *revision);
                }
                (Sort::Shown, None)
            }
        };
        settled.causes.insert(*revision, Cause { sort, entry: None, answer });
    }
}
