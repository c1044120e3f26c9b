//! What the fuzz targets call: one function for each decoder that faces a peer or a file.
//!
//! Each takes any bytes, and panics only where a promise is broken: a decoder panicked, or what it accepted does not come
//! back the same once encoded. Compiled for `cargo fuzz` and for tests, which run each on a few hundred inputs.
//! Where a checksum stands before the interesting part, the bytes are a script from which a well-formed file is written and
//! then damaged; plain garbage would never get past it.

use bytes::{Buf, Bytes, BytesMut};

use fairlead_proto::served::etcdserverpb as pb;
use prost::Message;

use crate::apply::{Command, decode_header, encode_header, meta};
use crate::engine::schema;
use crate::raft::wire;
use crate::rpc::validate;
use crate::{log, snapshot_file};

/// etcd's default.
const TXN_OPS_MAX: usize = 128;

/// A log entry's commands, as a peer sends them and as apply reads them.
pub fn entry(data: &[u8]) {
    let mut rest = Bytes::copy_from_slice(data);
    let Ok((id, count)) = decode_header(&mut rest) else { return };
    let mut again = BytesMut::new();
    encode_header(id, count, &mut again);
    assert_eq!(again[..], data[..again.len()], "a header comes back as it was");
    for _ in 0..count {
        let Ok(command) = Command::decode(&mut rest) else { return };
        let mut encoded = BytesMut::new();
        command.encode(&mut encoded);
        let mut encoded = encoded.freeze();
        assert_eq!(Command::decode(&mut encoded), Ok(command), "what was accepted survives the round trip");
        assert!(encoded.is_empty(), "and nothing more is written than is read");
    }
}

/// A frame of raft's, as a peer sends it; the first byte chooses which.
pub fn peer(data: &[u8]) {
    let mut frame = Bytes::copy_from_slice(data);
    let Ok(which) = frame.try_get_u8() else { return };
    /// Decodes; encodes what was accepted; that must decode to something with the same encoding.
    fn stable<T, E>(frame: Bytes, decode: impl Fn(Bytes) -> Result<T, E>, encode: impl Fn(&T) -> Bytes) {
        let Ok(value) = decode(frame) else { return };
        let encoded = encode(&value);
        let Ok(again) = decode(encoded.clone()) else { panic!("what was encoded does not decode: {encoded:?}") };
        assert_eq!(encode(&again), encoded, "what was accepted survives the round trip");
    }
    match which {
        0 => stable(frame, wire::decode_append, wire::encode_append),
        1 => stable(frame, wire::decode_append_response, wire::encode_append_response),
        2 => stable(frame, wire::decode_stream_result, wire::encode_stream_result),
        3 => stable(frame, wire::decode_vote_request, wire::encode_vote_request),
        4 => stable(frame, wire::decode_vote_response, wire::encode_vote_response),
        5 => stable(frame, wire::decode_transfer, wire::encode_transfer),
        6 => stable(frame, wire::decode_transfer_response, wire::encode_transfer_response),
        7 => stable(frame, wire::decode_stored_membership, wire::encode_stored_membership),
        8 => stable(frame, wire::decode_vote, wire::encode_vote),
        _ => {}
    }
}

/// A record of the log, at a place that the first eight bytes choose.
pub fn log_record(data: &[u8]) {
    log::fuzz::fuzz_record(data);
}

/// A folder of log segments, written from a script and damaged, then opened and read.
pub fn log_open(data: &[u8]) {
    log::fuzz::fuzz_open(data);
}

/// A row of each family that MVCC, leases and members keep; the first byte chooses which.
pub fn state(data: &[u8]) {
    let Some((which, row)) = data.split_first() else { return };
    match which % 3 {
        0 => {
            let Some((header, event)) = schema::HistoryHeader::decode(row) else { return };
            let mut again = BytesMut::new();
            header.encode(&mut again);
            again.extend_from_slice(event);
            assert_eq!(
                schema::HistoryHeader::decode(&again),
                Some((header, event)),
                "a header survives the round trip"
            );
        }
        1 => {
            let Some((kv, (main, sub))) = schema::read_latest(row) else { return };
            assert_eq!([kv, &schema::revision(main, sub)].concat(), row, "a row comes back as it was");
        }
        _ => drop(meta::decode_applied(Bytes::copy_from_slice(row))),
    }
}

/// A transaction, as a client sends it: decoded, checked, and sent back as it came.
pub fn txn(data: &[u8]) {
    let Ok(request) = pb::TxnRequest::decode(data) else { return };
    let checked = validate::txn(&request, TXN_OPS_MAX);
    let again = pb::TxnRequest::decode(&request.encode_to_vec()[..]).expect("what was encoded decodes");
    assert_eq!(again, request, "a request survives the round trip");
    assert_eq!(validate::txn(&again, TXN_OPS_MAX).is_ok(), checked.is_ok(), "checks do not depend on the encoding");
}

/// A snapshot file, as a peer or a backup holds it.
pub fn snapshot_file(data: &[u8]) {
    snapshot_file::fuzz(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_target_panics_on_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            for target in [entry, peer, log_record, log_open, state, txn, snapshot_file] {
                target(&data);
            }
        }

        #[test]
        fn each_kind_of_frame_refuses_garbage_without_a_panic(which in 0_u8..9, rest in proptest::collection::vec(0_u8..4, 0..120)) {
            peer(&[&[which], &rest[..]].concat());
        }

        #[test]
        fn entries_of_many_kinds_are_tried(kind in 0_u8..12, body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut data = vec![1; 25];
            data.extend(1_u32.to_be_bytes());
            data.push(kind);
            data.extend((body.len() as u32).to_be_bytes());
            data.extend(&body);
            entry(&data);
        }
    }
}
