//! Apply's own records in the meta family: what has been applied, and under which membership.
//!
//! They ride in the same batch as the data, so that after a crash the data and the applied id agree.

use std::collections::HashMap;
use std::ops::ControlFlow;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::engine::{self, Direction, Family, Snapshot};

/// Key of the applied log id: term u64, index u64, big-endian.
pub(crate) const APPLIED: &[u8] = b"applied";
/// Key of the membership, in `raft::wire`'s form.
pub(crate) const MEMBERSHIP: &[u8] = b"membership";

/// Front of the keys of members' incarnations; the member id follows, big-endian. The value is the incarnation, likewise.
const INCARNATION: &[u8] = b"incarnation/";

/// The key of a member's incarnation.
pub(crate) fn incarnation_key(member: u64) -> Bytes {
    [INCARNATION, &member.to_be_bytes()].concat().into()
}

/// [from, to) of all incarnations.
pub(crate) fn incarnation_range() -> (Bytes, Bytes) {
    (Bytes::from_static(INCARNATION), [INCARNATION, &[0xff; 9]].concat().into())
}

/// All members' incarnations.
pub(crate) fn incarnations(snapshot: &dyn Snapshot) -> Result<HashMap<u64, u64>, engine::Error> {
    let number = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).ok().map(u64::from_be_bytes);
    let mut found = HashMap::new();
    let (from, to) = incarnation_range();
    snapshot.scan(Family::Meta, &from, Some(&to), Direction::Ascending, &mut |key, value| {
        if let (Some(member), Some(incarnation)) = (number(&key[INCARNATION.len()..]), number(value)) {
            found.insert(member, incarnation);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The applied id's record.
pub(crate) fn encode_applied(term: u64, index: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(16);
    out.put_u64(term);
    out.put_u64(index);
    out.freeze()
}

/// (term, index) of an applied id's record.
pub(crate) fn decode_applied(mut record: Bytes) -> Result<(u64, u64), engine::Error> {
    if record.remaining() != 16 {
        let reason = format!("the applied id has {} bytes, not 16", record.remaining());
        return Err(engine::Error::Io { operation: "read", reason });
    }
    Ok((record.get_u64(), record.get_u64()))
}

/// (term, index) of the last entry in the state.
pub(crate) fn applied(snapshot: &dyn Snapshot) -> Result<Option<(u64, u64)>, engine::Error> {
    snapshot.get(Family::Meta, APPLIED)?.map(decode_applied).transpose()
}

/// The membership that the state knows.
pub(crate) fn membership(snapshot: &dyn Snapshot) -> Result<Option<Bytes>, engine::Error> {
    snapshot.get(Family::Meta, MEMBERSHIP)
}
