//! A run's report: a page for people, JUnit for a CI, JSON for programs, beside the history that they are made of.
//!
//! ```text
//! history, verdicts ─▶ facts ─▶ measure ─▶ summary ─▶ page (HTML) · junit (XML) · summary (JSON) ─▶ index of several
//! ```
//! The page is one file without scripts and without anything from elsewhere, light or dark as its reader is, for wide and
//! narrow screens. Its size has a bound that does not grow with the run: time is cut into `measure::BINS` parts, clients
//! and watches are drawn in lanes of several, and lists are cut where they say so.
//! Promises: the same history gives the same bytes; a key or a value is text, whatever is in it.
//! Does not: judge ([`crate::check`]), or make a counter-example smaller ([`crate::shrink`]).

mod example;
mod facts;
mod index;
mod junit;
mod markup;
mod measure;
mod page;
mod summary;
pub(crate) mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use example::{Part, Shown};
pub use facts::Injected;
pub use index::index;
pub use measure::{Band, Ends, Gaps};
pub use summary::{Disturbed, Guarantee, Reproduce, SUMMARY_SCHEMA, Summary, Word};

use crate::check::Judged;
use crate::history::History;
use crate::run::Error;
use facts::Facts;
use measure::Measured;

/// The report of one run, as texts.
#[derive(Clone, Debug)]
pub struct Report {
    /// Figures and verdicts.
    pub summary: Summary,
    /// The page.
    pub html: String,
    /// JUnit's XML.
    pub junit: String,
    /// The summary as JSON.
    pub json: String,
}

/// Where a report is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The page.
    pub html: PathBuf,
    /// JUnit's XML.
    pub junit: PathBuf,
    /// The summary.
    pub json: PathBuf,
}

impl Report {
    /// The report of a history that has been judged; `file` is the name by which the page speaks of it.
    ///
    /// # Errors
    /// When the summary cannot be written as JSON.
    pub fn of(history: &History, judged: &[Judged], file: &str) -> Result<Report, serde_json::Error> {
        let facts = Facts::of(history);
        let measured = Measured::of(&facts);
        let summary = Summary::of(&facts, &measured, judged, file);
        Ok(Report {
            html: page::page(&facts, &measured, &summary),
            junit: junit::junit(&summary),
            json: serde_json::to_string_pretty(&summary)?,
            summary,
        })
    }
}

impl Files {
    /// Beside a history, under its name.
    #[must_use]
    pub fn beside(history: &Path) -> Files {
        // `etcd-3.5` has no ending: only the history's own is taken off.
        let named = history.extension().is_some_and(|it| it == "jsonl");
        let ending = |ending: &str| match named {
            true => history.with_extension(ending),
            false => PathBuf::from(format!("{}.{ending}", history.display())),
        };
        Files { html: ending("html"), junit: ending("xml"), json: ending("json") }
    }

    /// All of them.
    pub fn all(&self) -> [&Path; 3] {
        [&self.html, &self.junit, &self.json]
    }
}

/// Writes the report of a history that lies at `path`; what it sums up.
///
/// # Errors
/// When a file cannot be written.
pub fn write(files: &Files, path: &Path, history: &History, judged: &[Judged]) -> Result<Summary, Error> {
    let failed = |path: &Path, source: io::Error| Error::File { path: path.to_owned(), source };
    let report = Report::of(history, judged, &path.display().to_string());
    let report = report.map_err(|error| failed(&files.json, error.into()))?;
    for (to, text) in files.all().into_iter().zip([&report.html, &report.junit, &report.json]) {
        fs::write(to, text).map_err(|source| failed(to, source))?;
    }
    Ok(report.summary)
}

#[cfg(test)]
mod look_test;
#[cfg(test)]
mod report_test;
