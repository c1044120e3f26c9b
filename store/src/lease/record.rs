//! A lease on disk: in the family of leases, id → granted TTL and remaining TTL.
//!
//! ```text
//! key: id, 8 bytes       value: granted TTL, 8 bytes | remaining TTL at the last checkpoint, 8 bytes, 0 for none
//! ```
//! Integers are big-endian, two's complement; TTLs are in seconds. Does not: hold a moment in time.

use std::ops::ControlFlow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::engine::{self, Direction, Family, Snapshot};

/// What is stored of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The lease.
    pub id: i64,
    /// Granted TTL, seconds.
    pub granted: i64,
    /// Remaining TTL at the last checkpoint, seconds; 0 for none.
    pub remaining: i64,
}

/// Leases that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine cannot read.
    #[error("reading leases failed")]
    Engine(#[from] engine::Error),
    /// Not what `record` writes.
    #[error("the record of a lease is malformed: key {key:02x?}, {value_bytes} bytes of value")]
    Malformed {
        /// Its key.
        key: Vec<u8>,
        /// How long its value is.
        value_bytes: usize,
    },
}

/// A lease's key in its family.
#[must_use]
pub fn key(id: i64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// A lease's key and value.
#[must_use]
pub fn record(id: i64, granted: i64, remaining: i64) -> (Bytes, Bytes) {
    let mut value = BytesMut::with_capacity(16);
    value.put_i64(granted);
    value.put_i64(remaining);
    (key(id), value.freeze())
}

/// Every lease of the state.
///
/// # Errors
/// [`Error`].
pub fn load(snapshot: &dyn Snapshot) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    let mut malformed = None;
    snapshot.scan(Family::Leases, &[], None, Direction::Ascending, &mut |key, value| match decode(key, value) {
        Some(record) => {
            records.push(record);
            ControlFlow::Continue(())
        }
        None => {
            malformed = Some(Error::Malformed { key: key.to_vec(), value_bytes: value.len() });
            ControlFlow::Break(())
        }
    })?;
    malformed.map_or(Ok(records), Err)
}

fn decode(key: &[u8], value: &[u8]) -> Option<Record> {
    let (granted, remaining) = value.split_at_checked(8)?;
    Some(Record {
        id: i64::from_be_bytes(key.try_into().ok()?),
        granted: i64::from_be_bytes(granted.try_into().ok()?),
        remaining: i64::from_be_bytes(remaining.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_any_id_comes_back() {
        for id in [1, -1, 0, i64::MIN, i64::MAX, 0x7000_0000_0000_0001] {
            let (key, value) = record(id, 9_000_000_000, 17);
            assert_eq!(decode(&key, &value), Some(Record { id, granted: 9_000_000_000, remaining: 17 }));
        }
    }

    #[test]
    fn a_short_or_long_record_is_malformed() {
        let (key, value) = record(1, 2, 3);
        assert_eq!(decode(&key[..7], &value), None);
        assert_eq!(decode(&key, &value[..15]), None);
        assert_eq!(decode(&key, &[&value[..], &[0]].concat()), None);
    }
}
