//! A digest of keys and revisions, by which a cache is compared with the store.
//!
//! Two digests at the same revision are equal if and (but for a hash's luck) only if both have the same objects.
//! FNV-1a over the keys with their revisions, in key order. Source: apiserver `storage/cacher/compare.go`.

use std::fmt;

use crate::storage::{Key, List, Revision};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// What a resource has at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// When.
    pub revision: Revision,
    /// How many objects.
    pub objects: usize,
    /// Of their keys and revisions.
    pub hash: u64,
}

impl Digest {
    /// Of these keys, in key order.
    pub(crate) fn of<'a>(revision: Revision, keys: impl Iterator<Item = (&'a Key, Revision)>) -> Self {
        let mut digest = Digest { revision, objects: 0, hash: OFFSET };
        for (key, revision) in keys {
            digest.objects += 1;
            digest.add(key.as_str().as_bytes());
            digest.add(b"\0");
            digest.add(&revision.get().to_be_bytes());
        }
        digest
    }

    /// Of a whole list.
    #[must_use]
    pub fn of_list(list: &List) -> Self {
        Digest::of(list.revision, list.objects.iter().map(|object| (&object.key, object.revision)))
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {}, {} objects, {:016x}", self.revision, self.objects, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_revision_or_order_is_another_digest() {
        let digest = |keys: &[(&str, u64)]| {
            let keys: Vec<_> = keys.iter().map(|(key, revision)| (Key::new(*key), Revision::new(*revision))).collect();
            Digest::of(Revision::new(9), keys.iter().map(|(key, revision)| (key, *revision)))
        };
        let one = digest(&[("a", 1), ("b", 2)]);
        assert_eq!((one, one.objects), (digest(&[("a", 1), ("b", 2)]), 2));
        for other in [&[("a", 1), ("b", 3)][..], &[("a", 1), ("c", 2)], &[("a", 2), ("b", 1)], &[("a", 1)], &[]] {
            assert_ne!(one.hash, digest(other).hash, "{other:?}");
        }
    }
}
