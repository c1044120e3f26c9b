//! The store's revision, which clients know as resourceVersion.

use std::fmt;

/// A point in the store's history; all resources share one sequence.
///
/// As a resourceVersion it is its decimal form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Before every change.
    pub const ZERO: Revision = Revision(0);

    /// The revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Revision(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Revision(self.0 + 1)
    }

    /// The one that lies `count` before it; the first one if there are not so many.
    #[must_use]
    pub fn back(self, count: u64) -> Self {
        Revision(self.0.saturating_sub(count).max(1))
    }

    /// As etcd has it on the wire.
    #[must_use]
    pub fn to_wire(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From the wire, where a revision is never negative.
    #[must_use]
    pub fn from_wire(number: i64) -> Self {
        Revision(u64::try_from(number).unwrap_or_default())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
