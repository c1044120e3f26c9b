//! Reports of generated and spoiled histories: their form, what they show, that text stays text, and their size.

use super::*;
use crate::check::{COUNTER_EXAMPLE_MAX, judge};
use crate::history::{
    Answer, Answered, Event, Header, Invoke, KeyValue, Limits, Outcome, Put, PutDone, Range, Ranged, Request, Return,
    SCHEMA,
};
use crate::model::generate::{Plan, generate};
use crate::model::mutate::MUTATIONS;
use crate::run::Verdict;

fn report(history: &History) -> Report {
    Report::of(history, &judge(history), "runs/it's one.jsonl").unwrap()
}

fn small(seed: u64) -> Plan {
    Plan { ops: 300, ..Plan::mixed(seed) }
}

fn spoiled(name: &str) -> History {
    let mutation = MUTATIONS.iter().find(|mutation| mutation.name == name).unwrap();
    mutation.apply(&generate(&small(2)), 2).unwrap()
}

/// Reads XML as strictly as a reader must: the elements in their order with their attributes, or what is wrong.
fn elements(xml: &str) -> Result<Vec<String>, String> {
    let (mut open, mut seen, mut rest) = (Vec::new(), Vec::new(), xml);
    while let Some((text, more)) = rest.split_once('<') {
        entities(text)?;
        let (tag, after) = more.split_once('>').ok_or("a tag does not end")?;
        rest = after;
        if tag.starts_with('!') || tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let begun: Option<String> = open.pop();
            if begun.as_deref() != Some(name) {
                return Err(format!("</{name}> ends {begun:?}"));
            }
            continue;
        }
        let empty = tag.strip_suffix('/');
        let tag = empty.unwrap_or(tag);
        let name = tag.split_whitespace().next().ok_or("a tag without a name")?;
        attributes(&tag[name.len()..])?;
        seen.push(tag.to_owned());
        if empty.is_none() {
            open.push(name.to_owned());
        }
    }
    entities(rest)?;
    if open.is_empty() { Ok(seen) } else { Err(format!("{open:?} are still open")) }
}

fn attributes(mut rest: &str) -> Result<(), String> {
    while !rest.trim().is_empty() {
        let (name, more) = rest.split_once("=\"").ok_or(format!("no value: {rest}"))?;
        let name_is_one = name.starts_with(' ') && !name.trim().is_empty() && !name.trim().contains(' ');
        let (value, after) = more.split_once('"').ok_or(format!("a value does not end: {rest}"))?;
        if !name_is_one || value.contains('<') {
            return Err(format!("attribute{name}: {value}"));
        }
        entities(value)?;
        rest = after;
    }
    Ok(())
}

fn entities(text: &str) -> Result<(), String> {
    let known = |rest: &str| ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|it| rest.starts_with(it));
    if let Some(bad) = text.split('&').skip(1).find(|rest| !known(rest)) {
        return Err(format!("&{bad}"));
    }
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(c) => Err(format!("{c:?}")),
        None => Ok(()),
    }
}

#[test]
fn page_and_junit_are_well_formed_and_hold_a_word_of_every_checker() {
    for history in [generate(&small(1)), spoiled("two responses of a watch change places"), spoiled("a member panics")]
    {
        let report = report(&history);
        let tags = elements(&report.html).unwrap();
        let cases = elements(&report.junit).unwrap();
        let checkers = crate::check::guarantees().count();
        assert_eq!(cases.iter().filter(|tag| tag.starts_with("testcase")).count(), checkers);
        let (_, table) = report.html.split_once("verdicts\"><thead>").unwrap();
        let (table, _) = table.split_once("</table>").unwrap();
        assert_eq!(table.matches("<tr><td>").count(), checkers);
        assert_eq!(tags.iter().filter(|tag| tag.starts_with("h1")).count(), 1);
        for (id, checker, promise) in crate::check::guarantees() {
            assert!(table.contains(&format!("<strong>{id}</strong> {checker}")), "{id} {checker}");
            assert!(table.contains(&markup::Escaped(promise).to_string()), "{promise}");
        }
    }
}

#[test]
fn a_run_that_passed_says_so_everywhere() {
    let report = report(&generate(&small(1)));
    assert_eq!(report.summary.verdict, Verdict::Pass);
    assert!(report.html.contains("✓ passed") && !report.html.contains("What was broken"));
    assert!(report.junit.contains("failures=\"0\" errors=\"0\""), "{}", &report.junit[..300]);
    let json: serde_json::Value = serde_json::from_str(&report.json).unwrap();
    assert_eq!((&json["verdict"], &json["schema"]), (&"pass".into(), &SUMMARY_SCHEMA.into()));
}

#[test]
fn every_violation_is_shown_with_the_record_that_shows_it_first() {
    for mutation in MUTATIONS {
        let Some(history) = mutation.apply(&generate(&small(2)), 2) else { continue };
        let judged = judge(&history);
        let report = Report::of(&history, &judged, "one.jsonl").unwrap();
        for own in judged.iter().filter(|it| it.verdict.violation().is_some()) {
            let violation = own.verdict.violation().unwrap();
            let shown = report.summary.guarantees.iter().find(|it| it.checker == own.checker).unwrap();
            assert_eq!(shown.word, Word::Broken, "{}", mutation.name);
            let first: Vec<&Shown> = shown.example.iter().filter(|it| it.part == Part::First).collect();
            assert_eq!(first.iter().map(|it| it.line).collect::<Vec<_>>(), [violation.first], "{}", mutation.name);
            for line in violation.counter_example.iter().take(COUNTER_EXAMPLE_MAX) {
                assert!(shown.example.iter().any(|it| it.line == *line), "{}: line {line}", mutation.name);
            }
            assert!(shown.example.len() <= example::SHOWN_MAX);
            for text in [&violation.explanation, &first[0].words] {
                let text = markup::Escaped(text).to_string();
                assert!(report.html.contains(&text) && report.junit.contains(&text), "{}: {text}", mutation.name);
            }
            assert!(report.html.contains(&format!("first on line {}", violation.first)));
        }
        elements(&report.html).unwrap_or_else(|error| panic!("{}: {error}", mutation.name));
        elements(&report.junit).unwrap_or_else(|error| panic!("{}: {error}", mutation.name));
    }
}

/// A put of a key, and a read that shows another value.
fn wrong_read(key: &str) -> History {
    let header = Header {
        schema: SCHEMA,
        seed: 1,
        target: "<i>&".to_owned(),
        version: "\"1\"".to_owned(),
        argv: vec!["<script>".to_owned()],
        members: vec![1],
        limits: Limits::default(),
        plan: None,
    };
    let invoke = |op, request| Event::Invoke(Invoke { op, client: op, member: 1, request });
    let told =
        |op, answer| Event::Return(Return { op, outcome: Outcome::Ok(Answered { revision: 2, term: 1, answer }) });
    let value = "</td><script>alert('&amp;')</script>\u{0}".to_owned();
    let kv = KeyValue {
        key: key.to_owned(),
        value: value.clone(),
        create_revision: 2,
        mod_revision: 2,
        version: 1,
        lease: 0,
    };
    let put = Request::Put(Put { key: key.to_owned(), value: "right".to_owned(), ..Put::default() });
    let get = Request::Range(Range { key: key.to_owned(), ..Range::default() });
    let events = vec![
        (10, invoke(1, put)),
        (20, told(1, Answer::Put(PutDone::default()))),
        (30, invoke(2, get)),
        (40, told(2, Answer::Range(Ranged { kvs: vec![kv], more: false, count: 1 }))),
        (50, Event::Doubt(value)),
    ];
    History::from_events(header, events).unwrap()
}

#[test]
fn keys_values_and_names_are_text_whatever_is_in_them() {
    let key = "<b onclick=\"x\">&'\n]]>-->";
    let report = report(&wrong_read(key));
    assert!(report.summary.guarantees.iter().any(|it| it.word == Word::Broken));
    elements(&report.junit).unwrap();
    let tags = elements(&report.html).unwrap();
    assert!(!tags.iter().any(|tag| tag.starts_with("script") || tag.starts_with("b ") || tag.starts_with("i>")));
    let shown = markup::Escaped(&format!("put {key:?} = {:?}", "right")).to_string();
    assert!(report.html.contains(&shown) && report.junit.contains(&shown), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&report.json).unwrap();
    assert_eq!(json["target"], "<i>&");
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_is_the_same_every_time() {
    let history = spoiled("an event is missing");
    let (once, again) = (report(&history), report(&history));
    assert_eq!((&once.html, &once.junit, &once.json), (&again.html, &again.junit, &again.json));
    for forbidden in ["http:", "https:", "src=", "url(", "@import", "<script", "<link", "<iframe", "onclick="] {
        assert!(!once.html.contains(forbidden), "{forbidden}");
    }
    for wanted in ["<meta name=\"viewport\"", "prefers-color-scheme", "lang=\"en\"", "default-src 'none'"] {
        assert!(once.html.contains(wanted), "{wanted}");
    }
    // A picture says in words what it shows.
    assert_eq!(once.html.matches("<svg").count(), once.html.matches("role=\"img\" aria-label=\"").count());
}

#[test]
fn what_the_harness_failed_at_makes_a_run_unknown_and_is_told() {
    let history = wrong_read("a");
    let events = history.records().iter().map(|record| (record.at, record.event.clone())).filter(|(at, _)| *at != 40);
    let history = History::from_events(history.header().clone(), events.collect()).unwrap();
    let report = report(&history);
    assert_eq!(report.summary.verdict, Verdict::Inconclusive);
    assert!(report.summary.doubts.len() == 1 && report.html.contains("What could not be judged"));
    assert!(report.junit.contains("<error message=\"the harness: "), "{}", report.junit);
}

#[test]
fn a_page_of_fifty_thousand_operations_is_hardly_longer_than_one_of_few() {
    let size = |ops| {
        let history = generate(&Plan::large(1, ops));
        let report = Report::of(&history, &[], "large.jsonl").unwrap();
        assert_eq!(report.summary.operations.all() as usize, operations(&history));
        report.html.len()
    };
    let (few, many) = (size(10_000), size(50_000));
    assert!(many < 3 << 20 && many < 2 * few, "{few} bytes, {many} bytes");
}

fn operations(history: &History) -> usize {
    history.records().iter().filter(|record| matches!(record.event, Event::Invoke(_))).count()
}

#[test]
fn an_index_leads_to_every_run_and_says_the_worst() {
    let (good, bad) = (report(&generate(&small(1))), report(&spoiled("an event comes twice")));
    let page = index(&[("good.html".to_owned(), good.summary), ("a&b.html".to_owned(), bad.summary)]);
    let tags = elements(&page).unwrap();
    assert!(tags.iter().any(|tag| tag == "a href=\"a&amp;b.html\"") && page.contains("✗ violated: 2 chaos runs"));
    assert!(page.contains("broken: I-21"), "{page}");
}

#[test]
fn reports_lie_beside_their_history_under_its_name() {
    let files = Files::beside(Path::new("out/S-01-etcd-3.5.1-1.jsonl"));
    assert_eq!(files.html, Path::new("out/S-01-etcd-3.5.1-1.html"));
    assert_eq!(Files::beside(Path::new("out/etcd-3.5")).json, Path::new("out/etcd-3.5.json"));
}
