//! The records of a large answer, as they stand in it: each with the tag and length of `RangeResponse.kvs`, in pieces.
//!
//! What a scan finds is copied once, from the engine's block into the piece that goes to the socket. Promises: the pieces one
//! after another are the field's wire form; none is larger than [`PIECE_BYTES`] unless one record is.
//! Does not: encode a record (they are stored encoded), or know what is sent around them.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_proto::encoded;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// Bytes of a piece: several of HTTP/2's frames, and few enough that the allocator keeps them for the next answer.
const PIECE_BYTES: usize = 128 << 10;

/// The number of `kvs` in `etcdserverpb.RangeResponse`.
const KVS_TAG: u32 = 2;

/// Where a scan puts the records that it finds.
pub(super) trait Kept {
    /// Adds a record.
    fn push(&mut self, kv: &[u8]);
    /// How many there are.
    fn count(&self) -> usize;
    /// The newest one.
    fn last(&self) -> Option<&[u8]>;
}

impl Kept for Vec<encoded::KeyValue> {
    fn push(&mut self, kv: &[u8]) {
        Vec::push(self, encoded::KeyValue(Bytes::copy_from_slice(kv)));
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn last(&self) -> Option<&[u8]> {
        self.as_slice().last().map(|kv| &kv.0[..])
    }
}

/// Records in pieces.
#[derive(Debug, Default)]
pub(super) struct Rows {
    full: Vec<Bytes>,
    /// The newest record is always here, from `last` on.
    piece: BytesMut,
    last: usize,
    count: usize,
}

impl Rows {
    /// The pieces, in order.
    pub(super) fn into_pieces(mut self) -> Vec<Bytes> {
        self.full.push(self.piece.freeze());
        self.full
    }
}

impl Kept for Rows {
    fn push(&mut self, kv: &[u8]) {
        let framed = 1 + encoded_len_varint(kv.len() as u64) + kv.len();
        if self.piece.capacity() - self.piece.len() < framed {
            let next = BytesMut::with_capacity(PIECE_BYTES.max(framed));
            let piece = std::mem::replace(&mut self.piece, next).freeze();
            self.full.extend(Some(piece).filter(|piece| !piece.is_empty()));
        }
        encode_key(KVS_TAG, WireType::LengthDelimited, &mut self.piece);
        encode_varint(kv.len() as u64, &mut self.piece);
        self.last = self.piece.len();
        self.piece.put_slice(kv);
        self.count += 1;
    }

    fn count(&self) -> usize {
        self.count
    }

    fn last(&self) -> Option<&[u8]> {
        (self.count > 0).then(|| &self.piece[self.last..])
    }
}

#[cfg(test)]
mod tests {
    use fairlead_proto::served::etcdserverpb::RangeResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn pieces_are_the_wire_form_of_the_same_records_whatever_their_sizes() {
        for sizes in
            [vec![], vec![0], vec![7; 3], vec![1_000; 1_000], vec![5, PIECE_BYTES * 2, 5], vec![PIECE_BYTES - 4; 3]]
        {
            let mut rows = Rows::default();
            let mut kvs: Vec<encoded::KeyValue> = Vec::new();
            for (at, size) in sizes.into_iter().enumerate() {
                let kv = vec![at as u8; size];
                Kept::push(&mut rows, &kv);
                Kept::push(&mut kvs, &kv);
                assert_eq!(Kept::last(&rows), Some(&kv[..]));
            }
            assert_eq!(rows.count(), Kept::count(&kvs));
            let largest = kvs.iter().map(|kv| kv.0.len() + 5).max().unwrap_or(0);
            let pieces = rows.into_pieces();
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES.max(largest)));
            assert_eq!(pieces.concat(), RangeResponse { kvs, ..Default::default() }.encode_to_vec());
        }
    }

    #[test]
    fn there_is_no_last_record_of_none() {
        assert_eq!(Rows::default().last(), None);
    }
}
