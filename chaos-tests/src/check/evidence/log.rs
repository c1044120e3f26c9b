//! The members' committed logs, merged: one entry an index, whoever has it.
//!
//! A member may have been dumped from a later index on, or have stopped earlier; where two members have an index, they have
//! to have the same entry (Raft §5.4.3, State Machine Safety).

use std::collections::BTreeMap;

use super::Mark;
use crate::history::{Entry, Event, History, Line};

/// An entry, from the first member that showed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggedEntry<'h> {
    pub(crate) mark: Mark,
    pub(crate) entry: &'h Entry,
}

/// The merged log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log<'h> {
    /// In the order of their indexes.
    pub(crate) entries: Vec<LoggedEntry<'h>>,
    /// Pairs of records in which two members have different entries at one index.
    pub(crate) disagreements: Vec<(Mark, Line)>,
    /// How many entries were compared with another member's.
    pub(crate) compared: u64,
    /// Why a replay from the beginning is not possible.
    pub(crate) unusable: Option<String>,
}

impl<'h> Log<'h> {
    /// Merges the dumps of all members.
    pub(crate) fn merge(history: &'h History) -> Self {
        let mut by_index: BTreeMap<u64, LoggedEntry<'h>> = BTreeMap::new();
        let mut log = Log::default();
        for record in history.records() {
            let Event::Entry(entry) = &record.event else { continue };
            let mark = Mark { at: record.at, line: record.line };
            let Some(known) = by_index.get(&entry.index) else {
                by_index.insert(entry.index, LoggedEntry { mark, entry });
                continue;
            };
            log.compared += 1;
            let revisions_differ = matches!((known.entry.revision, entry.revision), (Some(a), Some(b)) if a != b);
            if known.entry.term != entry.term || known.entry.changes != entry.changes || revisions_differ {
                log.disagreements.push((mark, known.mark.line));
            }
        }
        log.entries = by_index.into_values().collect();
        log.unusable = log.gap();
        log
    }

    /// Whether there is a log that can be replayed.
    pub(crate) fn usable(&self) -> bool {
        self.unusable.is_none()
    }

    fn gap(&self) -> Option<String> {
        let first = match self.entries.first() {
            None => return Some("no member's log was dumped".to_owned()),
            Some(first) => first.entry,
        };
        if first.index > 1 {
            return Some(format!(
                "the dumped logs begin at index {}: keep purged segments in a chaos run",
                first.index
            ));
        }
        let hole = self.entries.windows(2).find(|pair| pair[0].entry.index + 1 != pair[1].entry.index)?;
        Some(format!("the dumped logs have nothing between index {} and {}", hole[0].entry.index, hole[1].entry.index))
    }
}
