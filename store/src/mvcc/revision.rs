//! Revisions, and the record of where the store is.
//!
//! A main revision is one change of the store; its sub-revisions order the keys that the change touched. The record is
//! replicated state: a pure function of the log, written in the same batch as the rows it speaks of.
//! Source: etcd `server/storage/mvcc/revision.go`; an empty store is at revision 1 and its compact revision at -1.

use crate::engine::{self, Family, Snapshot, schema};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::size::Account;

/// The revision of an empty store.
pub(crate) const FIRST_REVISION: i64 = 1;
/// The compact revision of a store that was never compacted: a first compaction at 0 is still accepted.
pub(crate) const NEVER_COMPACTED: i64 = -1;

/// Where a change stands in the store's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The store's revision after the change.
    pub main: i64,
    /// The change's place within it, from 0.
    pub sub: i64,
}

impl From<(i64, i64)> for Revision {
    fn from((main, sub): (i64, i64)) -> Self {
        Revision { main, sub }
    }
}

impl From<Revision> for (i64, i64) {
    fn from(revision: Revision) -> Self {
        (revision.main, revision.sub)
    }
}

/// A recorded compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compaction {
    /// Rows that this revision does not need are invisible; older revisions cannot be read.
    pub revision: i64,
    /// The store's revision when it was recorded. Rows up to here were written without minding it; later changes kept
    /// what it needs in Base themselves.
    pub ceiling: i64,
    /// The compact revision before it.
    pub prior: i64,
}

impl Compaction {
    pub(crate) const NONE: Compaction =
        Compaction { revision: NEVER_COMPACTED, ceiling: NEVER_COMPACTED, prior: NEVER_COMPACTED };

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_i64(self.revision);
        out.put_i64(self.ceiling);
        out.put_i64(self.prior);
    }

    pub(crate) fn decode(from: &mut Bytes) -> Option<Compaction> {
        Some(Compaction {
            revision: from.try_get_i64().ok()?,
            ceiling: from.try_get_i64().ok()?,
            prior: from.try_get_i64().ok()?,
        })
    }
}

/// Where the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The newest main revision.
    pub revision: i64,
    /// The newest recorded compaction.
    pub compaction: Compaction,
    /// Bytes, as quotas and alarms count them.
    pub account: Account,
    /// Keys that exist; `None` in a record of a binary that did not count them, until the store is opened.
    pub keys: Option<i64>,
}

impl State {
    /// Of an empty store.
    pub(crate) const EMPTY: State =
        State { revision: FIRST_REVISION, compaction: Compaction::NONE, account: Account::EMPTY, keys: Some(0) };

    /// So many keys more, or fewer.
    pub(crate) fn count(&mut self, keys: i64) {
        self.keys = self.keys.map(|known| known + keys);
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(80);
        out.put_i64(self.revision);
        self.compaction.encode(&mut out);
        self.account.encode(&mut out);
        if let Some(keys) = self.keys {
            out.put_i64(keys);
        }
        out.freeze()
    }

    pub(crate) fn decode(mut from: Bytes) -> Option<State> {
        let revision = from.try_get_i64().ok()?;
        let compaction = Compaction::decode(&mut from)?;
        let account = Account::decode(&mut from)?;
        let keys = if from.is_empty() { None } else { Some(from.try_get_i64().ok()?) };
        (from.is_empty() && revision >= FIRST_REVISION && compaction.revision <= revision).then_some(State {
            revision,
            compaction,
            account,
            keys,
        })
    }
}

/// The revision of the state in `snapshot`.
///
/// # Errors
/// Where the state cannot be read.
pub fn revision_of(snapshot: &dyn Snapshot) -> Result<i64, engine::Error> {
    let record = snapshot.get(Family::Meta, schema::META_MVCC)?;
    let malformed = || engine::Error::Io { operation: "read", reason: "the revision's record is malformed".to_owned() };
    let state = record.map(|record| State::decode(record).ok_or_else(malformed)).transpose()?;
    Ok(state.map_or(FIRST_REVISION, |state| state.revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_went_in_and_nonsense_is_refused() {
        let state = State { revision: 9, compaction: Compaction { revision: 4, ceiling: 8, prior: 2 }, ..State::EMPTY };
        assert_eq!(State::decode(state.encode()), Some(state));
        assert_eq!(State::decode(state.encode().slice(..30)), None);
        let uncounted = State { keys: None, ..state };
        assert_eq!(State::decode(state.encode().slice(..72)), Some(uncounted), "an older binary's record");
        let above = State { compaction: Compaction { revision: 10, ..state.compaction }, ..state };
        assert_eq!(State::decode(above.encode()), None, "compacted above the newest revision");
    }
}
