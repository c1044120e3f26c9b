//! The page: one HTML document, which is well-formed XML too.
//!
//! In the order in which a reader asks: what is the verdict, what was broken, what else was looked at, what happened when,
//! how fast was it, how is it done again. A policy in its head forbids whatever would come from elsewhere.

mod charts;
mod draw;
mod tables;
mod timeline;
mod verdicts;

use super::facts::Facts;
use super::markup::{Escaped, count, percent, seconds};
use super::measure::Measured;
use super::summary::Summary;
use crate::run::Verdict;
use crate::scenario;

const STYLE: &str = include_str!("style.css");

/// A verdict's class and word.
pub(super) fn word(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Pass => ("ok", "✓ passed"),
        Verdict::Inconclusive => ("unk", "? unknown"),
        Verdict::Violated => ("bad", "✗ violated"),
    }
}

/// A whole document around a body.
pub(super) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"generator\" content=\"fairlead {}\"/>\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        Escaped(title),
    )
}

/// The page of a run.
pub(super) fn page(facts: &Facts<'_>, measured: &Measured, summary: &Summary) -> String {
    let (_, said) = word(summary.verdict);
    let title =
        format!("{said}: {} on {} {}, seed {}", summary.scenario, summary.target, summary.version, summary.seed);
    let body = [
        header(summary),
        verdicts::broken(summary),
        verdicts::doubtful(summary),
        verdicts::all(summary),
        timeline::timeline(facts, summary),
        charts::charts(facts, measured, summary),
        tables::bands(summary),
        tables::faults(summary),
        tables::members(facts),
        tables::made_of(facts),
    ];
    document(&title, &body.concat())
}

fn header(summary: &Summary) -> String {
    let (class, said) = word(summary.verdict);
    let about = scenario::find(&summary.scenario).map(|it| it.about).unwrap_or_default();
    let ends = summary.operations;
    let seen = summary.faults.iter().filter(|it| it.fault.witnessed.is_some()).count();
    let facts = [
        ("Target", format!("{} {}", summary.target, summary.version)),
        ("Members", summary.members.to_string()),
        ("Seed", summary.seed.to_string()),
        ("Took", seconds(summary.duration_ms * 1_000_000)),
        ("Operations", count(ends.all())),
        ("Answered", percent(ends.answered, ends.all())),
        ("Refused", count(ends.refused)),
        ("Without an answer", count(ends.unknown)),
        ("Watches", count(summary.watches as u64)),
        ("Faults seen to work", format!("{seen} of {}", summary.faults.len())),
    ];
    let facts: Vec<String> =
        facts.iter().map(|(name, fact)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(fact))).collect();
    let commands: Vec<String> = summary
        .reproduce
        .iter()
        .map(|it| format!("<li>{}<code>{}</code></li>", Escaped(it.what), Escaped(&it.command)))
        .collect();
    format!(
        "<header>\n<p><span class=\"pill {class}\">{said}</span></p>\n<h1>{} on {} {}</h1>\n<p class=\"soft\">{}</p>\n\
         <dl class=\"facts\">{}</dl>\n<details{}><summary>Do it again</summary><ul class=\"commands\">{}</ul></details>\n</header>\n",
        Escaped(&summary.scenario),
        Escaped(&summary.target),
        Escaped(&summary.version),
        Escaped(about),
        facts.concat(),
        if summary.verdict == Verdict::Pass { "" } else { " open=\"open\"" },
        commands.concat(),
    )
}
