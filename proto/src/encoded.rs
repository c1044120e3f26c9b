//! Records in wire form: a message whose whole content is bytes that were encoded before.
//!
//! Encoding one is a copy. Decoding one keeps the fields as they came, in the order they came.
//! Does not: check that the bytes are a valid record (`store::mvcc` made them).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_varint, encode_key, encode_varint, skip_field};

/// The encoding of an `mvccpb.KeyValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyValue(pub Bytes);

/// The encoding of an `mvccpb.Event`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Event(pub Bytes);

macro_rules! spliced {
    ($name:ident) => {
        impl prost::Message for $name {
            fn encode_raw(&self, buf: &mut impl BufMut) {
                buf.put_slice(&self.0);
            }

            fn merge_field(
                &mut self,
                tag: u32,
                wire_type: WireType,
                buf: &mut impl Buf,
                ctx: DecodeContext,
            ) -> Result<(), DecodeError> {
                self.0 = append_field(&self.0, tag, wire_type, buf, ctx)?;
                Ok(())
            }

            fn encoded_len(&self) -> usize {
                self.0.len()
            }

            fn clear(&mut self) {
                self.0 = Bytes::new();
            }
        }
    };
}

spliced!(KeyValue);
spliced!(Event);

/// The fields so far and one more, copied from `buf`.
fn append_field(
    fields: &Bytes,
    tag: u32,
    wire_type: WireType,
    buf: &mut impl Buf,
    ctx: DecodeContext,
) -> Result<Bytes, DecodeError> {
    let mut all = BytesMut::from(&fields[..]);
    encode_key(tag, wire_type, &mut all);
    match wire_type {
        WireType::Varint => encode_varint(decode_varint(buf)?, &mut all),
        WireType::LengthDelimited => {
            let length = decode_varint(buf)?;
            let length = usize::try_from(length).ok().filter(|length| *length <= buf.remaining());
            let length = length.ok_or_else(truncated)?;
            encode_varint(length as u64, &mut all);
            all.put(buf.take(length));
        }
        WireType::SixtyFourBit if buf.remaining() >= 8 => all.put(buf.take(8)),
        WireType::ThirtyTwoBit if buf.remaining() >= 4 => all.put(buf.take(4)),
        WireType::SixtyFourBit | WireType::ThirtyTwoBit => return Err(truncated()),
        WireType::StartGroup | WireType::EndGroup => {
            skip_field(wire_type, tag, buf, ctx)?;
            return Ok(fields.clone());
        }
    }
    Ok(all.freeze())
}

/// prost's own "buffer underflow": its error type has no public constructor but the deprecated one.
#[expect(deprecated, reason = "prost 0.14 offers no other way to make an error by hand")]
fn truncated() -> DecodeError {
    DecodeError::new("record is truncated")
}

#[cfg(test)]
mod tests {
    use crate::{etcd, served};
    use prost::Message;

    #[test]
    fn a_range_response_is_the_same_bytes_with_records_and_with_their_encodings() {
        let kv = etcd::mvccpb::KeyValue {
            key: "a".into(),
            create_revision: 2,
            mod_revision: 300,
            version: 1,
            value: vec![7; 300].into(),
            lease: -5,
        };
        let plain = etcd::etcdserverpb::RangeResponse { kvs: vec![kv.clone(), kv], count: 2, ..Default::default() };
        let bytes = plain.encode_to_vec();
        let spliced = served::etcdserverpb::RangeResponse::decode(&bytes[..]).expect("the same wire form");
        assert_eq!(spliced.kvs.len(), 2);
        assert_eq!(spliced.encode_to_vec(), bytes);
    }

    #[test]
    fn a_truncated_record_is_refused() {
        assert!(super::KeyValue::decode(&[0x0a, 5, 1][..]).is_err());
        assert!(super::KeyValue::decode(&[0x09, 5, 1][..]).is_err());
    }
}
