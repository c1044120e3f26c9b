//! Watches: they begin now, in the past or in the future, deliver whole revisions, are broken and go on.

use super::{Action, MS, Run};
use crate::history::{
    Batch, Canceled, CloseCause, Closed, Created, Event, Open, Progress, Watch, WatchEvent, WatchStep, covers,
};

/// A watch, with its successors.
pub(super) struct Watching {
    client: u64,
    id: u64,
    open: Open,
    /// The next revision to look at.
    cursor: i64,
    told: i64,
    alive: bool,
}

impl Run {
    pub(super) fn start_watches(&mut self) {
        for watch in 0..self.plan.watches {
            let client = self.fresh_client();
            self.watches.push(Watching { client, id: 0, open: Open::default(), cursor: 0, told: 0, alive: false });
            self.after(20 * MS + watch * 7 * MS, Action::Watch(self.watches.len() - 1));
        }
    }

    fn tell(&mut self, watch: usize, step: WatchStep) {
        let id = self.watches[watch].id;
        self.record(Event::Watch(Watch { watch: id, step }));
    }

    fn watch_open(&mut self, watch: usize) {
        let number = u64::try_from(watch).unwrap_or(0);
        let now = self.store.revision();
        let before = Some(self.watches[watch].id).filter(|id| *id > 0);
        let from = match (before, watch % 3) {
            (Some(_), _) => self.watches[watch].told + 1,
            (None, 0) => 0,
            (None, 1) => now + 25,
            (None, _) => (now - 20).max(1),
        };
        let (key, end) =
            if watch % 4 == 3 { ("key/01".to_owned(), None) } else { ("\0".to_owned(), Some("\0".to_owned())) };
        let open = Open {
            client: self.watches[watch].client,
            member: self.up(number % 3 + 1),
            key,
            end,
            from,
            previous: watch.is_multiple_of(2),
            progress: true,
            no_delete: watch % 5 == 4,
            resumes: before,
            ..Open::default()
        };
        self.watches[watch].id = self.next_watch;
        self.next_watch += 1;
        self.watches[watch].cursor = if from > 0 { from } else { now + 1 };
        self.watches[watch].told = self.watches[watch].cursor - 1;
        self.watches[watch].alive = true;
        self.watches[watch].open = open.clone();
        self.tell(watch, WatchStep::Open(open));
        self.tell(watch, WatchStep::Created(Created { revision: now }));
        if from > 0 && from < self.store.compacted() {
            self.cancel(watch);
        }
    }

    fn cancel(&mut self, watch: usize) {
        let compact_revision = self.store.compacted();
        self.tell(watch, WatchStep::Canceled(Canceled { compact_revision, reason: "compacted".to_owned() }));
        self.watches[watch].alive = false;
        self.watches[watch].told = compact_revision - 1;
    }

    pub(super) fn watch_steps(&mut self, watch: usize) {
        let wait = self.random.between(4 * MS, 25 * MS);
        if !self.watches[watch].alive {
            self.watch_open(watch);
        } else if self.random.chance(15) && !self.ending {
            self.tell(watch, WatchStep::Closed(Closed { by: CloseCause::Connection, reason: "reset".to_owned() }));
            self.watches[watch].alive = false;
        } else {
            self.watch_deliver(watch);
        }
        if !self.ending || !self.watches[watch].alive {
            self.after(wait, Action::Watch(watch));
        }
    }

    /// Some whole revisions from the cursor on.
    fn watch_deliver(&mut self, watch: usize) {
        let revisions = usize::try_from(self.random.between(1, 30)).unwrap_or(1);
        let at = &self.watches[watch];
        let mut events = Vec::new();
        let mut seen = 0;
        let (mut told, mut cursor) = (at.told, at.cursor);
        for (revision, keys) in self.store.changes_from(at.cursor) {
            if seen == revisions {
                break;
            }
            cursor = revision + 1;
            for key in keys.iter().filter(|key| covers(&at.open.key, at.open.end.as_deref(), key)) {
                let now = self.store.get(key, revision).cloned();
                let previous = self.store.get(key, revision - 1).filter(|_| at.open.previous).cloned();
                let event = match now {
                    Some(kv) => WatchEvent::Put { kv, previous },
                    None if at.open.no_delete => continue,
                    None => WatchEvent::Delete { key: key.clone(), mod_revision: revision, previous },
                };
                events.push(event);
                told = revision;
            }
            seen += 1;
        }
        let caught_up = cursor > self.store.revision();
        let now = self.store.revision();
        self.watches[watch].cursor = cursor;
        self.watches[watch].told = told;
        if !events.is_empty() {
            self.tell(watch, WatchStep::Events(Batch { revision: now, fragment: false, events }));
        }
        if caught_up && now >= self.watches[watch].open.from && self.random.chance(300) {
            self.tell(watch, WatchStep::Progress(Progress { revision: now }));
            self.watches[watch].told = now.max(told);
        }
    }

    /// Everything that is left.
    pub(super) fn watch_flush(&mut self, watch: usize) {
        if !self.watches[watch].alive {
            self.watch_open(watch);
        }
        while self.watches[watch].alive && self.watches[watch].cursor <= self.store.revision() {
            self.watch_deliver(watch);
        }
    }

    /// A member's watches end with it.
    pub(super) fn break_watches(&mut self, member: u64) {
        for watch in 0..self.watches.len() {
            if self.watches[watch].alive && self.watches[watch].open.member == member {
                self.tell(watch, WatchStep::Closed(Closed { by: CloseCause::Connection, reason: "reset".to_owned() }));
                self.watches[watch].alive = false;
            }
        }
    }
}
