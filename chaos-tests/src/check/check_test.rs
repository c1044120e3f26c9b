//! The checkers on generated histories, good and spoiled, and on the histories kept in the repository.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::*;
use crate::history::{Event, FaultStep, Phase};
use crate::model::generate::{Plan, generate};
use crate::model::mutate::MUTATIONS;

/// Everything that is not valid, a line each.
fn not_valid(history: &History) -> Vec<String> {
    let wrong = judge(history).into_iter().filter(|judged| !judged.verdict.is_valid());
    wrong.map(|judged| format!("{} by {}: {}", judged.invariant, judged.checker, judged.verdict)).collect()
}

#[test]
fn a_history_of_a_right_store_is_valid_whatever_its_seed() {
    for seed in 1..=10 {
        let history = generate(&Plan::mixed(seed));
        assert_eq!(not_valid(&history), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn without_a_log_what_is_not_known_is_never_called_wrong() {
    for seed in 1..=10 {
        let history = generate(&Plan::without_log(seed));
        let wrong: Vec<String> = not_valid(&history).into_iter().filter(|line| !line.contains("unknown:")).collect();
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn every_guarantee_is_looked_at_in_a_generated_history() {
    let history = generate(&Plan::mixed(3));
    for judged in judge(&history) {
        let Verdict::Valid { judged: facts, .. } = judged.verdict else {
            panic!("{} {}", judged.invariant, judged.verdict)
        };
        assert!(facts > 0, "{} by {} judged nothing", judged.invariant, judged.checker);
    }
}

#[test]
fn every_mutation_is_caught_by_its_checker() {
    let mut missed = Vec::new();
    for mutation in MUTATIONS {
        let mut spoiled = 0;
        for seed in 1..=3 {
            let Some(history) = mutation.apply(&generate(&Plan::mixed(seed)), seed) else { continue };
            spoiled += 1;
            let judged = judge(&history);
            let own = judged
                .iter()
                .find(|judged| judged.invariant == mutation.breaks && judged.checker == mutation.checker)
                .expect("a mutation names a checker");
            let Some(violation) = own.verdict.violation() else {
                missed.push(format!("{} (seed {seed}): {}", mutation.name, own.verdict));
                continue;
            };
            assert!(
                violation.counter_example.len() <= COUNTER_EXAMPLE_MAX
                    && violation.counter_example.contains(&violation.first),
                "{}",
                mutation.name
            );
            assert!(
                violation.counter_example.iter().all(|line| history.line(*line).is_some()),
                "{} cites lines that are there",
                mutation.name
            );
        }
        if spoiled == 0 {
            missed.push(format!("{}: no place for it in three histories", mutation.name));
        }
    }
    println!("{} of {} mutations caught", MUTATIONS.len() - missed.len(), MUTATIONS.len());
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn the_same_history_gets_the_same_words() {
    let mutation = &MUTATIONS[0];
    let words = || {
        judge(&mutation.apply(&generate(&Plan::mixed(5)), 5).unwrap())
            .iter()
            .map(|judged| format!("{judged:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(words(), words());
}

/// The histories that are kept: file, and everything that is not valid in it, by guarantee and checker.
const KEPT: &[(&str, &[&str])] = &[
    ("mixed.jsonl", &[]),
    ("watch-steps-back.jsonl", &["I-20 ordered"]),
    ("acknowledged-write-lost.jsonl", &["I-01 revision order", "I-04 durable"]),
];

#[test]
fn the_histories_in_the_repository_are_judged_as_ever() {
    for (name, expected) in KEPT {
        let path = Path::new("histories").join(name);
        let history = History::read(BufReader::new(File::open(&path).unwrap())).unwrap();
        let wrong: Vec<String> = judge(&history)
            .iter()
            .filter(|judged| !judged.verdict.is_valid())
            .map(|judged| format!("{} {}", judged.invariant, judged.checker))
            .collect();
        for id in *expected {
            assert!(wrong.iter().any(|judged| judged == id), "{name}: {id} is not among {wrong:?}");
        }
        assert_eq!(wrong.is_empty(), expected.is_empty(), "{name}: {wrong:?}");
    }
}

#[test]
fn many_clients_on_many_keys_are_judged_valid() {
    let history = generate(&Plan::large(1, 20_000));
    assert_eq!(not_valid(&history), Vec::<String>::new());
}

/// A history without some of its records.
fn without(history: &History, unwanted: impl Fn(&Event) -> bool) -> History {
    let kept = history.records().iter().filter(|record| !unwanted(&record.event)).cloned().collect();
    History::new(history.header().clone(), kept).unwrap()
}

#[test]
fn what_was_not_shown_makes_a_verdict_unknown_and_never_valid() {
    type Unwanted = fn(&Event) -> bool;
    let cases: [(&str, Unwanted, &str); 8] = [
        (
            "coverage",
            |event| matches!(event, Event::Fault(fault) if matches!(fault.step, FaultStep::Witnessed { .. })),
            "no effect",
        ),
        (
            "coverage",
            |event| matches!(event, Event::Fault(fault) if matches!(fault.step, FaultStep::Healed { .. })),
            "not undone",
        ),
        ("coverage", |event| matches!(event, Event::Phase(Phase::WarmUp)), "no phase"),
        ("durable", |event| matches!(event, Event::Phase(Phase::End)), "no final reads"),
        ("hash", |event| matches!(event, Event::HashKv(hash) if hash.member > 1), "1 members were asked"),
        ("liveness", |event| matches!(event, Event::Phase(Phase::Liveness)), "no phase"),
        ("liveness", |event| matches!(event, Event::Member(member) if member.id == 3), "member 3 gave no status"),
        ("lease term", |event| matches!(event, Event::Entry(_)), "no member's log"),
    ];
    let history = generate(&Plan::mixed(2));
    for (checker, unwanted, part) in cases {
        let judged = judge(&without(&history, unwanted));
        let verdict = &judged.iter().find(|judged| judged.checker == checker).unwrap().verdict;
        assert!(matches!(verdict, Verdict::Unknown { why } if why.contains(part)), "{checker}: {verdict}");
    }
}

#[test]
fn a_log_with_a_hole_is_not_settled_by() {
    let history = generate(&Plan::mixed(2));
    let holed = without(&history, |event| matches!(event, Event::Entry(entry) if entry.index == 40));
    let judged = judge(&holed);
    let order = judged.iter().find(|judged| judged.checker == "revision order").unwrap();
    assert!(order.verdict.to_string().contains("without a log"), "{}", order.verdict);
}
