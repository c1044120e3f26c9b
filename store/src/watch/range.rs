//! What a watcher watches: a key or a range, and which kinds of change.
//!
//! Source: etcd `server/etcdserver/api/v3rpc/watch.go` (normalisation), `server/storage/mvcc/watcher.go` (empty range).

use bytes::Bytes;

use super::event::{Event, Kind};

/// The exclusive end of a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Before this key.
    At(Bytes),
    /// No end.
    Open,
}

impl End {
    /// Whether `key` lies before it.
    #[must_use]
    pub fn is_after(&self, key: &[u8]) -> bool {
        match self {
            End::At(end) => key < &end[..],
            End::Open => true,
        }
    }
}

/// A key, or every key in a half-open range. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyRange {
    /// One key.
    Key(Bytes),
    /// From a key to an end.
    Range(Bytes, End),
}

impl KeyRange {
    /// From the wire's pair; `None` where it names no key at all. An empty `key` is the first possible one; an end of one
    /// zero byte is no end.
    #[must_use]
    pub fn from_wire(key: Bytes, range_end: Bytes) -> Option<KeyRange> {
        let first = if key.is_empty() { Bytes::from_static(&[0]) } else { key.clone() };
        match &range_end[..] {
            [] => Some(KeyRange::Key(first)),
            [0] => Some(KeyRange::Range(first, End::Open)),
            _ if key >= range_end => None,
            _ => Some(KeyRange::Range(first, End::At(range_end))),
        }
    }

    /// Whether it has `key`.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::Key(own) => &own[..] == key,
            KeyRange::Range(first, end) => &first[..] <= key && end.is_after(key),
        }
    }
}

/// Kinds of change that a watcher does not want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// Drops puts.
    pub no_put: bool,
    /// Drops deletes.
    pub no_delete: bool,
}

impl Filters {
    /// How many there are.
    pub(super) const COUNT: usize = 4;

    /// Its number, below [`Filters::COUNT`].
    pub(super) fn number(self) -> usize {
        usize::from(self.no_put) + 2 * usize::from(self.no_delete)
    }

    /// The one with that number.
    pub(super) fn of_number(number: usize) -> Filters {
        Filters { no_put: number & 1 != 0, no_delete: number & 2 != 0 }
    }

    /// Whether it lets `event` through.
    #[must_use]
    pub fn pass(self, event: &Event) -> bool {
        match event.kind {
            Kind::Put { .. } => !self.no_put,
            Kind::Delete => !self.no_delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, end: &'static str) -> Option<KeyRange> {
        KeyRange::from_wire(key.into(), end.into())
    }

    #[test]
    fn the_wire_pair_becomes_a_key_a_range_or_nothing() {
        let from = |key: &'static str, end| Some(KeyRange::Range(key.into(), end));
        assert_eq!(range("a", ""), Some(KeyRange::Key("a".into())));
        assert_eq!(range("", ""), Some(KeyRange::Key("\0".into())));
        assert_eq!(range("a", "\0"), from("a", End::Open));
        assert_eq!(range("", "\0"), from("\0", End::Open));
        assert_eq!(range("\0", "\0"), from("\0", End::Open));
        assert_eq!(range("a", "b"), from("a", End::At("b".into())));
        assert_eq!(range("", "b"), from("\0", End::At("b".into())));
        assert_eq!(range("b", "b"), None);
        assert_eq!(range("b", "a"), None);
    }

    #[test]
    fn a_range_has_its_first_key_and_not_its_end() {
        let range = range("b", "d").unwrap();
        assert!(range.has(b"b") && range.has(b"c\xff"));
        assert!(!range.has(b"a") && !range.has(b"d"));
        assert!(KeyRange::Range("b".into(), End::Open).has(b"\xff\xff"));
    }

    #[test]
    fn filters_are_numbered_without_overlap() {
        for number in 0..Filters::COUNT {
            assert_eq!(Filters::of_number(number).number(), number);
        }
    }
}
