//! The disk contract: how keys and values of the families that MVCC owns are laid out. See `docs/design/disk-format.md`.
//!
//! ```text
//! Latest     'k' key            → KeyValue | main u64 | sub u32
//! Graves     'k' key            → main u64 | sub u32                                                 of the tombstone
//! History    main u64 | sub u32 → flags u8 | previous main u64 | previous sub u32 | written i64 | live i64 | Event
//! Base       main u64 | sub u32 → KeyValue
//! LeaseKeys  lease u64 | key    → nothing
//! Meta       name               → one record each
//! ```
//! Integers are big-endian, so that bytes sort as numbers do. `KeyValue` and `Event` are etcd's `mvccpb` messages in wire form.
//! The revision stands behind the `KeyValue` in Latest because so one buffer holds a put's row of Latest, its row of History
//! and its event, each a slice of it. `Base` is keyed by revision and not by key: a row is found by the pointer that leads to
//! it, and removing a stale one can never hit a newer one. `written` and `live` are the account of `mvcc::size` after the row.
//! Promises: decoding never panics; what does not decode is `None`, and the caller says which row is damaged.

use bytes::{BufMut, Bytes, BytesMut};

/// The form of everything below, under [`META_FORMAT`]; another one is refused at start.
pub const FORMAT: &[u8] = b"fairlead state 1";
/// Meta: [`FORMAT`].
pub const META_FORMAT: &[u8] = b"format";
/// Meta: revision, compact revision and sizes, in one record of `mvcc::revision`.
pub const META_MVCC: &[u8] = b"mvcc";
/// Meta: how far the removal of compacted rows has come, a record of `mvcc::compact`.
pub const META_COMPACTION: &[u8] = b"compaction";
/// Meta: the applied log id, a record of `apply`.
pub const META_APPLIED: &[u8] = b"applied";
/// Meta: the raft membership, a record of `apply`.
pub const META_MEMBERSHIP: &[u8] = b"membership";

/// What each key of Latest and Graves begins with, so that the end of an open range is a key too.
pub const KEY_PREFIX: u8 = b'k';
/// The end of all keys of Latest and Graves.
pub const KEYS_END: &[u8] = &[KEY_PREFIX + 1];
/// Length of an encoded revision, bytes.
pub const REVISION_BYTES: usize = 12;
/// Length of a History value before its event, bytes.
pub const HISTORY_HEADER_BYTES: usize = 1 + REVISION_BYTES + 8 + 8;

const FLAG_DELETE: u8 = 1;
const FLAG_CREATED: u8 = 2;
const FLAG_PREVIOUS: u8 = 4;

/// (main, sub) in a key's order.
#[must_use]
pub fn revision(main: i64, sub: i64) -> [u8; REVISION_BYTES] {
    let mut out = [0; REVISION_BYTES];
    out[..8].copy_from_slice(&main.cast_unsigned().to_be_bytes());
    let sub = u32::try_from(sub).expect("a transaction changes fewer than 2^32 keys");
    out[8..].copy_from_slice(&sub.to_be_bytes());
    out
}

/// Reads what [`revision`] wrote.
#[must_use]
pub fn read_revision(bytes: &[u8]) -> Option<(i64, i64)> {
    let bytes: &[u8; REVISION_BYTES] = bytes.try_into().ok()?;
    let main = u64::from_be_bytes(bytes[..8].try_into().ok()?).cast_signed();
    let sub = u32::from_be_bytes(bytes[8..].try_into().ok()?);
    Some((main, i64::from(sub)))
}

/// The row of a key in Latest and Graves.
#[must_use]
pub fn key(user_key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + user_key.len());
    out.put_u8(KEY_PREFIX);
    out.put_slice(user_key);
    out.freeze()
}

/// The key of a row in Latest and Graves.
#[must_use]
pub fn user_key(row: &[u8]) -> &[u8] {
    row.get(1..).unwrap_or(&[])
}

/// A value of Latest: the `KeyValue` and its revision.
#[must_use]
pub fn read_latest(value: &[u8]) -> Option<(&[u8], (i64, i64))> {
    let (kv, revision) = value.split_at_checked(value.len().checked_sub(REVISION_BYTES)?)?;
    Some((kv, read_revision(revision)?))
}

/// What stands before the event in a row of History.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryHeader {
    /// A tombstone.
    pub delete: bool,
    /// A put of a key that did not exist.
    pub created: bool,
    /// The key's change before this one, a tombstone included, unless it was compacted when this row was written.
    pub previous: Option<(i64, i64)>,
    /// Bytes of all rows ever written, this one included.
    pub written: i64,
    /// Bytes of the rows that were live after this change.
    pub live: i64,
}

impl HistoryHeader {
    /// Appends it.
    pub fn encode(&self, out: &mut BytesMut) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.put_u8(
            flag(self.delete, FLAG_DELETE)
                | flag(self.created, FLAG_CREATED)
                | flag(self.previous.is_some(), FLAG_PREVIOUS),
        );
        let (main, sub) = self.previous.unwrap_or((0, 0));
        out.put_slice(&revision(main, sub));
        out.put_i64(self.written);
        out.put_i64(self.live);
    }

    /// A row's header and its encoded event.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<(HistoryHeader, &[u8])> {
        let (header, event) = value.split_at_checked(HISTORY_HEADER_BYTES)?;
        let number = |at: usize| Some(i64::from_be_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let previous = read_revision(&header[1..1 + REVISION_BYTES])?;
        let decoded = HistoryHeader {
            delete: header[0] & FLAG_DELETE != 0,
            created: header[0] & FLAG_CREATED != 0,
            previous: (header[0] & FLAG_PREVIOUS != 0).then_some(previous),
            written: number(1 + REVISION_BYTES)?,
            live: number(1 + REVISION_BYTES + 8)?,
        };
        Some((decoded, event))
    }
}

/// The row that says that `user_key` is attached to `lease`.
#[must_use]
pub fn lease_key(lease: i64, user_key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + user_key.len());
    out.put_i64(lease);
    out.put_slice(user_key);
    out.freeze()
}

/// The rows of one lease in LeaseKeys: from, and to (`None` is the family's end).
#[must_use]
pub fn lease_key_range(lease: i64) -> ([u8; 8], Option<[u8; 8]>) {
    let bits = lease.cast_unsigned();
    (bits.to_be_bytes(), bits.checked_add(1).map(u64::to_be_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_sort_as_bytes() {
        let in_order = [(0, 0), (1, 0), (1, 1), (1, 300), (2, 0), (256, 0), (i64::MAX, 7)];
        for pair in in_order.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(|(main, sub)| revision(main, sub));
            assert!(a < b, "{pair:?}");
        }
        assert!(in_order.iter().all(|r| read_revision(&revision(r.0, r.1)) == Some(*r)));
        assert_eq!(read_revision(b"short"), None);
    }

    #[test]
    fn a_history_header_comes_back_as_it_went_in() {
        for (delete, previous) in [(true, Some((7, 3))), (false, None)] {
            let header = HistoryHeader { delete, created: !delete, previous, written: 99, live: -1 };
            let mut out = BytesMut::new();
            header.encode(&mut out);
            assert_eq!(out.len(), HISTORY_HEADER_BYTES);
            out.put_slice(b"event");
            assert_eq!(HistoryHeader::decode(&out), Some((header, &b"event"[..])));
        }
        assert_eq!(HistoryHeader::decode(&[0; 20]), None);
    }

    #[test]
    fn an_open_range_of_keys_has_an_end_behind_every_key() {
        assert!(&key(&[0xff; 64])[..] < KEYS_END);
        assert!(key(&[]) < key(&[0]));
        assert_eq!(user_key(&key(b"a")), b"a");
    }

    #[test]
    fn the_keys_of_the_last_lease_end_with_the_family() {
        assert_eq!(lease_key_range(-1).1, None);
        assert_eq!(lease_key_range(7), (7_u64.to_be_bytes(), Some(8_u64.to_be_bytes())));
        assert!(lease_key(7, b"k").starts_with(&lease_key_range(7).0));
    }
}
