//! Alarms: which member has raised which, as apply has recorded it.
//!
//! A mirror in memory of `Family::Alarms`. Promises: what apply put into the family's batch and told here is what the
//! services see. Two alarms matter: NOSPACE refuses what makes the state grow, CORRUPT refuses every change.
//! Does not: raise any (`quota` and `rpc` do, by a command), or refuse anything (`apply` and `rpc::kv` do).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;

use crate::engine::{self, Direction, Family, Snapshot};

/// Why the family could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine failed.
    #[error("reading the alarms failed")]
    Read(#[from] engine::Error),
    /// A record is none.
    #[error("the alarm record {key:02x?} is malformed: the state is corrupt")]
    Malformed {
        /// The record's key.
        key: Vec<u8>,
    },
}

/// An alarm's key in `Family::Alarms`: member id and alarm, big-endian. The value is empty.
#[must_use]
pub fn key(member: u64, alarm: pb::AlarmType) -> Bytes {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&member.to_be_bytes());
    key[8..].copy_from_slice(&(alarm as i32).to_be_bytes());
    Bytes::copy_from_slice(&key)
}

fn parse(key: &[u8]) -> Option<(u64, i32)> {
    let member = u64::from_be_bytes(key.get(..8)?.try_into().ok()?);
    let alarm = i32::from_be_bytes(key.get(8..)?.try_into().ok()?);
    Some((member, alarm))
}

#[derive(Debug, Default)]
struct Shared {
    active: RwLock<BTreeSet<(u64, i32)>>,
    no_space: AtomicBool,
    corrupt: AtomicBool,
}

/// All active alarms, shared. Cheap to clone; asking whether one is active costs an atomic load.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    shared: Arc<Shared>,
}

impl Alarms {
    /// What `snapshot` holds.
    ///
    /// # Errors
    /// Where the family cannot be read.
    pub fn load(snapshot: &dyn Snapshot) -> Result<Alarms, Error> {
        let alarms = Alarms::default();
        alarms.reload(snapshot)?;
        Ok(alarms)
    }

    /// Replaces everything by what `snapshot` holds: after a snapshot install.
    ///
    /// # Errors
    /// Where the family cannot be read; the alarms are then as they were.
    pub fn reload(&self, snapshot: &dyn Snapshot) -> Result<(), Error> {
        let mut loaded = BTreeSet::new();
        let mut malformed = None;
        snapshot.scan(Family::Alarms, &[], None, Direction::Ascending, &mut |key, _| match parse(key) {
            Some(alarm) => {
                loaded.insert(alarm);
                ControlFlow::Continue(())
            }
            None => {
                malformed = Some(key.to_vec());
                ControlFlow::Break(())
            }
        })?;
        if let Some(key) = malformed {
            return Err(Error::Malformed { key });
        }
        self.change(|active| *active = loaded);
        Ok(())
    }

    /// Marks an alarm active. Whether that is news.
    pub fn activate(&self, member: u64, alarm: pb::AlarmType) -> bool {
        self.change(|active| active.insert((member, alarm as i32)))
    }

    /// Marks an alarm inactive. Whether that is news.
    pub fn deactivate(&self, member: u64, alarm: pb::AlarmType) -> bool {
        self.change(|active| active.remove(&(member, alarm as i32)))
    }

    /// Whether any member is out of space.
    #[must_use]
    pub fn no_space(&self) -> bool {
        self.shared.no_space.load(Ordering::Acquire)
    }

    /// Whether any member has been found to differ from the others.
    #[must_use]
    pub fn corrupt(&self) -> bool {
        self.shared.corrupt.load(Ordering::Acquire)
    }

    /// Whether this one is active.
    #[must_use]
    pub fn is_active(&self, member: u64, alarm: pb::AlarmType) -> bool {
        self.shared.active.read().expect("no holder of the lock panics").contains(&(member, alarm as i32))
    }

    /// All active ones, by member.
    #[must_use]
    pub fn list(&self) -> Vec<pb::AlarmMember> {
        let active = self.shared.active.read().expect("no holder of the lock panics");
        active.iter().map(|&(member_id, alarm)| pb::AlarmMember { member_id, alarm }).collect()
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeSet<(u64, i32)>) -> T) -> T {
        let mut active = self.shared.active.write().expect("no holder of the lock panics");
        let result = change(&mut active);
        let any = |alarm: pb::AlarmType| active.iter().any(|(_, active)| *active == alarm as i32);
        self.shared.no_space.store(any(pb::AlarmType::Nospace), Ordering::Release);
        self.shared.corrupt.store(any(pb::AlarmType::Corrupt), Ordering::Release);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::AlarmType::{Corrupt, Nospace};

    #[test]
    fn no_space_lasts_until_the_last_member_is_disarmed() {
        let alarms = Alarms::default();
        assert!(alarms.activate(1, Nospace) && alarms.activate(2, Nospace) && !alarms.activate(1, Nospace));
        assert!(alarms.no_space() && !alarms.corrupt());
        assert!(alarms.deactivate(1, Nospace));
        assert!(alarms.no_space());
        assert!(alarms.deactivate(2, Nospace) && !alarms.deactivate(2, Nospace));
        assert!(!alarms.no_space());
    }

    #[test]
    fn alarms_are_listed_by_member() {
        let alarms = Alarms::default();
        alarms.activate(7, Corrupt);
        alarms.activate(3, Nospace);
        let listed: Vec<(u64, i32)> = alarms.list().iter().map(|alarm| (alarm.member_id, alarm.alarm)).collect();
        assert_eq!(listed, [(3, Nospace as i32), (7, Corrupt as i32)]);
        assert!(alarms.is_active(7, Corrupt) && !alarms.is_active(7, Nospace));
    }

    #[test]
    fn a_key_names_its_alarm() {
        assert_eq!(parse(&key(0xcafe, Corrupt)), Some((0xcafe, Corrupt as i32)));
        assert_eq!(parse(&[1, 2, 3]), None);
    }
}
