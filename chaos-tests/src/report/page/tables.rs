//! Figures in tables: bands, faults, members, and what the run was made of.

use crate::report::facts::Facts;
use crate::report::markup::{Escaped, count, ms, percent, seconds};
use crate::report::measure::Band;
use crate::report::summary::{Disturbed, Summary};
use crate::report::words;

/// Faults that have a row.
const FAULTS_MAX: usize = 500;
/// Panics that are told.
const PANICS_MAX: usize = 20;
/// Bytes of the plan that are shown; all of it is in the history's first line.
const PLAN_BYTES_MAX: usize = 200_000;

/// A section around a table that may be wider than its place.
fn wide(id: &str, title: &str, heads: &[(&str, bool)], rows: &str) -> String {
    let heads: String = heads
        .iter()
        .map(|(head, number)| format!("<th scope=\"col\"{}>{head}</th>", if *number { " class=\"n\"" } else { "" }))
        .collect();
    format!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" \
         aria-labelledby=\"{id}\"><table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>\n</section>\n"
    )
}

/// Success and latency under each kind of fault.
pub(super) fn bands(summary: &Summary) -> String {
    let maybe = |figure: Option<f64>| figure.map_or("–".to_owned(), ms);
    let row = |band: &Band| {
        format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
            Escaped(&band.name),
            count(band.ends.all()),
            percent(band.ends.answered, band.ends.all()),
            count(band.ends.refused),
            count(band.ends.unknown),
            maybe(band.p50_ms),
            maybe(band.p99_ms),
            maybe(band.max_ms),
        )
    };
    let rows: String = summary.bands.iter().map(row).collect();
    let heads = [
        ("While in force", false),
        ("Operations", true),
        ("Answered", true),
        ("Refused", true),
        ("No answer", true),
        ("p50", true),
        ("p99", true),
        ("Slowest", true),
    ];
    wide("bands", "Under faults and without", &heads, &rows)
}

/// Every fault with what was seen of it.
pub(super) fn faults(summary: &Summary) -> String {
    if summary.faults.is_empty() {
        return String::new();
    }
    let mut rows: String = summary.faults.iter().take(FAULTS_MAX).map(fault).collect();
    if summary.faults.len() > FAULTS_MAX {
        let more = summary.faults.len() - FAULTS_MAX;
        rows += &format!("<tr><td colspan=\"8\">and {more} more, which are in the JSON beside this page</td></tr>\n");
    }
    let heads = [
        ("#", true),
        ("Fault", false),
        ("On", false),
        ("From", true),
        ("To", true),
        ("No write for", true),
        ("And after", true),
        ("Seen", false),
    ];
    wide("faults", "Faults", &heads, &rows)
}

fn fault(it: &Disturbed) -> String {
    let fault = &it.fault;
    let moment = |at: Option<u64>| at.map_or("–".to_owned(), seconds);
    let gap =
        |of: fn(&crate::report::Gaps) -> u64| it.gaps.as_ref().map_or("–".to_owned(), |gaps| ms(of(gaps) as f64));
    let amount = if fault.figures.is_empty() { String::new() } else { format!(" ({})", fault.figures) };
    let (class, seen) = match (&fault.witnessed, &fault.missed) {
        (Some(seen), _) => ("", if seen.is_empty() { "yes".to_owned() } else { seen.clone() }),
        (None, Some(why)) => (" class=\"unk\"", format!("missed: {why}")),
        (None, None) => (" class=\"unk\"", "nothing".to_owned()),
    };
    format!(
        "<tr><td class=\"n\">{}</td><td>{} {}{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td{class}>{}</td></tr>\n",
        fault.number,
        Escaped(&fault.kind),
        Escaped(&fault.name),
        Escaped(&amount),
        if fault.members.is_empty() { "–".to_owned() } else { words::members(&fault.members) },
        moment(fault.applied),
        moment(fault.healed),
        gap(|gaps| gaps.during_ms),
        gap(|gaps| gaps.after_ms),
        Escaped(&seen),
    )
}

/// How the members came through it.
pub(super) fn members(facts: &Facts<'_>) -> String {
    let mut rows = String::new();
    for (id, lives) in &facts.members {
        let hash = facts.hashes.iter().rev().find(|hash| hash.member == *id);
        let hash =
            hash.map_or("–".to_owned(), |it| format!("{:08x} at {}", it.hash, count(it.revision.unsigned_abs())));
        let unwanted = if lives.unexpected > 0 { " class=\"n bad\"" } else { " class=\"n\"" };
        rows += &format!(
            "<tr><td>member {id}</td><td class=\"n\">{}</td><td{unwanted}>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n mono\">{hash}</td></tr>\n",
            lives.starts,
            lives.unexpected,
            lives.terms,
            lives.installs.len(),
            count(lives.applied),
        );
    }
    let heads = [
        ("Member", false),
        ("Starts", true),
        ("Ends by itself", true),
        ("Terms led", true),
        ("Snapshots installed", true),
        ("Applied index", true),
        ("Hash of its keys", true),
    ];
    let panics: String = facts
        .panics
        .iter()
        .take(PANICS_MAX)
        .map(|it| {
            let told = if it.expected { " (its disk failed under it)" } else { "" };
            format!("<li>member {}{told}: <code>{}</code></li>", it.member, Escaped(&it.text))
        })
        .collect();
    let panics =
        if panics.is_empty() { String::new() } else { format!("<h3>Panics in their logs</h3>\n<ul>{panics}</ul>\n") };
    wide("members", "Members", &heads, &rows) + &panics
}

/// What the run was made of.
pub(super) fn made_of(facts: &Facts<'_>) -> String {
    let header = facts.history.header();
    let argv: Vec<&str> = ["fairlead"].into_iter().chain(header.argv.iter().map(String::as_str)).collect();
    let plan = header.plan.as_ref().and_then(|plan| serde_json::to_string_pretty(plan).ok());
    let mut plan = plan.unwrap_or_else(|| "This history was recorded without a plan.".to_owned());
    if plan.len() > PLAN_BYTES_MAX {
        let cut = (0..=PLAN_BYTES_MAX).rev().find(|at| plan.is_char_boundary(*at)).unwrap_or(0);
        plan.truncate(cut);
        plan.push_str("\n…");
    }
    format!(
        "<section aria-labelledby=\"made-of\">\n<h2 id=\"made-of\">What the run was made of</h2>\n\
         <p>Recorded by <code>{}</code>, in {} records of schema {}.</p>\n\
         <details><summary>The whole plan</summary><pre tabindex=\"0\">{}</pre></details>\n</section>\n",
        Escaped(&argv.join(" ")),
        count(facts.history.records().len() as u64),
        header.schema,
        Escaped(&plan)
    )
}
