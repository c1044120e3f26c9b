//! What was broken with its counter-example, what could not be judged, and every checker's word.

use crate::check::Verdict;
use crate::report::example::{Part, Shown};
use crate::report::markup::{Escaped, count, seconds};
use crate::report::summary::{Guarantee, Summary, Word};

/// What was broken, by what happened first; empty where nothing was.
pub(super) fn broken(summary: &Summary) -> String {
    let broken = summary.broken();
    if broken.is_empty() {
        return String::new();
    }
    let each: Vec<String> = broken.iter().map(|it| violation(it)).collect();
    format!(
        "<section aria-labelledby=\"broken\">\n<h2 id=\"broken\">What was broken</h2>\n{}</section>\n",
        each.concat()
    )
}

/// The anchor of a checker's counter-example.
fn anchor(guarantee: &Guarantee) -> String {
    format!("{}-{}", guarantee.id, guarantee.checker.replace(' ', "-"))
}

fn violation(guarantee: &Guarantee) -> String {
    let Some(violation) = guarantee.verdict.violation() else { return String::new() };
    let rows: Vec<String> = guarantee.example.iter().map(row).collect();
    let known = match &guarantee.known {
        Some(why) => format!("<p class=\"soft\">Known of this version: {}</p>\n", Escaped(why)),
        None => String::new(),
    };
    let times = if violation.times == 1 { "once".to_owned() } else { format!("{} times", count(violation.times)) };
    let name = format!("Counter-example for {}", guarantee.id);
    format!(
        "<article id=\"{}\">\n<h3><span class=\"bad\">✗ {}</span> {}: {}</h3>\n<p>{}</p>\n\
         <p class=\"soft\">Broken {times}; first on line {}{}.</p>\n{known}\
         <table class=\"example stack\" aria-label=\"{name}\"><thead><tr><th scope=\"col\" class=\"n\">Line</th>\
         <th scope=\"col\" class=\"n\">Time</th><th scope=\"col\">What happened</th></tr></thead><tbody>\n{}</tbody></table>\n</article>\n",
        Escaped(&anchor(guarantee)),
        guarantee.id,
        guarantee.checker,
        Escaped(guarantee.promise),
        Escaped(&violation.explanation),
        violation.first,
        guarantee.first_at().map(|at| format!(", at {}", seconds(at))).unwrap_or_default(),
        rows.concat(),
    )
}

fn row(shown: &Shown) -> String {
    let (class, mark) = match shown.part {
        Part::First => (" class=\"first\"", "► "),
        Part::Evidence => ("", ""),
        Part::Around => (" class=\"around\"", ""),
    };
    format!(
        "<tr{class}><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{mark}{}</td></tr>\n",
        shown.line,
        seconds(shown.at),
        Escaped(&shown.words)
    )
}

/// What could not be judged; empty where everything was.
pub(super) fn doubtful(summary: &Summary) -> String {
    let unknown = summary.guarantees.iter().filter(|it| it.word == Word::Unknown);
    let rows: Vec<String> = unknown
        .map(|it| format!("<li><strong>{} {}</strong>: {}</li>\n", it.id, it.checker, Escaped(&it.verdict.to_string())))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<section aria-labelledby=\"unknown\">\n<h2 id=\"unknown\">What could not be judged</h2>\n<ul>{}</ul>\n</section>\n",
        rows.concat()
    )
}

/// Every checker's word.
pub(super) fn all(summary: &Summary) -> String {
    let rows: Vec<String> = summary.guarantees.iter().map(verdict).collect();
    format!(
        "<section aria-labelledby=\"verdicts\">\n<h2 id=\"verdicts\">Guarantees</h2>\n<table class=\"stack verdicts\"><thead><tr>\
         <th scope=\"col\">Guarantee</th><th scope=\"col\">Verdict</th><th scope=\"col\">Promise, and what was seen</th></tr></thead>\
         <tbody>\n{}</tbody></table>\n</section>\n",
        rows.concat()
    )
}

fn verdict(guarantee: &Guarantee) -> String {
    let (class, said) = match guarantee.word {
        Word::Kept => ("ok", "✓ kept"),
        Word::Silent => ("mute", "– not met"),
        Word::Broken => ("bad", "✗ broken"),
        Word::Unknown => ("unk", "? unknown"),
        Word::Excused => ("mute", "– left out"),
    };
    let seen = match &guarantee.verdict {
        Verdict::Valid { judged, note } => {
            let note = note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
            format!("{} judged{note}", count(*judged))
        }
        Verdict::Invalid(violation) => violation.explanation.clone(),
        Verdict::Unknown { why } => why.clone(),
    };
    let to_first = match guarantee.first() {
        Some(line) => format!(" <a href=\"#{}\">first on line {line}</a>", Escaped(&anchor(guarantee))),
        None => String::new(),
    };
    format!(
        "<tr><td><strong>{}</strong> {}</td><td class=\"{class}\">{said}</td><td>{}<br/><span class=\"soft\">{}</span>{to_first}</td></tr>\n",
        guarantee.id,
        guarantee.checker,
        Escaped(guarantee.promise),
        Escaped(&seen)
    )
}
