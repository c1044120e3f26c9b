//! Spoiled histories, cut down: what is left is small and breaks the same guarantee at the same record.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::*;
use crate::check::Verdict;
use crate::model::generate::{Plan, generate};
use crate::model::mutate::MUTATIONS;

/// A spoiled history and what it breaks.
fn spoiled(name: &str, plan: &Plan) -> (History, Judged) {
    let mutation = MUTATIONS.iter().find(|mutation| mutation.name == name).unwrap();
    let history = mutation.apply(&generate(plan), plan.seed).unwrap();
    let own = check::judge(&history)
        .into_iter()
        .find(|judged| judged.invariant == mutation.breaks && judged.checker == mutation.checker);
    (history, own.unwrap())
}

fn small(seed: u64) -> Plan {
    Plan { ops: 200, clients: 4, keys: 3, watches: 4, sessions: 2, appenders: 1, ..Plan::mixed(seed) }
}

fn violation(judged: &Judged) -> &check::Violation {
    judged.verdict.violation().expect("it is broken")
}

/// Cuts down and holds what is left against what was.
fn shrunk(history: &History, broken: &Judged) -> Shrunk {
    let shrunk = shrink(history, broken, || true);
    assert!(shrunk.complete);
    let again = check::judge(&shrunk.history);
    let own = again.iter().find(|it| it.checker == broken.checker).unwrap();
    assert_eq!(violation(own).first, violation(broken).first, "another record shows it");
    shrunk
}

#[test]
fn a_violation_that_needs_no_log_is_shown_by_a_few_records() {
    // Records that are left, at most: what the checker needs to see it, and who wrote what it shows.
    let cases = [
        ("two responses of a watch change places", 8),
        ("an event comes twice", 4),
        ("a revision is split over two responses", 5),
        ("a read's revision steps back", 6),
        ("two puts are acknowledged at one revision", 6),
        ("a key's version is one too high", 8),
        ("a member panics", 3),
        ("progress comes before its events", 5),
    ];
    let mut long = Vec::new();
    for (name, most) in cases {
        let (history, broken) = spoiled(name, &small(2));
        let shrunk = shrunk(&history, &broken);
        let left = shrunk.history.records().len();
        if left > most {
            let records: Vec<String> = shrunk.history.records().iter().map(crate::report::words::record).collect();
            long.push(format!("{name}: {left} records are left\n    {}", records.join("\n    ")));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn a_violation_that_only_the_log_shows_keeps_the_log_and_loses_the_rest() {
    let (history, broken) = spoiled("an acknowledged put is not in the log", &Plan { ops: 60, ..small(3) });
    let shrunk = shrunk(&history, &broken);
    let left = shrunk.history.records();
    let entries = left.iter().filter(|record| matches!(record.event, Event::Entry(_))).count();
    assert!(entries > 0 && left.len() < history.records().len() / 2, "{} of {}", left.len(), history.records().len());
    assert!(!left.iter().any(|record| matches!(record.event, Event::Watch(_) | Event::Fault(_))));
}

#[test]
fn a_history_that_does_not_break_it_comes_back_whole_and_a_bound_is_told() {
    let (history, broken) = spoiled("an event comes twice", &small(2));
    let good = generate(&small(2));
    assert_eq!(shrink(&good, &broken, || true).history, good);
    let mut left = 3;
    let bounded = shrink(&history, &broken, || {
        left -= 1;
        left >= 0
    });
    assert!(!bounded.complete && bounded.judgements <= 4);
}

#[test]
fn the_kept_history_of_a_watch_that_steps_back_is_seven_records() {
    let path = Path::new("histories/watch-steps-back.jsonl");
    let history = History::read(BufReader::new(File::open(path).unwrap())).unwrap();
    let ordered = |it: &Judged| it.checker == "ordered" && matches!(it.verdict, Verdict::Invalid(_));
    let broken = check::judge(&history).into_iter().find(ordered).unwrap();
    let shrunk = shrunk(&history, &broken);
    let records: Vec<String> = shrunk.history.records().iter().map(crate::report::words::record).collect();
    assert!(records.len() <= 7, "{}", records.join("\n"));
    // Written and read again, it is a history of its own that shows the same.
    let mut file = Vec::new();
    shrunk.history.write(&mut file).unwrap();
    let read = History::read(file.as_slice()).unwrap();
    assert!(check::judge(&read).iter().any(ordered));
}
