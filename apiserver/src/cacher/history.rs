//! The latest changes of a resource, for watchers that begin in the past or come back.
//!
//! ```text
//!            low                      cache's revision
//!   gone ─────┼── every change is here ──────┼──▶
//! ```
//!
//! Bounded by events and by bytes; what is pushed out moves `low` up. At the start it is filled backwards in time: the changes
//! before the list count only once it is certain that all of them have come.
//! Pure. Source: apiserver `storage/cacher/watch_cache.go` (the cyclic buffer).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::storage::{Change, Revision};

#[derive(Debug)]
pub(crate) struct History {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
    /// Every change from this revision on is here.
    low: Revision,
    /// What `low` becomes when the changes before the list have all come.
    filling: Option<Revision>,
}

impl History {
    /// Empty, and complete from `low` on.
    pub(crate) fn new(low: Revision, events_max: usize, bytes_max: usize) -> Self {
        History { changes: VecDeque::new(), bytes: 0, events_max, bytes_max, low, filling: None }
    }

    /// Changes from this revision on are about to come, in order.
    pub(crate) fn fill_from(&mut self, revision: Revision) {
        self.filling = (revision < self.low).then_some(revision);
    }

    /// Changes come from this later revision on only.
    pub(crate) fn refill_from(&mut self, revision: Revision) {
        self.filling = self.filling.map(|filling| filling.max(revision)).filter(|filling| *filling < self.low);
    }

    /// The changes before the list will never all come.
    pub(crate) fn give_up_filling(&mut self) {
        self.filling = None;
    }

    /// All changes that lie before the list have come.
    pub(crate) fn filled(&mut self) {
        if let Some(revision) = self.filling.take() {
            self.low = self.low.min(revision);
        }
    }

    /// Whether changes that lie before the list are still to come.
    pub(crate) fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    /// Adds the newest change.
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
        while self.changes.len() > self.events_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.changes.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.forget_before(oldest.revision.next());
        }
    }

    /// Nothing before this revision can be told any more.
    pub(crate) fn forget_before(&mut self, revision: Revision) {
        // While filling, `low` is the list's: it stays until what is missing before it has come.
        match self.filling {
            Some(_) => self.refill_from(revision),
            None => self.low = self.low.max(revision),
        }
    }

    /// The changes after this revision; `None` if some of them are not here any more.
    pub(crate) fn after(&self, revision: Revision) -> Option<impl Iterator<Item = &Arc<Change>>> {
        let first = self.changes.partition_point(|change| change.revision <= revision);
        (revision.next() >= self.low).then(|| self.changes.range(first..))
    }

    pub(crate) fn low(&self) -> Revision {
        self.low
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Key;

    fn change(revision: u64) -> Arc<Change> {
        Arc::new(Change::new(Key::new("/registry/things/a"), Revision::new(revision), None, None))
    }

    fn after(history: &History, revision: u64) -> Option<Vec<u64>> {
        Some(history.after(Revision::new(revision))?.map(|change| change.revision.get()).collect())
    }

    #[test]
    fn what_is_pushed_out_is_not_told_any_more() {
        let mut history = History::new(Revision::new(5), 3, usize::MAX);
        assert_eq!(after(&history, 4), Some(vec![]));
        assert_eq!(after(&history, 3), None);
        for revision in [7, 9, 11, 11, 12] {
            history.push(change(revision));
        }
        assert_eq!(after(&history, 9), Some(vec![11, 11, 12]));
        assert_eq!(after(&history, 10), Some(vec![11, 11, 12]));
        assert_eq!(after(&history, 11), Some(vec![12]));
        assert_eq!(after(&history, 100), Some(vec![]));
        assert_eq!(after(&history, 8), None);
        // Half of a revision is pushed out: that revision cannot be told.
        history.push(change(13));
        assert_eq!(after(&history, 10), None);
        assert_eq!(after(&history, 11), Some(vec![12, 13]));
    }

    #[test]
    fn bytes_are_a_bound_of_their_own() {
        let size = change(1).bytes();
        let mut history = History::new(Revision::new(1), usize::MAX, 2 * size);
        for revision in 1..=5 {
            history.push(change(revision));
        }
        assert_eq!((history.len(), history.bytes(), history.low()), (2, 2 * size, Revision::new(4)));
        let mut none = History::new(Revision::new(1), usize::MAX, 0);
        none.push(change(1));
        assert_eq!((none.len(), none.bytes(), none.low()), (0, 0, Revision::new(2)));
    }

    #[test]
    fn changes_before_the_list_count_once_all_have_come() {
        let mut history = History::new(Revision::new(10), 3, usize::MAX);
        history.fill_from(Revision::new(4));
        history.push(change(5));
        history.push(change(8));
        assert_eq!(after(&history, 3), None);
        assert_eq!(after(&history, 9), Some(vec![]));
        history.filled();
        assert_eq!(after(&history, 3), Some(vec![5, 8]));
        assert!(!history.is_filling());
    }

    #[test]
    fn what_is_pushed_out_while_filling_stays_out() {
        let mut history = History::new(Revision::new(10), 2, usize::MAX);
        history.fill_from(Revision::new(1));
        for revision in [2, 3, 4] {
            history.push(change(revision));
        }
        history.filled();
        assert_eq!(after(&history, 1), None);
        assert_eq!(after(&history, 2), Some(vec![3, 4]));
    }
}
