//! A refused setting: what is wrong, why it cannot be, what to try.
//!
//! One shape for all of them, since whoever reads it is a person in front of a terminal and nothing branches on it.

/// A setting that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n  why: {why}\n  try: {remedy}")]
pub struct Invalid {
    /// What was refused, with its value.
    pub what: String,
    /// The rule it breaks.
    pub why: String,
    /// What to do instead.
    pub remedy: String,
}

impl Invalid {
    /// A refusal from its three parts.
    pub fn new(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Invalid {
        Invalid { what: what.into(), why: why.into(), remedy: remedy.into() }
    }

    /// The same refusal, its first line saying where it was found (`--listen-peer-urls: …`).
    #[must_use]
    pub fn at(mut self, place: impl std::fmt::Display) -> Invalid {
        self.what = format!("{place}: {}", self.what);
        self
    }
}
