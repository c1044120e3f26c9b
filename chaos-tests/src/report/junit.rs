//! The verdicts as JUnit's XML: a suite for the run, a case for each checker.
//!
//! What cannot be said is an error and never a pass; a violation that is known of this version is skipped with the reason.
//! Source: the form that Jenkins' xunit plugin and GitLab read.

use std::fmt::Write;

use super::markup::Escaped;
use super::summary::{Guarantee, Summary, Word};
use crate::check::Verdict;

/// A case's element inside, if it is no pass.
enum Case<'s> {
    Passed,
    Skipped(String),
    Failed(String, &'s Guarantee),
    Unknown(String),
}

fn case(guarantee: &Guarantee) -> Case<'_> {
    match (guarantee.word, &guarantee.verdict) {
        (Word::Broken, Verdict::Invalid(violation)) => match &guarantee.known {
            Some(why) => Case::Skipped(format!("known of this version: {why}")),
            None => Case::Failed(violation.explanation.clone(), guarantee),
        },
        (Word::Silent, _) => Case::Skipped("nothing came about that it is about".to_owned()),
        (Word::Unknown, Verdict::Unknown { why }) => Case::Unknown(why.clone()),
        (Word::Excused, Verdict::Unknown { why }) => Case::Skipped(why.clone()),
        _ => Case::Passed,
    }
}

/// The document.
pub(super) fn junit(summary: &Summary) -> String {
    let cases: Vec<(&Guarantee, Case<'_>)> = summary.guarantees.iter().map(|it| (it, case(it))).collect();
    let many = |is: fn(&Case<'_>) -> bool| cases.iter().filter(|(_, case)| is(case)).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\"",
        cases.len(),
        many(|case| matches!(case, Case::Failed(..))),
        many(|case| matches!(case, Case::Unknown(_))),
        many(|case| matches!(case, Case::Skipped(_))),
        summary.duration_ms as f64 / 1e3,
    );
    let name = format!("chaos {} on {} seed {}", summary.scenario, summary.target, summary.seed);
    let class = format!("chaos.{}.{}", summary.target.replace('.', "_"), summary.scenario);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml += &format!("<testsuites {counts}>\n<testsuite name=\"{}\" {counts}>\n", Escaped(&name));
    xml += &format!(
        "<properties><property name=\"version\" value=\"{}\"/><property name=\"seed\" value=\"{}\"/></properties>\n",
        Escaped(&summary.version),
        summary.seed
    );
    for (guarantee, case) in &cases {
        let title = format!("{} {}: {}", guarantee.id, guarantee.checker, guarantee.promise);
        let open = format!("<testcase classname=\"{}\" name=\"{}\"", Escaped(&class), Escaped(&title));
        xml += &match case {
            Case::Passed => format!("{open}/>\n"),
            Case::Skipped(why) => format!("{open}><skipped message=\"{}\"/></testcase>\n", Escaped(why)),
            Case::Unknown(why) => format!("{open}><error message=\"{}\"/></testcase>\n", Escaped(why)),
            Case::Failed(why, guarantee) => format!(
                "{open}><failure message=\"{}\">{}</failure></testcase>\n",
                Escaped(why),
                Escaped(&told(guarantee))
            ),
        };
    }
    xml += "</testsuite>\n</testsuites>\n";
    xml
}

/// The counter-example, a record a line.
fn told(guarantee: &Guarantee) -> String {
    let mut text = String::new();
    for shown in &guarantee.example {
        let mark = if Some(shown.line) == guarantee.first() { '>' } else { ' ' };
        writeln!(text, "{mark} line {:<6} {:>10.3} ms  {}", shown.line, shown.at as f64 / 1e6, shown.words)
            .expect("a string grows");
    }
    text
}
