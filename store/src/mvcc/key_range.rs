//! Which keys a request means.
//!
//! Source: etcd `rpc.proto` (`range_end`): empty is one key, `"\0"` is every key from `key` on, else half-open.

use bytes::Bytes;

use crate::engine::schema;

/// Keys of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyRange {
    /// One key.
    One(Bytes),
    /// From, and to (not included; `None` is the end of all keys).
    Span(Bytes, Option<Bytes>),
}

impl KeyRange {
    /// From a request's two fields.
    pub(crate) fn new(key: &Bytes, range_end: &Bytes) -> KeyRange {
        match &range_end[..] {
            [] => KeyRange::One(key.clone()),
            [0] => KeyRange::Span(key.clone(), None),
            _ => KeyRange::Span(key.clone(), Some(range_end.clone())),
        }
    }

    /// The keys of it after `key`.
    pub(crate) fn after(&self, key: &[u8]) -> KeyRange {
        let mut next = key.to_vec();
        next.push(0);
        let to = match self {
            KeyRange::One(_) => Some(Bytes::new()),
            KeyRange::Span(_, to) => to.clone(),
        };
        KeyRange::Span(next.into(), to)
    }

    /// Whether no key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, KeyRange::Span(from, Some(to)) if to <= from)
    }

    /// Whether `key` is in it.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::One(one) => one == key,
            KeyRange::Span(from, to) => from <= key && to.as_ref().is_none_or(|to| key < to),
        }
    }

    /// Its rows in Latest and Graves: from, to.
    pub(crate) fn rows(&self) -> (Bytes, Bytes) {
        match self {
            KeyRange::One(key) => {
                let mut to = schema::key(key).to_vec();
                to.push(0);
                (schema::key(key), to.into())
            }
            KeyRange::Span(from, to) => {
                let end = to.as_ref().map_or_else(|| Bytes::from_static(schema::KEYS_END), |to| schema::key(to));
                (schema::key(from), end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_end_means_what_etcd_says() {
        for (key, end, inside, outside) in [
            ("b", "", &["b"][..], &["a", "b\0", "c"][..]),
            ("b", "\0", &["b", "b\0", "\u{ff}"], &["a"]),
            ("b", "d", &["b", "c", "c\u{ff}"], &["a", "d"]),
            ("d", "b", &[], &["a", "b", "c", "d"]),
            ("\0", "\0", &["\0", "a"], &[]),
        ] {
            let range = KeyRange::new(&key.into(), &end.into());
            let (from, to) = range.rows();
            for (keys, expected) in [(inside, true), (outside, false)] {
                for k in keys {
                    assert_eq!(range.contains(k.as_bytes()), expected, "{k:?} in {range:?}");
                    let row = schema::key(k.as_bytes());
                    assert_eq!(from <= row && row < to, expected, "{k:?} in the rows of {range:?}");
                }
            }
        }
        assert!(KeyRange::new(&"d".into(), &"b".into()).is_empty());
        assert!(!KeyRange::new(&"a".into(), &"b".into()).after(b"a").contains(b"a"));
    }
}
