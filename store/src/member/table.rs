//! The table of members: a mirror in memory of `Family::Members`.
//!
//! Promises: what apply has put into the family's batch and told here is what readers see; a reader never waits longer
//! than a copy takes. After a snapshot install it is loaded anew.
//! Does not: decide who votes (raft does), or check URLs (the flags' parser does).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;
use prost::Message;

use crate::engine::{self, Direction, Family, Snapshot};

/// Why the family could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine failed.
    #[error("reading the members failed")]
    Read(#[from] engine::Error),
    /// A record is none.
    #[error("the record of member {key:02x?} is malformed: the state is corrupt")]
    Malformed {
        /// The record's key.
        key: Vec<u8>,
    },
}

/// A member's key in `Family::Members`: its id, big-endian.
#[must_use]
pub fn key(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// A member's record in `Family::Members`: its message.
#[must_use]
pub fn record(member: &pb::Member) -> Bytes {
    member.encode_to_vec().into()
}

/// All members, shared. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Members {
    table: Arc<RwLock<BTreeMap<u64, pb::Member>>>,
}

impl Members {
    /// What `snapshot` holds.
    ///
    /// # Errors
    /// Where the family cannot be read.
    pub fn load(snapshot: &dyn Snapshot) -> Result<Members, Error> {
        let members = Members::default();
        members.reload(snapshot)?;
        Ok(members)
    }

    /// Replaces everything by what `snapshot` holds: after a snapshot install.
    ///
    /// # Errors
    /// Where the family cannot be read; the table is then as it was.
    pub fn reload(&self, snapshot: &dyn Snapshot) -> Result<(), Error> {
        let mut loaded = BTreeMap::new();
        let mut malformed = None;
        snapshot.scan(Family::Members, &[], None, Direction::Ascending, &mut |key, value| match (
            <[u8; 8]>::try_from(key),
            pb::Member::decode(value),
        ) {
            (Ok(id), Ok(member)) => {
                loaded.insert(u64::from_be_bytes(id), member);
                ControlFlow::Continue(())
            }
            _ => {
                malformed = Some(key.to_vec());
                ControlFlow::Break(())
            }
        })?;
        if let Some(key) = malformed {
            return Err(Error::Malformed { key });
        }
        *self.table.write().expect("no holder of the lock panics") = loaded;
        Ok(())
    }

    /// Adds a member, or replaces it.
    pub fn put(&self, member: pb::Member) {
        self.table.write().expect("no holder of the lock panics").insert(member.id, member);
    }

    /// Takes a member out.
    pub fn remove(&self, id: u64) -> Option<pb::Member> {
        self.table.write().expect("no holder of the lock panics").remove(&id)
    }

    /// One member.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<pb::Member> {
        self.table.read().expect("no holder of the lock panics").get(&id).cloned()
    }

    /// All, by id.
    #[must_use]
    pub fn list(&self) -> Vec<pb::Member> {
        self.table.read().expect("no holder of the lock panics").values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_seen_as_it_was_last_put() {
        let members = Members::default();
        members.put(pb::Member { id: 9, name: "nine".into(), ..Default::default() });
        members.put(pb::Member { id: 2, peer_ur_ls: vec!["http://two:2380".into()], ..Default::default() });
        members.put(pb::Member { id: 2, name: "two".into(), ..Default::default() });
        let names: Vec<String> = members.list().into_iter().map(|member| member.name).collect();
        assert_eq!(names, ["two", "nine"]);
        assert_eq!(members.remove(9).map(|member| member.id), Some(9));
        assert_eq!(members.get(9), None);
    }

    #[test]
    fn a_record_comes_back_as_it_went_in() {
        let member = pb::Member { id: 1, name: "n".into(), is_learner: true, ..Default::default() };
        assert_eq!(pb::Member::decode(record(&member)).unwrap(), member);
        assert_eq!(key(1)[..], [0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
