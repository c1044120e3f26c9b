//! Watches: what was asked, and everything that came of it in order.

use std::collections::HashMap;

use super::Mark;
use crate::history::{Event, History, Open, WatchEvent, WatchStep, covers};
use crate::model::Store;

/// Something that a watch was told.
pub(crate) type Item<'h> = (Mark, &'h WatchStep);

/// One watch.
#[derive(Clone, Debug)]
pub(crate) struct Run<'h> {
    pub(crate) watch: u64,
    pub(crate) opened: Mark,
    pub(crate) open: &'h Open,
    /// Without its opening.
    pub(crate) items: Vec<Item<'h>>,
}

impl<'h> Run<'h> {
    /// Every event with the record that brought it.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Mark, &'h WatchEvent)> + '_ {
        self.items.iter().flat_map(|(mark, step)| {
            let events: &[WatchEvent] = if let WatchStep::Events(batch) = step { &batch.events } else { &[] };
            events.iter().map(move |event| (*mark, event))
        })
    }

    /// When the server had it, and the revision it had then.
    pub(crate) fn created(&self) -> Option<(Mark, i64)> {
        self.items.iter().find_map(|(mark, step)| match step {
            WatchStep::Created(created) => Some((*mark, created.revision)),
            _ => None,
        })
    }

    /// When it ended, by a cancel or with its stream.
    pub(crate) fn ended(&self) -> Option<Item<'h>> {
        self.items.iter().find(|(_, step)| matches!(step, WatchStep::Canceled(_) | WatchStep::Closed(_))).copied()
    }

    /// The first revision whose events it is owed; `None` before it is created.
    pub(crate) fn from(&self) -> Option<i64> {
        let (_, created) = self.created()?;
        Some(if self.open.from > 0 { self.open.from } else { created + 1 })
    }

    /// Whether it watches a key.
    pub(crate) fn covers(&self, key: &str) -> bool {
        covers(&self.open.key, self.open.end.as_deref(), key)
    }

    /// The keys among those changed at `revision` that it is owed an event for, in order.
    pub(crate) fn owed<'k>(
        &'k self,
        store: &'k Store,
        revision: i64,
        keys: &'k [String],
    ) -> impl Iterator<Item = &'k str> {
        keys.iter().map(String::as_str).filter(move |key| {
            let left_out = if store.get(key, revision).is_some() { self.open.no_put } else { self.open.no_delete };
            self.covers(key) && !left_out
        })
    }
}

/// All watches, in the order of their opening.
pub(crate) fn runs(history: &History) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut place: HashMap<u64, usize> = HashMap::new();
    for record in history.records() {
        let Event::Watch(watch) = &record.event else { continue };
        let mark = Mark { at: record.at, line: record.line };
        match &watch.step {
            WatchStep::Open(open) => {
                place.insert(watch.watch, runs.len());
                runs.push(Run { watch: watch.watch, opened: mark, open, items: Vec::new() });
            }
            step => {
                let at = place.get(&watch.watch).expect("a history has no word of a watch before its opening");
                runs[*at].items.push((mark, step));
            }
        }
    }
    runs
}
