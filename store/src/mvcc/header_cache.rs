//! Header cache: what apply must know of a key before it overwrites it, without reading the engine.
//!
//! It belongs to the single writer; readers use snapshots. Bounded by bytes: two generations, the older one is dropped when
//! the younger has taken half the bound, and what is used moves to the younger. So keys that change often stay, at one
//! look-up and no list.
//! Promises: an entry is the key's newest change. Does not: know that a key does not exist.

use std::collections::HashMap;
use std::mem;

use super::revision::Revision;

/// What one entry costs beside its key, bytes: the entry and its slot.
const ENTRY_BYTES: usize = 96;

/// A live key's newest change, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub revision: Revision,
    pub create_revision: i64,
    pub version: i64,
    pub lease: i64,
    /// What its row costs in the size account.
    pub row_bytes: i64,
}

/// Key → head.
pub(crate) struct HeaderCache {
    young: HashMap<Box<[u8]>, Head>,
    old: HashMap<Box<[u8]>, Head>,
    young_bytes: usize,
    generation_bytes_max: usize,
}

impl HeaderCache {
    /// An empty one that takes `bytes_max` at most.
    pub(crate) fn new(bytes_max: usize) -> HeaderCache {
        HeaderCache { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, generation_bytes_max: bytes_max / 2 }
    }

    /// The head of `key`, where it is known.
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Head> {
        if let Some(head) = self.young.get(key) {
            return Some(*head);
        }
        let (key, head) = self.old.remove_entry(key)?;
        self.insert_young(key, head);
        Some(head)
    }

    /// `key` was put.
    pub(crate) fn put(&mut self, key: &[u8], head: Head) {
        if let Some(known) = self.young.get_mut(key) {
            *known = head;
            return;
        }
        let key = self.old.remove_entry(key).map_or_else(|| key.into(), |(key, _)| key);
        self.insert_young(key, head);
    }

    /// `key` was deleted.
    pub(crate) fn delete(&mut self, key: &[u8]) {
        if self.young.remove(key).is_some() {
            self.young_bytes -= key.len() + ENTRY_BYTES;
        } else {
            self.old.remove(key);
        }
    }

    /// Everything may be different now.
    pub(crate) fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
        self.young_bytes = 0;
    }

    fn insert_young(&mut self, key: Box<[u8]>, head: Head) {
        self.young_bytes += key.len() + ENTRY_BYTES;
        if self.young_bytes > self.generation_bytes_max {
            self.old = mem::take(&mut self.young);
            self.young_bytes = key.len() + ENTRY_BYTES;
        }
        self.young.insert(key, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(main: i64) -> Head {
        Head { revision: Revision { main, sub: 0 }, create_revision: 1, version: 1, lease: 0, row_bytes: 9 }
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes_within_the_bound() {
        let mut cache = HeaderCache::new(100 * (ENTRY_BYTES + 8));
        for i in 0..10_000_i64 {
            cache.put(&i.to_be_bytes(), head(i));
            assert_eq!(cache.get(&0_i64.to_be_bytes()), Some(head(0)), "used each time");
            assert!(cache.young.len() + cache.old.len() <= 100);
        }
        assert_eq!(cache.get(&9_999_i64.to_be_bytes()), Some(head(9_999)));
        assert_eq!(cache.get(&5_000_i64.to_be_bytes()), None);
    }

    #[test]
    fn a_newer_head_replaces_an_older_in_either_generation_and_a_deleted_key_is_forgotten() {
        let mut cache = HeaderCache::new(2 * 2 * (ENTRY_BYTES + 1));
        cache.put(b"a", head(1));
        cache.put(b"b", head(2));
        cache.put(b"c", head(3));
        assert!(cache.old.contains_key(&b"a"[..]), "c opened a generation");
        cache.put(b"a", head(4));
        assert_eq!(cache.get(b"a"), Some(head(4)));
        cache.delete(b"a");
        cache.delete(b"b");
        assert_eq!((cache.get(b"a"), cache.get(b"b")), (None, None));
        cache.clear();
        assert_eq!(cache.get(b"c"), None);
        assert_eq!(cache.young_bytes, 0);
    }
}
