//! The parts of a run: phases, faults, the end and what is dumped then.

use super::{Action, MS, Run, SLOW_SYNC_MS, Then};
use crate::history::{Entry, Event, FaultStep, Figures, HashKv, MemberStep, Phase, Range, Request};

pub(super) type Stage = (u64, fn(&mut Run));

/// The stages that others lead to.
pub(super) const END: usize = 7;
const CLOSE: usize = 8;

/// The parts of a run: when, of 1000 parts of the traffic, and what.
pub(super) fn stages() -> [Stage; 9] {
    [
        (0, |_| {}),
        (200, |run| {
            run.record(Event::Phase(Phase::Safety));
            let figures: Figures = [("delay_ms".to_owned(), i64::try_from(SLOW_SYNC_MS).unwrap_or(i64::MAX))].into();
            run.fault(1, FaultStep::Planned { kind: "F-56".to_owned(), members: vec![1, 2], figures: figures.clone() });
            run.fault(2, FaultStep::Planned { kind: "F-01".to_owned(), members: vec![3], figures: Figures::new() });
            run.slow_sync = true;
            run.fault(1, FaultStep::Applied { members: vec![1, 2], figures });
            run.fault(1, FaultStep::Witnessed { figures: [("syncs".to_owned(), 17)].into() });
        }),
        (400, |run| {
            run.fault(1, FaultStep::Healed { figures: Figures::new() });
            run.slow_sync = false;
        }),
        (450, |run| {
            run.fault(2, FaultStep::Applied { members: vec![3], figures: Figures::new() });
            run.member(3, MemberStep::Ended { expected: true, status: "signal 9".to_owned() });
            run.fault(2, FaultStep::Witnessed { figures: [("signal".to_owned(), 9)].into() });
            run.member_down = Some(3);
            run.break_watches(3);
            run.term = 2;
            run.member(2, MemberStep::Leader { term: 2 });
        }),
        (600, |run| {
            run.record(Event::Phase(Phase::Heal));
            run.member_down = None;
            run.member(3, MemberStep::Started);
            run.member(3, MemberStep::Ready);
            run.fault(2, FaultStep::Healed { figures: Figures::new() });
            run.member(2, MemberStep::Installed { snapshots: 1 });
        }),
        (650, |run| run.record(Event::Phase(Phase::Liveness))),
        (1000, |run| {
            run.ending = true;
            // What is begun is finished, and every lease runs out.
            run.after(4_000 * MS, Action::Stage(END));
        }),
        (u64::MAX, Run::end),
        (u64::MAX, Run::close),
    ]
}

impl Run {
    /// Traffic has stopped: final reads, hashes.
    fn end(&mut self) {
        self.record(Event::Phase(Phase::End));
        let everything = Range { key: "\0".to_owned(), end: Some("\0".to_owned()), ..Range::default() };
        let client = self.fresh_client();
        self.invoke(client, 1, Request::Range(everything), Then::Nothing, false);
        for member in 1..=3 {
            let hash = HashKv {
                member,
                revision: self.store.revision(),
                compact_revision: self.store.compacted(),
                hash: 0xfa1e,
            };
            self.record(Event::HashKv(hash));
            let (applied, revision, term) = (self.entries.len() as u64, self.store.revision(), self.term);
            self.member(member, MemberStep::Status { applied, revision, term });
        }
        // Long enough for a watch that is behind to be wrong.
        self.after(7_000 * MS, Action::Stage(CLOSE));
        for watch in 0..self.watches.len() {
            self.watch_flush(watch);
        }
    }

    /// What is dumped of the members.
    fn close(&mut self) {
        let (applied, revision, term) = (self.entries.len() as u64, self.store.revision(), self.term);
        for member in 1..=3 {
            self.member(member, MemberStep::Status { applied, revision, term });
        }
        if !self.plan.log {
            return;
        }
        for member in 1..=3u64 {
            // A member may have stopped earlier, or know no revisions.
            let upto = self.entries.len() - usize::try_from(member - 1).unwrap_or(0);
            let entries: Vec<Entry> = self.entries.iter().take(upto).cloned().collect();
            for entry in entries {
                let revision = entry.revision.filter(|_| member != 3);
                self.record(Event::Entry(Entry { member, revision, ..entry }));
            }
        }
    }
}
