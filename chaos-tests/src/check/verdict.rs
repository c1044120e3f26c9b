//! What a checker says: valid, invalid with the record that shows it, or unknown with the reason.

use std::fmt;

use serde::{Serialize, Serializer};

use super::evidence::Mark;
use crate::history::Line;

/// Records in a counter-example, at most.
pub const COUNTER_EXAMPLE_MAX: usize = 20;

/// A guarantee of the catalogue: `I-01`; 0 is the coverage of the run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvariantId(pub u8);

/// Whether the run has shown what it promised to show.
pub const COVERAGE: InvariantId = InvariantId(0);

impl fmt::Display for InvariantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            COVERAGE => f.write_str("coverage"),
            InvariantId(number) => write!(f, "I-{number:02}"),
        }
    }
}

impl Serialize for InvariantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What one checker says of one guarantee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The guarantee.
    pub invariant: InvariantId,
    /// The checker, where several look at one guarantee.
    pub checker: &'static str,
    /// Its verdict.
    pub verdict: Verdict,
}

/// A verdict; unknown never counts as a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The guarantee was kept wherever it was looked at.
    Valid {
        /// How many facts were held against it; with 0 the run says nothing about it.
        judged: u64,
        /// What was measured, or not judged.
        note: Option<String>,
    },
    /// It was broken.
    Invalid(Box<Violation>),
    /// It cannot be said.
    Unknown {
        /// Why.
        why: String,
    },
}

/// How a guarantee was broken first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The record that shows it.
    pub first: Line,
    /// The records that are needed to see it, in the order of lines, the first violating one among them.
    pub counter_example: Vec<Line>,
    /// What is wrong, in a sentence.
    pub explanation: String,
    /// How often it was broken.
    pub times: u64,
}

/// What only a committed log can show.
const NEEDS_LOG: &str = "lease term";

impl Judged {
    /// Whether only a committed log can show it: for a target whose log nobody reads, that it is not known is no doubt.
    #[must_use]
    pub fn needs_log(&self) -> bool {
        self.checker == NEEDS_LOG
    }
}

impl Verdict {
    /// Whether the guarantee was kept.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        matches!(self, Verdict::Valid { .. })
    }

    /// How it was broken, if it was.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Verdict::Invalid(violation) => Some(violation),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Valid { judged, note: None } => write!(f, "valid ({judged} judged)"),
            Verdict::Valid { judged, note: Some(note) } => write!(f, "valid ({judged} judged; {note})"),
            Verdict::Invalid(violation) => write!(f, "invalid at line {}: {}", violation.first, violation.explanation),
            Verdict::Unknown { why } => write!(f, "unknown: {why}"),
        }
    }
}

/// Collects what a checker finds; the violation that was seen first in time is the one that is told.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    judged: u64,
    first: Option<(Mark, Violation)>,
    times: u64,
}

impl Findings {
    /// One more fact has been held against the guarantee.
    pub(crate) fn judged(&mut self) {
        self.judged += 1;
    }

    /// The record at `mark` breaks it; `others` are needed to see that.
    pub(crate) fn broken(&mut self, mark: Mark, others: &[Line], explain: impl FnOnce() -> String) {
        self.times += 1;
        if self.first.as_ref().is_some_and(|(first, _)| *first <= mark) {
            return;
        }
        let mut counter_example: Vec<Line> = others.iter().copied().take(COUNTER_EXAMPLE_MAX - 1).collect();
        counter_example.push(mark.line);
        counter_example.sort_unstable();
        counter_example.dedup();
        self.first = Some((mark, Violation { first: mark.line, counter_example, explanation: explain(), times: 0 }));
    }

    /// Broken nowhere so far.
    pub(crate) fn clean(&self) -> bool {
        self.first.is_none()
    }

    /// The verdict.
    pub(crate) fn verdict(self) -> Verdict {
        self.verdict_with(None)
    }

    /// The verdict, with a note if it is valid.
    pub(crate) fn verdict_with(self, note: Option<String>) -> Verdict {
        match self.first {
            Some((_, violation)) => Verdict::Invalid(Box::new(Violation { times: self.times, ..violation })),
            None => Verdict::Valid { judged: self.judged, note },
        }
    }
}
