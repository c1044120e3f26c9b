//! The index of several runs: a page with a row for each, which leads to its own.

use super::markup::{Escaped, count, percent};
use super::page::{document, word};
use super::summary::Summary;
use crate::run::Verdict;

/// The page; each run with the address of its own page.
#[must_use]
pub fn index(runs: &[(String, Summary)]) -> String {
    let worst = runs.iter().map(|(_, run)| run.verdict).max().unwrap_or(Verdict::Inconclusive);
    let many = |verdict: Verdict| runs.iter().filter(|(_, run)| run.verdict == verdict).count();
    let (class, said) = word(worst);
    let title = format!("{said}: {} chaos runs", runs.len());
    let mut rows = String::new();
    for (address, run) in runs {
        let (class, said) = word(run.verdict);
        let broken: Vec<String> = run.broken().iter().map(|it| it.id.to_string()).collect();
        let broken = if broken.is_empty() { String::new() } else { format!("broken: {}", broken.join(", ")) };
        let ends = run.operations;
        rows += &format!(
            "<tr><td><a href=\"{}\">{}</a></td><td>{} {}</td><td class=\"n\">{}</td>\
             <td><span class=\"pill {class}\">{said}</span> {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
            Escaped(address),
            Escaped(&run.scenario),
            Escaped(&run.target),
            Escaped(&run.version),
            run.seed,
            Escaped(&broken),
            count(ends.all()),
            percent(ends.answered, ends.all()),
            run.faults.len(),
        );
    }
    let body = format!(
        "<header><p><span class=\"pill {class}\">{said}</span></p><h1>{} chaos runs</h1>\
         <p>{} passed, {} could not be judged in full, {} violated a guarantee.</p></header>\n\
         <section><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"All runs\"><table>\
         <thead><tr><th scope=\"col\">Scenario</th><th scope=\"col\">Target</th><th scope=\"col\" class=\"n\">Seed</th>\
         <th scope=\"col\">Verdict</th><th scope=\"col\" class=\"n\">Operations</th><th scope=\"col\" class=\"n\">Answered</th>\
         <th scope=\"col\" class=\"n\">Faults</th></tr></thead><tbody>\n{rows}</tbody></table></div></section>\n",
        runs.len(),
        many(Verdict::Pass),
        many(Verdict::Inconclusive),
        many(Verdict::Violated),
    );
    document(&title, &body)
}
