//! What clients know about keys and leases: what must stand, what must be gone, what may be either.
//!
//! A change with an answer leaves one possibility; one without leaves two for as long as the ledger lives, because a
//! request may wait in a member and take effect long after its client has given up. So a key with two possibilities must
//! not be changed again by whoever relies on the answer.

use std::collections::{BTreeMap, BTreeSet};

/// A key as a store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its value.
    pub value: String,
    /// The revision of its last change.
    pub mod_revision: i64,
}

/// One possibility.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stand {
    Gone,
    /// The revision where the answer has told it.
    There(String, Option<i64>),
}

impl Stand {
    fn is_met_by(&self, stored: Option<&Stored>) -> bool {
        match (self, stored) {
            (Stand::Gone, None) => true,
            (Stand::There(value, revision), Some(stored)) => {
                *value == stored.value && revision.is_none_or(|revision| revision == stored.mod_revision)
            }
            _ => false,
        }
    }
}

/// What is known of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lease {
    Granted,
    Revoked,
    Unknown,
}

/// The account of some clients.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    keys: BTreeMap<String, Vec<Stand>>,
    leases: BTreeMap<i64, Lease>,
    /// The highest revision of an answer.
    revision: i64,
    acknowledged: usize,
    broken: Vec<String>,
}

impl Ledger {
    /// A put has been answered.
    pub fn put(&mut self, key: &str, value: &str, revision: i64) {
        self.answered(revision);
        self.keys.insert(key.to_owned(), vec![Stand::There(value.to_owned(), Some(revision))]);
    }

    /// A put has not been answered.
    pub fn maybe_put(&mut self, key: &str, value: &str) {
        self.stands(key).push(Stand::There(value.to_owned(), None));
    }

    /// A delete has been answered.
    pub fn deleted(&mut self, key: &str, revision: i64) {
        self.answered(revision);
        self.keys.insert(key.to_owned(), vec![Stand::Gone]);
    }

    /// A delete has not been answered.
    pub fn maybe_deleted(&mut self, key: &str) {
        self.stands(key).push(Stand::Gone);
    }

    /// A delete of all keys that begin with `prefix` has been answered. A put without an answer may still come after it.
    pub fn prefix_deleted(&mut self, prefix: &str, revision: i64) {
        self.answered(revision);
        for (_, stands) in self.below(prefix) {
            match &stands[..] {
                [_] => *stands = vec![Stand::Gone],
                _ => stands.push(Stand::Gone),
            }
        }
    }

    /// A delete of all keys that begin with `prefix` has not been answered.
    pub fn prefix_maybe_deleted(&mut self, prefix: &str) {
        for (_, stands) in self.below(prefix) {
            stands.push(Stand::Gone);
        }
    }

    /// A lease has been granted.
    pub fn granted(&mut self, lease: i64) {
        self.acknowledged += 1;
        self.leases.insert(lease, Lease::Granted);
    }

    /// A lease has been revoked.
    pub fn revoked(&mut self, lease: i64, revision: i64) {
        self.answered(revision);
        self.leases.insert(lease, Lease::Revoked);
    }

    /// A grant or a revoke has not been answered.
    pub fn maybe_lease(&mut self, lease: i64) {
        self.leases.insert(lease, Lease::Unknown);
    }

    /// An answer was wrong in itself.
    pub fn broken(&mut self, what: String) {
        self.broken.push(what);
    }

    /// The revision at which a key is known to stand.
    #[must_use]
    pub fn revision_of(&self, key: &str) -> Option<i64> {
        match self.keys.get(key).map(Vec::as_slice) {
            Some([Stand::There(_, revision)]) => *revision,
            _ => None,
        }
    }

    /// Changes that were answered.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Takes over what others know, who have changed other keys.
    pub fn merge(&mut self, other: Ledger) {
        self.keys.extend(other.keys);
        self.leases.extend(other.leases);
        self.revision = self.revision.max(other.revision);
        self.acknowledged += other.acknowledged;
        self.broken.extend(other.broken);
    }

    /// What a store at `revision` that holds `keys` and `leases` should not look like; empty where all is well.
    #[must_use]
    pub fn violations(&self, keys: &BTreeMap<String, Stored>, leases: &BTreeSet<i64>, revision: i64) -> Vec<String> {
        let mut found = self.broken.clone();
        if revision < self.revision {
            found.push(format!("revision {revision}, but {} was answered", self.revision));
        }
        for (key, stands) in &self.keys {
            let stored = keys.get(key);
            if !stands.iter().any(|stand| stand.is_met_by(stored)) {
                found.push(format!("{key} is {stored:?}, should be {stands:?}"));
            }
        }
        for (lease, known) in &self.leases {
            let is_there = leases.contains(lease);
            if *known == Lease::Granted && !is_there || *known == Lease::Revoked && is_there {
                found.push(format!("lease {lease} was {known:?}, is there: {is_there}"));
            }
        }
        found
    }

    fn answered(&mut self, revision: i64) {
        self.acknowledged += 1;
        self.revision = self.revision.max(revision);
    }

    /// The possibilities of a key, to be added to; one that nobody has touched is not there.
    fn stands(&mut self, key: &str) -> &mut Vec<Stand> {
        self.keys.entry(key.to_owned()).or_insert_with(|| vec![Stand::Gone])
    }

    fn below<'a>(&'a mut self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a mut Vec<Stand>)> {
        self.keys.range_mut(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ledger: &Ledger, keys: &[(&str, &str, i64)], leases: &[i64]) -> usize {
        let stored = |value: &str, mod_revision| Stored { value: value.to_owned(), mod_revision };
        let keys = keys.iter().map(|(key, value, revision)| ((*key).to_owned(), stored(value, *revision)));
        ledger.violations(&keys.collect(), &leases.iter().copied().collect(), 9).len()
    }

    #[test]
    fn what_was_answered_must_stand_and_what_was_not_may_be_either() {
        let mut ledger = Ledger::default();
        ledger.put("a", "1", 5);
        ledger.maybe_put("b", "2");
        ledger.deleted("c", 6);
        assert_eq!(check(&ledger, &[("a", "1", 5)], &[]), 0);
        assert_eq!(check(&ledger, &[("a", "1", 5), ("b", "2", 8)], &[]), 0);
        assert_eq!(check(&ledger, &[("b", "2", 8)], &[]), 1, "a is lost");
        assert_eq!(check(&ledger, &[("a", "1", 7)], &[]), 1, "a was applied twice");
        assert_eq!(check(&ledger, &[("a", "1", 5), ("b", "x", 8)], &[]), 1, "b is nobody's");
        assert_eq!(check(&ledger, &[("a", "1", 5), ("c", "0", 4)], &[]), 1, "c has come back");
        ledger.put("d", "4", 10);
        assert_eq!(check(&ledger, &[("a", "1", 5), ("d", "4", 10)], &[]), 1, "the revision went back");
    }

    #[test]
    fn a_deleted_prefix_is_gone_but_for_puts_that_may_come_late() {
        let mut ledger = Ledger::default();
        ledger.put("p/1", "1", 3);
        ledger.maybe_put("p/2", "2");
        ledger.put("q", "3", 4);
        ledger.prefix_deleted("p/", 5);
        assert_eq!(check(&ledger, &[("q", "3", 4)], &[]), 0);
        assert_eq!(check(&ledger, &[("q", "3", 4), ("p/2", "2", 6)], &[]), 0);
        assert_eq!(check(&ledger, &[("q", "3", 4), ("p/1", "1", 3)], &[]), 1);
    }

    #[test]
    fn leases_are_there_when_granted_and_gone_when_revoked() {
        let mut ledger = Ledger::default();
        (1..=3).for_each(|lease| ledger.granted(lease));
        ledger.revoked(2, 4);
        ledger.maybe_lease(3);
        assert_eq!(check(&ledger, &[], &[1]), 0);
        assert_eq!(check(&ledger, &[], &[1, 3]), 0);
        assert_eq!(check(&ledger, &[], &[2]), 2);
    }
}
