//! Settles by the members' committed log: the log says what happened, the operations are found in it.

use std::collections::HashMap;

use super::{Cause, Disagreement, Fate, Settled, Sort, touched};
use crate::check::evidence::Mark;
use crate::check::evidence::log::Log;
use crate::check::evidence::ops::Op;
use crate::history::{Change, Request};

/// A change of the log that raised the revision.
struct Slot<'h> {
    revision: i64,
    mark: Mark,
    /// `None`: a lease's end.
    request: Option<&'h Request>,
    claimed: Option<usize>,
}

/// Replays the log, and finds each operation's place in it.
pub(super) fn by_log(settled: &mut Settled, ops: &[Op<'_>], log: &Log<'_>) {
    let mut slots = replay(settled, log);
    let mut unclaimed: HashMap<&Request, Vec<usize>> = HashMap::new();
    claim_acknowledged(settled, ops, &mut slots);
    for (at, slot) in slots.iter().enumerate().rev() {
        if let (Some(request), None) = (slot.request, slot.claimed) {
            unclaimed.entry(request).or_default().push(at);
        }
    }
    claim_unknown(settled, ops, &mut slots, &mut unclaimed);
    explain_rest(settled, ops, &slots);
    for slot in &slots {
        let Some(cause) = settled.causes.get_mut(&slot.revision) else { continue };
        if let Some(op) = slot.claimed {
            cause.sort = Sort::Op(op);
            settled.fates[op] = Fate::At(slot.revision);
        }
    }
}

fn replay<'h>(settled: &mut Settled, log: &Log<'h>) -> Vec<Slot<'h>> {
    let mut slots = Vec::new();
    for logged in &log.entries {
        for change in &logged.entry.changes {
            let (request, sort, applied) = match change {
                Change::Apply(request) => (Some(request), Sort::Nobody, settled.store.apply(request).ok()),
                Change::Expire { lease, term } => {
                    let terms = (*term, logged.entry.term);
                    // In any other term the entry has no effect, unless the dump says that it had.
                    let had = terms.0 == terms.1
                        || logged.entry.revision.is_some_and(|after| after > settled.store.revision());
                    let changed = had && settled.store.expire(*lease);
                    if changed {
                        let cause = Cause {
                            sort: Sort::Expire { lease: *lease, terms },
                            entry: Some(logged.mark.line),
                            answer: None,
                        };
                        settled.causes.insert(settled.store.revision(), cause);
                        slots.push(Slot {
                            revision: settled.store.revision(),
                            mark: logged.mark,
                            request: None,
                            claimed: None,
                        });
                    }
                    continue;
                }
                Change::Refused(_) | Change::Other(_) => continue,
            };
            let Some(applied) = applied.filter(|applied| applied.changed) else { continue };
            let cause = Cause { sort, entry: Some(logged.mark.line), answer: Some(applied.answer) };
            settled.causes.insert(applied.revision, cause);
            slots.push(Slot { revision: applied.revision, mark: logged.mark, request, claimed: None });
        }
        if let Some(told) = logged.entry.revision
            && told != settled.store.revision()
        {
            let (index, ours) = (logged.entry.index, settled.store.revision());
            let what = format!(
                "member {} is at revision {told} after entry {index}, the specification at {ours}",
                logged.entry.member
            );
            settled.contradict(Disagreement::Revision, logged.mark, &[], what);
            settled.store.skip_to(told + 1);
        }
    }
    slots
}

fn claim_acknowledged(settled: &mut Settled, ops: &[Op<'_>], slots: &mut [Slot<'_>]) {
    for (at, op) in ops.iter().enumerate() {
        let Some((mark, answered)) = op.ok() else { continue };
        if !answered.answer.changed_keys() {
            continue;
        }
        let place = slots.binary_search_by_key(&answered.revision, |slot| slot.revision).ok();
        let Some(slot) = place.map(|place| &mut slots[place]).filter(|slot| slot.request == Some(op.request)) else {
            let entry: Vec<_> = place.map(|at| slots[at].mark.line).into_iter().chain([op.invoked.line]).collect();
            let there = if place.is_some() { "another" } else { "nothing" };
            let what = format!(
                "a write was acknowledged at revision {}, where the committed log has {there}",
                answered.revision
            );
            settled.contradict(Disagreement::Lost, mark, &entry, what);
            continue;
        };
        match slot.claimed {
            None => slot.claimed = Some(at),
            Some(other) => {
                let what = format!("two operations were acknowledged at revision {}", answered.revision);
                settled.contradict(
                    Disagreement::SharedRevision,
                    mark,
                    &[ops[other].shown_at().line, op.invoked.line],
                    what,
                );
            }
        }
    }
}

/// Gives each free place in the log to an operation that may be there: one with that request, unknown, and invoked before
/// anybody was answered a higher revision. Such an operation may be at any later place too, so that the first come is as
/// good as any.
fn claim_unknown<'h>(
    settled: &mut Settled,
    ops: &[Op<'h>],
    slots: &mut [Slot<'h>],
    unclaimed: &mut HashMap<&'h Request, Vec<usize>>,
) {
    for (at, op) in ops.iter().enumerate() {
        // The header of a revoke may be of a later revision than its own.
        let revoke = matches!(op.request, Request::Revoke(_)) && op.ok().is_some();
        if !(op.open() && op.request.may_write() || revoke) {
            continue;
        }
        settled.fates[at] = match op.request {
            Request::Lock(_)
            | Request::Campaign(_)
            | Request::Unlock(_)
            | Request::Resign(_)
            | Request::Compact(_)
            | Request::Grant(_) => Fate::None,
            _ if revoke => Fate::None,
            _ => Fate::Never,
        };
        // Places are kept in descending order: the last is the earliest.
        let Some(free) = unclaimed.get_mut(op.request) else { continue };
        let floor = settled.floors[at];
        if let Some(place) = free.iter().rposition(|place| slots[*place].revision > floor) {
            slots[free.remove(place)].claimed = Some(at);
        }
    }
}

/// Says of each place in the log that no operation has claimed how it came there.
fn explain_rest(settled: &mut Settled, ops: &[Op<'_>], slots: &[Slot<'_>]) {
    let mut by_request: HashMap<&Request, Vec<usize>> = HashMap::new();
    if slots.iter().any(|slot| slot.request.is_some() && slot.claimed.is_none()) {
        for (at, op) in ops.iter().enumerate() {
            by_request.entry(op.request).or_default().push(at);
        }
    }
    for slot in slots {
        let (Some(request), None) = (slot.request, slot.claimed) else { continue };
        let keys = touched(request);
        if !keys.is_empty() && keys.iter().all(|key| settled.is_service_key(key)) {
            if let Some(cause) = settled.causes.get_mut(&slot.revision) {
                cause.sort = Sort::Service;
            }
            continue;
        }
        let asked = by_request.get(request).map_or(&[][..], Vec::as_slice);
        let revision = slot.revision;
        let twice = |at: &&usize| slots.iter().any(|slot| slot.claimed == Some(**at));
        let (how, mark, what) = match (asked.iter().find(|at| ops[**at].refused().is_some()), asked.iter().find(twice))
        {
            (Some(at), _) => (
                Disagreement::Refused,
                ops[*at].shown_at(),
                format!("an operation was refused, but took effect at revision {revision}"),
            ),
            (None, Some(at)) if ops[*at].ok().is_some() => (
                Disagreement::TwiceAcknowledged,
                ops[*at].shown_at(),
                format!("an acknowledged operation took effect once more at revision {revision}"),
            ),
            (None, Some(at)) => (
                Disagreement::TwiceUnknown,
                ops[*at].shown_at(),
                format!("an operation with an unknown result took effect twice, once more at revision {revision}"),
            ),
            (None, None) => (
                Disagreement::Unasked,
                slot.mark,
                format!("the log has a change at revision {revision} that no client can have asked for"),
            ),
        };
        let others: Vec<_> = asked.iter().take(8).map(|at| ops[*at].invoked.line).chain([slot.mark.line]).collect();
        settled.contradict(how, mark, &others, what);
    }
}
