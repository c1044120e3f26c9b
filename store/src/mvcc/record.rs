//! Records in wire form: `mvccpb.KeyValue` and `mvccpb.Event`, written once and read in place.
//!
//! One buffer holds everything that a put needs, so that its bytes are written once and shared by the row of Latest, the row
//! of History, the event for watchers and the answer:
//!
//! ```text
//! 'k' key | main sub | history header | event tag, length | KeyValue | main sub
//! └latest key┘ └ history key ┘└────────────── history value ─────────┘
//!                                     └────────── event ─────────────┘
//!                                                         └──── latest value ────┘
//! ```
//! Promises: fields in the order of their numbers, defaults left out, as Go's and C++'s encoders write them, so that the
//! bytes are those that etcd stores and hashes. Reading never panics.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use super::revision::Revision;
use crate::engine::schema::{HISTORY_HEADER_BYTES, HistoryHeader, KEY_PREFIX, REVISION_BYTES, revision};

const KEY: u8 = 1 << 3 | 2;
const CREATE_REVISION: u8 = 2 << 3;
const MOD_REVISION: u8 = 3 << 3;
const VERSION: u8 = 4 << 3;
const VALUE: u8 = 5 << 3 | 2;
const LEASE: u8 = 6 << 3;
const EVENT_TYPE: u8 = 1 << 3;
const EVENT_KV: u8 = 2 << 3 | 2;
/// `EventType::DELETE`; `PUT` is 0 and so left out.
const EVENT_DELETE: u8 = 1;

/// A `KeyValue` read in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyValue<'a> {
    pub key: &'a [u8],
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub value: &'a [u8],
    pub lease: i64,
}

impl<'a> KeyValue<'a> {
    /// Reads the fields; `None` where the bytes are no record.
    pub(crate) fn read(mut from: &'a [u8]) -> Option<KeyValue<'a>> {
        let mut kv = KeyValue::default();
        while let Some((tag, rest)) = from.split_first() {
            from = rest;
            let number = decode_varint(&mut from).ok()?;
            match *tag {
                KEY | VALUE => {
                    let (bytes, rest) = from.split_at_checked(usize::try_from(number).ok()?)?;
                    *(if *tag == KEY { &mut kv.key } else { &mut kv.value }) = bytes;
                    from = rest;
                }
                CREATE_REVISION => kv.create_revision = number.cast_signed(),
                MOD_REVISION => kv.mod_revision = number.cast_signed(),
                VERSION => kv.version = number.cast_signed(),
                LEASE => kv.lease = number.cast_signed(),
                _ => return None,
            }
        }
        Some(kv)
    }

    /// Its length in wire form.
    pub(crate) fn encoded_len(&self) -> usize {
        let bytes = |b: &[u8]| if b.is_empty() { 0 } else { 1 + encoded_len_varint(b.len() as u64) + b.len() };
        let number = |n: i64| if n == 0 { 0 } else { 1 + encoded_len_varint(n.cast_unsigned()) };
        let numbers = [self.create_revision, self.mod_revision, self.version, self.lease];
        bytes(self.key) + bytes(self.value) + numbers.map(number).iter().sum::<usize>()
    }

    /// Appends it in wire form.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        write_bytes(KEY, self.key, out);
        write_number(CREATE_REVISION, self.create_revision, out);
        write_number(MOD_REVISION, self.mod_revision, out);
        write_number(VERSION, self.version, out);
        write_bytes(VALUE, self.value, out);
        write_number(LEASE, self.lease, out);
    }

    /// It in wire form.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        self.write(&mut out);
        out.freeze()
    }
}

fn write_bytes(tag: u8, bytes: &[u8], out: &mut BytesMut) {
    if !bytes.is_empty() {
        out.put_u8(tag);
        encode_varint(bytes.len() as u64, out);
        out.put_slice(bytes);
    }
}

fn write_number(tag: u8, number: i64, out: &mut BytesMut) {
    if number != 0 {
        out.put_u8(tag);
        encode_varint(number.cast_unsigned(), out);
    }
}

/// The `KeyValue` within an encoded `Event`: where it begins.
pub(crate) fn kv_offset(event: &[u8]) -> Option<usize> {
    let mut at = event;
    if *at.first()? == EVENT_TYPE {
        at = at.get(2..)?;
    }
    let (tag, mut rest) = at.split_first()?;
    let length = decode_varint(&mut rest).ok()?;
    (*tag == EVENT_KV && rest.len() as u64 == length).then_some(event.len() - rest.len())
}

/// All bytes of one change, each field a slice of one buffer.
pub(crate) struct Change {
    /// Row of Latest and Graves.
    pub key_row: Bytes,
    /// Row of History.
    pub history_key: Bytes,
    /// Its value.
    pub history_value: Bytes,
    /// The event without the previous value.
    pub event: Bytes,
    /// The record within the event.
    pub kv: Bytes,
    /// Value of Latest; of a tombstone, of Graves.
    pub key_value: Bytes,
}

impl Change {
    /// Lays out a change of `kv` at `at`.
    pub(crate) fn new(kv: &KeyValue<'_>, at: Revision, header: HistoryHeader) -> Change {
        let kv_len = kv.encoded_len();
        let event_head = usize::from(header.delete) * 2 + 1 + encoded_len_varint(kv_len as u64);
        let key_row = 1 + kv.key.len();
        let history = key_row + REVISION_BYTES;
        let event = history + HISTORY_HEADER_BYTES;
        let record = event + event_head;
        let end = record + kv_len;
        let at = revision(at.main, at.sub);
        let mut out = BytesMut::with_capacity(end + REVISION_BYTES);
        out.put_u8(KEY_PREFIX);
        out.put_slice(kv.key);
        out.put_slice(&at);
        header.encode(&mut out);
        if header.delete {
            out.put_slice(&[EVENT_TYPE, EVENT_DELETE]);
        }
        out.put_u8(EVENT_KV);
        encode_varint(kv_len as u64, &mut out);
        kv.write(&mut out);
        out.put_slice(&at);
        let all = out.freeze();
        debug_assert_eq!(all.len(), end + REVISION_BYTES, "the layout is what was reserved");
        Change {
            key_row: all.slice(..key_row),
            history_key: all.slice(key_row..history),
            history_value: all.slice(history..end),
            event: all.slice(event..end),
            kv: all.slice(record..end),
            key_value: if header.delete { all.slice(end..) } else { all.slice(record..) },
        }
    }

    /// The user's key.
    pub(crate) fn key(&self) -> Bytes {
        self.key_row.slice(1..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::schema;
    use fairlead_proto::etcd::mvccpb;
    use prost::Message;

    fn samples() -> Vec<mvccpb::KeyValue> {
        let kv = |key: &'static str, value: usize, lease| mvccpb::KeyValue {
            key: key.into(),
            create_revision: 3,
            mod_revision: 70_000,
            version: 2,
            value: vec![7; value].into(),
            lease,
        };
        let tombstone = mvccpb::KeyValue { key: "t".into(), mod_revision: 5, ..Default::default() };
        vec![kv("a", 0, 0), kv("b", 300, -1), kv("", 1, i64::MAX), tombstone, mvccpb::KeyValue::default()]
    }

    #[test]
    fn a_record_is_what_protobuf_writes_and_reads_back() {
        for sample in samples() {
            let wire = sample.encode_to_vec();
            let read = KeyValue::read(&wire).expect("a record");
            assert_eq!((read.key, read.value), (&sample.key[..], &sample.value[..]));
            assert_eq!((read.version, read.lease), (sample.version, sample.lease));
            assert_eq!(read.encode(), wire);
            assert_eq!(read.encoded_len(), wire.len());
        }
        assert_eq!(KeyValue::read(&[KEY, 5, 1]), None);
        assert_eq!(KeyValue::read(&[0x38, 1]), None, "a field that no record has");
    }

    #[test]
    fn a_change_is_one_buffer_with_every_form_of_it() {
        for (number, sample) in samples().into_iter().enumerate() {
            let wire = sample.encode_to_vec();
            let kv = KeyValue::read(&wire).expect("a record");
            let delete = number == 3;
            let header = HistoryHeader { delete, created: false, previous: Some((4, 1)), written: 9, live: 8 };
            let change = Change::new(&kv, Revision { main: 70_000, sub: 2 }, header);
            assert_eq!(schema::read_revision(&change.history_key), Some((70_000, 2)));
            let (read, event) = HistoryHeader::decode(&change.history_value).expect("a row");
            assert_eq!((read, event), (header, &change.event[..]));
            let event = mvccpb::Event::decode(change.event.clone()).expect("an event");
            assert_eq!(event.kv, Some(sample.clone()));
            assert_eq!(event.r#type, i32::from(delete));
            assert_eq!(kv_offset(&change.event).map(|at| change.event.slice(at..)), Some(change.kv.clone()));
            assert_eq!(change.key(), sample.key);
            if !delete {
                assert_eq!(schema::read_latest(&change.key_value), Some((&wire[..], (70_000, 2))));
            }
        }
        assert_eq!(kv_offset(&[]), None);
    }
}
