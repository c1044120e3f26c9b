//! The store's specification: keys with their versions, leases, the compacted revision.
//!
//! A request that changes at least one key raises the revision by exactly one, whatever the number of keys; one that
//! changes none leaves it. Nothing is forgotten: compaction is a number, and decides only what a read is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::history::{
    Answer, Code, Compare, Delete, Deleted, Granted, KeyValue, Put, PutDone, Range, Ranged, Relation, Request, Target,
    TtlLeft, Txn, TxnDone,
};

/// The revision of a store in which nothing has been written.
pub const FIRST_REVISION: i64 = 1;

/// A key at and after a revision; `None`: it is deleted.
#[derive(Clone, Debug)]
struct Version {
    revision: i64,
    kv: Option<KeyValue>,
}

/// A lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Seconds granted.
    pub ttl: i64,
    /// The keys attached to it.
    pub keys: BTreeSet<String>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The header's revision.
    pub revision: i64,
    /// Whether the request has raised it.
    pub changed: bool,
    /// The answer.
    pub answer: Answer,
}

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    revision: i64,
    compacted: i64,
    keys: BTreeMap<String, Vec<Version>>,
    leases: BTreeMap<i64, Lease>,
    /// The keys changed at each revision, in the order of the changes.
    changes: Vec<(i64, Vec<String>)>,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            revision: FIRST_REVISION,
            compacted: 0,
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            changes: Vec::new(),
        }
    }
}

impl Store {
    /// The revision of the last change.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The compacted revision; 0 for none.
    #[must_use]
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// A lease that is alive.
    #[must_use]
    pub fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    /// The keys that were changed at a revision, in order; empty where the replay knows of no change.
    #[must_use]
    pub fn changed_at(&self, revision: i64) -> &[String] {
        let place = self.changes.binary_search_by_key(&revision, |(at, _)| *at);
        place.map_or(&[], |place| self.changes[place].1.as_slice())
    }

    /// The revisions from `from` on at which something changed, with the keys.
    pub fn changes_from(&self, from: i64) -> impl Iterator<Item = (i64, &[String])> {
        let first = self.changes.partition_point(|(revision, _)| *revision < from);
        self.changes[first..].iter().map(|(revision, keys)| (*revision, keys.as_slice()))
    }

    /// A key at a revision.
    #[must_use]
    pub fn get(&self, key: &str, revision: i64) -> Option<&KeyValue> {
        at_revision(self.keys.get(key)?, revision)?.kv.as_ref()
    }

    /// The revision at which a key was last put or deleted, at a revision; 0 when it never was.
    #[must_use]
    pub fn touched(&self, key: &str, revision: i64) -> i64 {
        let version = self.keys.get(key).and_then(|versions| at_revision(versions, revision));
        version.map_or(0, |version| version.revision)
    }

    /// Every key of a range that there is at a revision.
    pub fn keys_in<'s>(&'s self, first: &str, end: Option<&str>, revision: i64) -> impl Iterator<Item = &'s KeyValue> {
        let end = match end {
            None => Bound::Included(first.to_owned()),
            Some("\0") => Bound::Unbounded,
            // An end before the first is a range of nothing, where BTreeMap would panic.
            Some(end) => Bound::Excluded(end.max(first).to_owned()),
        };
        let empty = matches!(&end, Bound::Excluded(end) if end == first);
        let range = if empty { None } else { Some(self.keys.range((Bound::Included(first.to_owned()), end))) };
        range.into_iter().flatten().filter_map(move |(_, versions)| at_revision(versions, revision)?.kv.as_ref())
    }

    /// What a range shows at a revision.
    #[must_use]
    pub fn range(&self, range: &Range, revision: i64) -> Ranged {
        let revision = if range.revision > 0 { range.revision } else { revision };
        let all: Vec<&KeyValue> = self.keys_in(&range.key, range.end.as_deref(), revision).collect();
        let count = i64::try_from(all.len()).expect("keys fit in memory");
        let limit = if range.limit > 0 { usize::try_from(range.limit).unwrap_or(usize::MAX) } else { usize::MAX };
        let more = !range.count_only && all.len() > limit;
        let kvs = if range.count_only {
            Vec::new()
        } else {
            let shown = |kv: &KeyValue| KeyValue {
                value: if range.keys_only { String::new() } else { kv.value.clone() },
                ..kv.clone()
            };
            all.into_iter().take(limit).map(shown).collect()
        };
        Ranged { kvs, more, count }
    }

    /// Whether this is what a range shows at a revision: [`Store::range`] without the copies.
    #[must_use]
    pub fn shows(&self, range: &Range, revision: i64, told: &Ranged) -> bool {
        if range.limit > 0 || range.keys_only || range.count_only {
            return self.range(range, revision) == *told;
        }
        let revision = if range.revision > 0 { range.revision } else { revision };
        let all = usize::try_from(told.count).is_ok_and(|count| count == told.kvs.len());
        all && !told.more && self.keys_in(&range.key, range.end.as_deref(), revision).eq(&told.kvs)
    }

    /// Whether the compares hold at a revision.
    #[must_use]
    pub fn holds(&self, compares: &[Compare], revision: i64) -> bool {
        compares.iter().all(|compare| {
            let kv = self.get(&compare.key, revision);
            let of = |number: fn(&KeyValue) -> i64| kv.map_or(0, number);
            let order = match &compare.to {
                Target::Version(to) => of(|kv| kv.version).cmp(to),
                Target::Create(to) => of(|kv| kv.create_revision).cmp(to),
                Target::Mod(to) => of(|kv| kv.mod_revision).cmp(to),
                Target::Lease(to) => of(|kv| kv.lease).cmp(to),
                Target::Value(to) => match kv {
                    Some(kv) => kv.value.cmp(to),
                    None => return false,
                },
            };
            match compare.is {
                Relation::Equal => order.is_eq(),
                Relation::Greater => order.is_gt(),
                Relation::Less => order.is_lt(),
                Relation::NotEqual => order.is_ne(),
            }
        })
    }

    /// What a read answers at a revision; `None` for a request that is no read, or would write.
    #[must_use]
    pub fn read(&self, request: &Request, revision: i64) -> Option<Answer> {
        match request {
            Request::Range(range) => Some(Answer::Range(self.range(range, revision))),
            Request::Delete(delete) => {
                let none = self.keys_in(&delete.key, delete.end.as_deref(), revision).next().is_none();
                none.then(|| Answer::Delete(Deleted::default()))
            }
            Request::Txn(txn) => {
                let succeeded = self.holds(&txn.compares, revision);
                let branch = if succeeded { &txn.success } else { &txn.failure };
                let answers: Option<Vec<Answer>> = branch.iter().map(|op| self.read(op, revision)).collect();
                Some(Answer::Txn(TxnDone { succeeded, answers: answers? }))
            }
            _ => None,
        }
    }

    /// Gives up to the next request the revision `next`: what lies between is not known to this replay.
    pub fn skip_to(&mut self, next: i64) {
        self.revision = self.revision.max(next - 1);
    }

    /// Does what a request asks.
    ///
    /// # Errors
    /// When it is refused; then it has no effect.
    pub fn apply(&mut self, request: &Request) -> Result<Applied, Code> {
        self.apply_branch(request, None)
    }

    /// As [`Store::apply`]; a transaction takes the branch that is told, whatever its compares say here.
    ///
    /// # Errors
    /// As there.
    pub fn apply_branch(&mut self, request: &Request, succeeded: Option<bool>) -> Result<Applied, Code> {
        self.check(request, succeeded)?;
        let next = self.revision + 1;
        let answer = match request {
            Request::Compact(compact) => {
                self.compacted = compact.revision;
                Answer::Done
            }
            Request::Grant(grant) => {
                self.leases.insert(grant.lease, Lease { ttl: grant.ttl, keys: BTreeSet::new() });
                Answer::Granted(Granted { ttl: grant.ttl })
            }
            Request::Revoke(revoke) => {
                self.end_lease(revoke.lease, next);
                Answer::Done
            }
            other => self.operate(other, next, succeeded),
        };
        let changed = self.last_change() == next;
        self.revision += i64::from(changed);
        Ok(Applied { revision: self.revision, changed, answer })
    }

    /// Ends a lease with its keys, in one revision; whether there were any.
    pub fn expire(&mut self, lease: i64) -> bool {
        let next = self.revision + 1;
        self.end_lease(lease, next);
        let changed = self.last_change() == next;
        self.revision += i64::from(changed);
        changed
    }

    /// Takes over a key as somebody saw it at `revision`, which no request explains.
    pub fn install(&mut self, key: &str, kv: Option<&KeyValue>, revision: i64) {
        self.revision = self.revision.max(revision);
        self.attach(key, kv.map_or(0, |kv| kv.lease));
        self.keys.entry(key.to_owned()).or_default().push(Version { revision, kv: kv.cloned() });
        self.note(revision, key);
    }

    /// The refusals that come before any effect.
    fn check(&self, request: &Request, succeeded: Option<bool>) -> Result<(), Code> {
        match request {
            Request::Put(put) if put.lease != 0 && !self.leases.contains_key(&put.lease) => Err(Code::LeaseNotFound),
            Request::Range(range) if range.revision > self.revision => Err(Code::FutureRevision),
            Request::Range(range) if range.revision != 0 && range.revision < self.compacted => Err(Code::Compacted),
            Request::Compact(compact) if compact.revision > self.revision => Err(Code::FutureRevision),
            Request::Compact(compact) if compact.revision <= self.compacted => Err(Code::Compacted),
            Request::Grant(grant) if self.leases.contains_key(&grant.lease) => Err(Code::LeaseExists),
            Request::Revoke(revoke) if !self.leases.contains_key(&revoke.lease) => Err(Code::LeaseNotFound),
            Request::Txn(txn) => {
                let succeeded = succeeded.unwrap_or_else(|| self.holds(&txn.compares, self.revision));
                let branch = if succeeded { &txn.success } else { &txn.failure };
                branch.iter().try_for_each(|op| self.check(op, None))
            }
            _ => Ok(()),
        }
    }

    fn operate(&mut self, request: &Request, next: i64, succeeded: Option<bool>) -> Answer {
        match request {
            Request::Range(range) => Answer::Range(self.range(range, next)),
            Request::Put(put) => Answer::Put(self.put(put, next)),
            Request::Delete(delete) => Answer::Delete(self.delete(delete, next)),
            Request::Txn(Txn { compares, success, failure }) => {
                let succeeded = succeeded.unwrap_or_else(|| self.holds(compares, next));
                let branch = if succeeded { success } else { failure };
                let answers = branch.iter().map(|op| self.operate(op, next, None)).collect();
                Answer::Txn(TxnDone { succeeded, answers })
            }
            Request::TimeToLive(ask) => {
                let granted = self.leases.get(&ask.lease).map(|lease| lease.ttl);
                Answer::TimeToLive(TtlLeft { granted: granted.unwrap_or(0), remaining: granted.unwrap_or(-1) })
            }
            _ => Answer::Done,
        }
    }

    fn put(&mut self, put: &Put, next: i64) -> PutDone {
        let previous = self.get(&put.key, next).cloned();
        let (create_revision, version) = previous.as_ref().map_or((next, 1), |kv| (kv.create_revision, kv.version + 1));
        let (key, value) = (put.key.clone(), put.value.clone());
        let kv = KeyValue { key, value, create_revision, mod_revision: next, version, lease: put.lease };
        self.change(&put.key, Some(kv), next);
        PutDone { previous: previous.filter(|_| put.previous) }
    }

    fn delete(&mut self, delete: &Delete, next: i64) -> Deleted {
        let found: Vec<KeyValue> = self.keys_in(&delete.key, delete.end.as_deref(), next).cloned().collect();
        for kv in &found {
            self.change(&kv.key, None, next);
        }
        let deleted = i64::try_from(found.len()).expect("keys fit in memory");
        Deleted { deleted, previous: if delete.previous { found } else { Vec::new() } }
    }

    fn end_lease(&mut self, lease: i64, next: i64) {
        for key in self.leases.remove(&lease).unwrap_or_default().keys {
            self.change(&key, None, next);
        }
    }

    fn change(&mut self, key: &str, kv: Option<KeyValue>, revision: i64) {
        self.attach(key, kv.as_ref().map_or(0, |kv| kv.lease));
        match self.keys.get_mut(key) {
            Some(versions) => versions.push(Version { revision, kv }),
            None => {
                self.keys.insert(key.to_owned(), vec![Version { revision, kv }]);
            }
        }
        self.note(revision, key);
    }

    fn last_change(&self) -> i64 {
        self.changes.last().map_or(0, |(revision, _)| *revision)
    }

    fn note(&mut self, revision: i64, key: &str) {
        debug_assert!(self.last_change() <= revision, "a replay goes up");
        match self.changes.last_mut() {
            Some((last, keys)) if *last == revision => keys.push(key.to_owned()),
            _ => self.changes.push((revision, vec![key.to_owned()])),
        }
    }

    /// Moves a key from the lease it has now to another.
    fn attach(&mut self, key: &str, lease: i64) {
        let before = self.keys.get(key).and_then(|versions| versions.last()?.kv.as_ref()).map_or(0, |kv| kv.lease);
        if before == lease {
            return;
        }
        if let Some(old) = self.leases.get_mut(&before) {
            old.keys.remove(key);
        }
        if let Some(new) = self.leases.get_mut(&lease) {
            new.keys.insert(key.to_owned());
        }
    }
}

/// The version that holds at a revision.
fn at_revision(versions: &[Version], revision: i64) -> Option<&Version> {
    // Most ask for the present.
    if let Some(last) = versions.last().filter(|last| last.revision <= revision) {
        return Some(last);
    }
    versions[..versions.partition_point(|version| version.revision <= revision)].last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Compact, Grant, Revoke};

    fn put(key: &str, value: &str, lease: i64) -> Request {
        Request::Put(Put { key: key.into(), value: value.into(), lease, previous: true })
    }

    fn delete(key: &str, end: Option<&str>) -> Request {
        Request::Delete(Delete { key: key.into(), end: end.map(Into::into), previous: false })
    }

    /// (key, value, create, mod, version) of everything at a revision.
    fn state(store: &Store, revision: i64) -> Vec<(String, String, i64, i64, i64)> {
        let all = store.keys_in("\0", Some("\0"), revision);
        all.map(|kv| (kv.key.clone(), kv.value.clone(), kv.create_revision, kv.mod_revision, kv.version)).collect()
    }

    #[test]
    fn a_replay_has_the_state_at_each_revision() {
        let mut store = Store::default();
        for request in [
            put("a", "1", 0),
            put("b", "2", 0),
            put("a", "3", 0),
            delete("a", Some("b")),
            delete("a", None),
            put("a", "4", 0),
        ] {
            store.apply(&request).unwrap();
        }
        assert_eq!(store.revision(), 6, "the delete of nothing raises no revision");
        let kv = |key: &str, value: &str, create, modified, version| {
            (key.to_owned(), value.to_owned(), create, modified, version)
        };
        assert_eq!(state(&store, 1), []);
        assert_eq!(state(&store, 3), [kv("a", "1", 2, 2, 1), kv("b", "2", 3, 3, 1)]);
        assert_eq!(state(&store, 4), [kv("a", "3", 2, 4, 2), kv("b", "2", 3, 3, 1)]);
        assert_eq!(state(&store, 5), [kv("b", "2", 3, 3, 1)]);
        assert_eq!(state(&store, 6), [kv("a", "4", 6, 6, 1), kv("b", "2", 3, 3, 1)]);
        assert_eq!(store.changed_at(5), ["a"]);
    }

    #[test]
    fn a_transaction_is_one_revision_and_reads_its_own_writes() {
        let mut store = Store::default();
        let read = Request::Range(Range { key: "a".into(), end: Some("z".into()), ..Range::default() });
        let txn = Request::Txn(Txn {
            compares: vec![Compare { key: "a".into(), is: Relation::Equal, to: Target::Create(0) }],
            success: vec![put("a", "1", 0), put("b", "2", 0), read.clone()],
            failure: vec![read],
        });
        let Applied { revision, changed, answer: Answer::Txn(done) } = store.apply(&txn).unwrap() else {
            panic!("a txn")
        };
        assert!(changed && done.succeeded && revision == 2);
        assert_eq!(done.answers[2].shown().len(), 2);
        let again = store.apply(&txn).unwrap();
        assert!(!again.changed && again.revision == 2);
        assert_eq!(store.read(&txn, 2), Some(again.answer));
        assert_eq!(store.read(&txn, 1), None, "at 1 it would write");
    }

    #[test]
    fn the_keys_of_a_lease_go_in_one_revision_unless_they_have_moved() {
        let mut store = Store::default();
        store.apply(&Request::Grant(Grant { lease: 7, ttl: 5 })).unwrap();
        store.apply(&Request::Grant(Grant { lease: 8, ttl: 5 })).unwrap();
        assert_eq!(store.apply(&Request::Grant(Grant { lease: 7, ttl: 5 })), Err(Code::LeaseExists));
        for request in
            [put("a", "1", 7), put("b", "2", 7), put("c", "3", 7), put("c", "4", 8), put("d", "5", 7), put("d", "6", 0)]
        {
            store.apply(&request).unwrap();
        }
        assert_eq!(store.apply(&Request::Revoke(Revoke { lease: 7 })).unwrap().revision, 8);
        assert_eq!(store.changed_at(8), ["a", "b"]);
        assert!(store.expire(8) && !store.expire(8));
        assert_eq!(state(&store, 9).len(), 1);
        assert_eq!(store.apply(&put("a", "9", 7)), Err(Code::LeaseNotFound));
    }

    #[test]
    fn compaction_decides_what_is_refused() {
        let mut store = Store::default();
        store.apply(&put("a", "1", 0)).unwrap();
        store.apply(&put("a", "2", 0)).unwrap();
        let compact = |revision| Request::Compact(Compact { revision, physical: false });
        let read = |revision| Request::Range(Range { key: "a".into(), revision, ..Range::default() });
        assert_eq!(store.apply(&compact(4)), Err(Code::FutureRevision));
        assert!(!store.apply(&compact(3)).unwrap().changed);
        assert_eq!(store.apply(&compact(3)), Err(Code::Compacted));
        assert_eq!(store.apply(&read(2)), Err(Code::Compacted));
        assert_eq!(store.apply(&read(4)), Err(Code::FutureRevision));
        assert_eq!(store.apply(&read(3)).unwrap().answer.shown()[0].value, "2");
    }
}
