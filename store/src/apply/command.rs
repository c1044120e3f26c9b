//! What a log entry says: a batch of commands from one proposer, as bytes.
//!
//! ```text
//! version u8 | member u64 | boot u64 | batch u64 | count u32 | count × (kind u8 | length u32 | body)        integers big-endian
//! ```
//! Promises: decoding never panics, and copies no body (each is a slice of the entry's bytes). No command holds a deadline
//! or a local time: apply is a function of the log alone.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fairlead_proto::served::etcdserverpb as pb;
use prost::Message;

/// The version of the entry form; a higher one stops the member, whose binary is older than its cluster.
pub const VERSION: u8 = 1;

/// The fixed part of an entry, in bytes.
pub const HEADER_BYTES: usize = 1 + 8 + 8 + 8 + 4;

/// One change to the replicated state.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A put.
    Put(pb::PutRequest),
    /// A delete of a key or a range.
    DeleteRange(pb::DeleteRangeRequest),
    /// A transaction.
    Txn(pb::TxnRequest),
    /// A compaction up to a revision.
    Compact(pb::CompactionRequest),
    /// A lease with its id chosen and its TTL (seconds) raised to the minimum by the proposer.
    LeaseGrant(pb::LeaseGrantRequest),
    /// A lease revoked by a client.
    LeaseRevoke(pb::LeaseRevokeRequest),
    /// A lease found expired by the leader of `term`: without effect in any other term.
    LeaseExpire {
        /// The lease.
        id: i64,
        /// The raft term in which the leader found it expired.
        term: u64,
    },
    /// Remaining TTLs, so that a new leader need not give the full TTL again; 0 clears.
    LeaseCheckpoint(pb::LeaseCheckpointRequest),
    /// An alarm raised or cleared.
    Alarm(pb::AlarmRequest),
    /// A member publishes its name and client URLs, and which data directory it lives in.
    MemberPublish {
        /// Name and URLs.
        member: pb::Member,
        /// The random number that its data directory was given at its first start.
        incarnation: u64,
    },
}

/// Who proposed a batch: each member answers its own clients from its own apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// The proposing member.
    pub member: u64,
    /// Random at each start of that member, so that an earlier life's batch is never taken for a present one.
    pub boot: u64,
    /// Counts up from 1 within a boot.
    pub batch: u64,
}

/// Why bytes are not an entry that this binary can apply.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Ends too early.
    #[error("log entry is truncated")]
    Truncated,
    /// Written by a newer binary.
    #[error("log entry has form {0}, this binary knows {VERSION}: a newer member is in the cluster")]
    Version(u8),
    /// Written by a newer binary, or corrupt.
    #[error("log entry has a command of unknown kind {0}: a newer member is in the cluster")]
    Kind(u8),
    /// The body does not decode.
    #[error("log entry has a malformed command of kind {0}")]
    Body(u8),
}

impl Command {
    fn kind(&self) -> u8 {
        match self {
            Command::Put(_) => 1,
            Command::DeleteRange(_) => 2,
            Command::Txn(_) => 3,
            Command::Compact(_) => 4,
            Command::LeaseGrant(_) => 5,
            Command::LeaseRevoke(_) => 6,
            Command::LeaseExpire { .. } => 7,
            Command::LeaseCheckpoint(_) => 8,
            Command::Alarm(_) => 9,
            Command::MemberPublish { .. } => 10,
        }
    }

    /// Bytes of its body, without kind and length.
    #[must_use]
    pub fn body_len(&self) -> usize {
        match self {
            Command::Put(m) => m.encoded_len(),
            Command::DeleteRange(m) => m.encoded_len(),
            Command::Txn(m) => m.encoded_len(),
            Command::Compact(m) => m.encoded_len(),
            Command::LeaseGrant(m) => m.encoded_len(),
            Command::LeaseRevoke(m) => m.encoded_len(),
            Command::LeaseExpire { .. } => 16,
            Command::LeaseCheckpoint(m) => m.encoded_len(),
            Command::Alarm(m) => m.encoded_len(),
            Command::MemberPublish { member, .. } => 8 + member.encoded_len(),
        }
    }

    /// Appends kind, length and body.
    pub fn encode(&self, out: &mut BytesMut) {
        let length = self.body_len();
        out.reserve(5 + length);
        out.put_u8(self.kind());
        out.put_u32(u32::try_from(length).expect("requests are bounded far below 4 GiB"));
        match self {
            Command::Put(m) => m.encode_raw(out),
            Command::DeleteRange(m) => m.encode_raw(out),
            Command::Txn(m) => m.encode_raw(out),
            Command::Compact(m) => m.encode_raw(out),
            Command::LeaseGrant(m) => m.encode_raw(out),
            Command::LeaseRevoke(m) => m.encode_raw(out),
            Command::LeaseExpire { id, term } => {
                out.put_i64(*id);
                out.put_u64(*term);
            }
            Command::LeaseCheckpoint(m) => m.encode_raw(out),
            Command::Alarm(m) => m.encode_raw(out),
            Command::MemberPublish { member, incarnation } => {
                out.put_u64(*incarnation);
                member.encode_raw(out);
            }
        }
    }

    /// Reads one command from the front of `buf`.
    ///
    /// # Errors
    /// Where the bytes are no command that this binary knows.
    pub fn decode(buf: &mut Bytes) -> Result<Self, Error> {
        if buf.remaining() < 5 {
            return Err(Error::Truncated);
        }
        let kind = buf.get_u8();
        let length = buf.get_u32() as usize;
        if buf.remaining() < length {
            return Err(Error::Truncated);
        }
        let mut body = buf.split_to(length);
        fn message<M: Message + Default>(kind: u8, body: Bytes) -> Result<M, Error> {
            M::decode(body).map_err(|_| Error::Body(kind))
        }
        Ok(match kind {
            1 => Command::Put(message(kind, body)?),
            2 => Command::DeleteRange(message(kind, body)?),
            3 => Command::Txn(message(kind, body)?),
            4 => Command::Compact(message(kind, body)?),
            5 => Command::LeaseGrant(message(kind, body)?),
            6 => Command::LeaseRevoke(message(kind, body)?),
            7 if body.remaining() == 16 => Command::LeaseExpire { id: body.get_i64(), term: body.get_u64() },
            7 => return Err(Error::Body(kind)),
            8 => Command::LeaseCheckpoint(message(kind, body)?),
            9 => Command::Alarm(message(kind, body)?),
            10 if body.remaining() >= 8 => {
                Command::MemberPublish { incarnation: body.get_u64(), member: message(kind, body)? }
            }
            10 => return Err(Error::Body(kind)),
            other => return Err(Error::Kind(other)),
        })
    }
}

/// Starts an entry: the header with room for `count` commands that the caller has encoded after it.
pub fn encode_header(id: BatchId, count: u32, out: &mut BytesMut) {
    out.put_u8(VERSION);
    out.put_u64(id.member);
    out.put_u64(id.boot);
    out.put_u64(id.batch);
    out.put_u32(count);
}

/// An entry's proposer and the number of its commands; `entry` is left at the first command.
///
/// # Errors
/// Where the bytes are no entry that this binary knows.
pub fn decode_header(entry: &mut Bytes) -> Result<(BatchId, u32), Error> {
    if entry.remaining() < HEADER_BYTES {
        return Err(Error::Truncated);
    }
    let version = entry.get_u8();
    if version != VERSION {
        return Err(Error::Version(version));
    }
    let id = BatchId { member: entry.get_u64(), boot: entry.get_u64(), batch: entry.get_u64() };
    Ok((id, entry.get_u32()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_went_in() {
        let id = BatchId { member: 7, boot: 8, batch: 9 };
        let commands = [
            Command::Put(pb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() }),
            Command::LeaseExpire { id: -3, term: 4 },
            Command::Compact(pb::CompactionRequest { revision: 5, physical: true }),
        ];
        let mut out = BytesMut::new();
        encode_header(id, 3, &mut out);
        commands.iter().for_each(|command| command.encode(&mut out));
        let mut entry = out.freeze();
        assert_eq!(decode_header(&mut entry), Ok((id, 3)));
        for command in commands {
            assert_eq!(Command::decode(&mut entry), Ok(command));
        }
        assert!(entry.is_empty());
    }

    #[test]
    fn bad_entries_are_errors_and_not_panics() {
        assert_eq!(decode_header(&mut Bytes::from_static(&[1, 2])), Err(Error::Truncated));
        assert_eq!(decode_header(&mut Bytes::from(vec![9; HEADER_BYTES])), Err(Error::Version(9)));
        assert_eq!(Command::decode(&mut Bytes::from_static(&[99, 0, 0, 0, 0])), Err(Error::Kind(99)));
        assert_eq!(Command::decode(&mut Bytes::from_static(&[1, 0, 0, 0, 9])), Err(Error::Truncated));
        assert_eq!(Command::decode(&mut Bytes::from_static(&[1, 0, 0, 0, 1, 0xff])), Err(Error::Body(1)));
    }
}
