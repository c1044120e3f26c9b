//! The checkers: a recorded history goes in, a verdict for each guarantee comes out.
//!
//! A guarantee is a file. Most hold the records against a replay of the specification ([`crate::model`]) and trust the
//! revisions that the store gave; `values` and `cycles` trust none. Everything is pure and linear in the history, but
//! the search by values, which gives up instead of exploding. A verdict is unknown, never valid, where something is missing.

mod ack_floor;
mod agree;
mod compacted;
mod coverage;
mod cycles;
mod durable;
mod evidence;
mod hash;
mod key_versions;
mod lease;
mod liveness;
mod lock;
mod old_reads;
mod once;
mod panics;
mod revision_order;
mod revisions;
mod serializable;
mod terms;
mod values;
mod verdict;
mod watch;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use evidence::Evidence;
pub(crate) use evidence::{Op, Run, operations, runs};
pub use verdict::{COUNTER_EXAMPLE_MAX, COVERAGE, InvariantId, Judged, Verdict, Violation};

use crate::history::History;

/// A checker: its guarantee, its name, what it promises in a line, and the check.
struct Checker {
    invariant: InvariantId,
    name: &'static str,
    promise: &'static str,
    check: fn(&Evidence<'_>) -> Verdict,
}

const fn checker(
    invariant: u8,
    name: &'static str,
    promise: &'static str,
    check: fn(&Evidence<'_>) -> Verdict,
) -> Checker {
    Checker { invariant: InvariantId(invariant), name, promise, check }
}

/// Every checker, in the order of the catalogue.
const CHECKERS: &[Checker] = &[
    checker(
        0,
        "coverage",
        "every planned fault was seen to have an effect, and the traffic was not too thin",
        coverage::check,
    ),
    checker(
        1,
        "revision order",
        "answers are those of one order of the operations, which keeps real time",
        revision_order::check,
    ),
    checker(1, "values", "some order explains the values that were read, whatever revisions say", values::check),
    checker(1, "cycles", "lists that transactions append to show no cycle of dependencies", cycles::check),
    checker(2, "revisions", "a revision is given once, and never steps back for anybody", revisions::check),
    checker(
        3,
        "key versions",
        "create revision, mod revision and version of each key fit together",
        key_versions::check,
    ),
    checker(4, "durable", "what was acknowledged is still there, or has a successor", durable::check),
    checker(5, "ack floor", "no write is acknowledged faster than a quorum can sync it", ack_floor::check),
    checker(
        6,
        "old reads",
        "a read at an old revision shows the state at it, or the documented refusal",
        old_reads::check,
    ),
    checker(7, "compacted", "what was compacted is not served again", compacted::check),
    checker(
        8,
        "serializable",
        "a member's own reads never step back, and show only what is committed",
        serializable::check,
    ),
    checker(9, "hash", "all members have the same keys and the same log", hash::check),
    checker(10, "unknown once", "an operation with an unknown result takes effect once at most", once::unknown),
    checker(11, "acknowledged once", "an acknowledged operation takes effect once", once::acknowledged),
    checker(12, "liveness", "after the heal writes succeed, and all members catch up", liveness::check),
    checker(13, "panics", "no member panics, or ends, unless it is told to", panics::check),
    checker(20, "ordered", "a watch's revisions never step back", watch::ordered::check),
    checker(21, "unique", "a watch has no event twice, nor has one that goes on for it", watch::unique::check),
    checker(22, "atomic", "a revision's events are in one response", watch::atomic::check),
    checker(23, "reliable", "a watch's events are exactly the changes of its range", watch::reliable::check),
    checker(
        24,
        "resumable",
        "a watch from a revision begins with the first change at or after it, or says it is compacted",
        watch::resumable::check,
    ),
    checker(25, "bookmarkable", "after a progress notification no older event comes", watch::bookmark::check),
    checker(26, "future start", "a watch from a future revision is silent until then", watch::future::check),
    checker(27, "completion", "when writes stop, every open watch gets to the end", watch::completion::check),
    checker(28, "cancel", "a watch that is over is told so, with the reason", watch::cancel::check),
    checker(
        29,
        "snapshot install",
        "a member's watches go on over a snapshot install, with nothing repeated or older",
        watch::install::check,
    ),
    checker(
        30,
        "lease kept",
        "a lease lives for its TTL after the last renewal, and not for long after that",
        lease::kept::check,
    ),
    checker(31, "lease atomic", "the keys of a lease vanish together", lease::atomic::check),
    checker(
        32,
        "lease renewal",
        "a lease that is over is not renewed, one that lives not granted again",
        lease::renewal::check,
    ),
    checker(33, "lease term", "only the leader of the present term expires leases", lease::term::check),
    checker(
        34,
        "fencing",
        "after a token no lower one is accepted, and a holder's token is its key's create revision",
        lock::fencing::check,
    ),
    checker(
        35,
        "lock overlap",
        "how long two clients took themselves for the holder (measured, not promised)",
        lock::overlap::check,
    ),
    checker(47, "terms", "a member's term never steps back, over restarts and power cuts neither", terms::check),
];

/// The first guarantee that is about watches; those below it are about keys and members.
const WATCHES: InvariantId = InvariantId(20);

/// Holds a history against every guarantee.
#[must_use]
pub fn judge(history: &History) -> Vec<Judged> {
    let evidence = Evidence::gather(history);
    let judged = |checker: &Checker| Judged {
        invariant: checker.invariant,
        checker: checker.name,
        verdict: (checker.check)(&evidence),
    };
    CHECKERS.iter().map(judged).collect()
}

/// Whether a history breaks a guarantee at the same record and in the same way as `broken`, numbers aside. Where that is one
/// of keys, no other of keys may be broken by a checker that is not among `known`.
pub(crate) fn breaks_so(history: &History, broken: &Judged, known: &BTreeSet<&'static str>) -> bool {
    let evidence = Evidence::gather(history);
    let (Some(own), Some(was)) = (
        CHECKERS.iter().find(|it| it.invariant == broken.invariant && it.name == broken.checker),
        broken.verdict.violation(),
    ) else {
        return false;
    };
    let found = (own.check)(&evidence);
    let same = found.violation().is_some_and(|is| {
        is.first == was.first && without_numbers(&is.explanation) == without_numbers(&was.explanation)
    });
    let of_keys = |it: InvariantId| it < WATCHES;
    let news = |it: &&Checker| !known.contains(it.name) && of_keys(it.invariant) && of_keys(own.invariant);
    same && !CHECKERS.iter().filter(news).any(|it| (it.check)(&evidence).violation().is_some())
}

/// A sentence in which every number is the same.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            _ => plain.push(c),
        }
    }
    plain
}

/// As [`judge`], with how long each checker took, without what they share.
#[must_use]
pub fn judge_timed(history: &History) -> Vec<(Judged, Duration)> {
    let evidence = Evidence::gather(history);
    let judged = |checker: &Checker| {
        let begun = Instant::now();
        let verdict = (checker.check)(&evidence);
        (Judged { invariant: checker.invariant, checker: checker.name, verdict }, begun.elapsed())
    };
    CHECKERS.iter().map(judged).collect()
}

/// Every guarantee that is judged: its id, the checker, and what it promises.
pub fn guarantees() -> impl Iterator<Item = (InvariantId, &'static str, &'static str)> {
    CHECKERS.iter().map(|checker| (checker.invariant, checker.name, checker.promise))
}

#[cfg(test)]
mod check_test;
#[cfg(test)]
mod table_test;
