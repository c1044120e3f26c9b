//! The size account: what quotas, alarms and `Status` call the size of the database.
//!
//! etcd counts pages of its file, so history counts until it is compacted, and the file shrinks only by defragmentation. Table
//! files say nothing of the kind, so rows are counted instead, at what etcd's file pays for them:
//!
//! ```text
//! in use = rows that live at the compact revision + every row written since
//! total  = the most that was ever in use since the last defragment
//! ```
//! Promises: `in use` is a pure function of the log, the same on every member, and falls when a compaction is recorded, whatever
//! the removal of rows has come to. `total` is this member's own, as the size of etcd's file is; it travels with a snapshot.
//! Source: etcd `server/storage/backend/backend.go` (`Size`, `SizeInUse`).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What an empty etcd's file takes: five pages of 4 KiB.
const EMPTY_BYTES: i64 = 5 * 4096;
/// What a row costs beside its record: etcd's revision key of 17 bytes and a leaf element of 16.
const ROW_BYTES: i64 = 17 + 16;

/// Bytes as clients see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `dbSize`: shrinks only by [`super::Mvcc::defragmented`].
    pub total: i64,
    /// `dbSizeInUse`: falls with a compaction.
    pub in_use: i64,
}

/// What a row with a record of `record_bytes` costs.
pub(crate) fn row_bytes(record_bytes: usize) -> i64 {
    i64::try_from(record_bytes).unwrap_or(i64::MAX).saturating_add(ROW_BYTES)
}

/// The counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Bytes of all rows ever written.
    pub written: i64,
    /// Bytes of the newest rows of the keys that exist.
    pub live: i64,
    /// `written` as of the compact revision.
    pub compact_written: i64,
    /// `live` as of the compact revision.
    pub compact_live: i64,
    /// The most that was in use; this member's own.
    pub total: i64,
}

impl Account {
    pub(crate) const EMPTY: Account =
        Account { written: 0, live: 0, compact_written: 0, compact_live: 0, total: EMPTY_BYTES };

    /// A row was written, in place of another where the key existed.
    pub(crate) fn put(&mut self, row: i64, replaced: i64) {
        self.written += row;
        self.live += row - replaced;
        self.raise();
    }

    /// A tombstone was written over a row.
    pub(crate) fn delete(&mut self, tombstone: i64, removed: i64) {
        self.written += tombstone;
        self.live -= removed;
        self.raise();
    }

    /// A compaction was recorded, at a revision after which the counters stood so.
    pub(crate) fn compact(&mut self, written: i64, live: i64) {
        self.compact_written = written;
        self.compact_live = live;
    }

    /// What is not needed is given back.
    pub(crate) fn defragment(&mut self) {
        self.total = self.sizes().in_use;
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let in_use = EMPTY_BYTES + self.compact_live + (self.written - self.compact_written);
        Sizes { total: self.total.max(in_use), in_use }
    }

    fn raise(&mut self) {
        self.total = self.sizes().total;
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        for counter in [self.written, self.live, self.compact_written, self.compact_live, self.total] {
            out.put_i64(counter);
        }
    }

    pub(crate) fn decode(from: &mut Bytes) -> Option<Account> {
        let mut next = || from.try_get_i64().ok();
        Some(Account {
            written: next()?,
            live: next()?,
            compact_written: next()?,
            compact_live: next()?,
            total: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_use_falls_with_a_compaction_and_total_with_a_defragment_only() {
        let mut account = Account::EMPTY;
        account.put(100, 0);
        account.put(150, 100);
        let at_compaction = account;
        account.delete(40, 150);
        assert_eq!(account.sizes(), Sizes { total: EMPTY_BYTES + 290, in_use: EMPTY_BYTES + 290 });
        account.compact(at_compaction.written, at_compaction.live);
        assert_eq!(
            account.sizes(),
            Sizes { total: EMPTY_BYTES + 290, in_use: EMPTY_BYTES + 190 },
            "150 live then, 40 since"
        );
        account.compact(account.written, account.live);
        account.defragment();
        assert_eq!(account.sizes(), Sizes { total: EMPTY_BYTES, in_use: EMPTY_BYTES });
    }

    /// etcd: `tests/e2e/ctl_v3_alarm_test.go` fills a quota of 13 pages with values of one page.
    #[test]
    fn an_empty_store_is_below_the_smallest_quota_that_tests_use_and_few_pages_cross_it() {
        let quota = 13 * 4096;
        assert!(Account::EMPTY.sizes().total < quota / 2);
        let mut account = Account::EMPTY;
        let puts = (1..).find(|_| {
            account.put(row_bytes(4096 + 20), 0);
            account.sizes().total >= quota
        });
        assert_eq!(puts, Some(8));
    }
}
