//! Where a proposal's time goes: waiting for its turn, being replicated, being applied here.
//!
//! Readable at any moment, also by a call that is given up: what has not happened yet lasts until now. Costs a clone of a
//! shared pointer for a proposal, and two readings of the clock for a batch.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

/// One proposal's way, as far as it has come.
#[derive(Debug, Default)]
pub struct Trace {
    batch: OnceLock<Arc<Progress>>,
}

/// How far a batch has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    taken: OnceLock<Instant>,
    applying: OnceLock<Instant>,
}

impl Progress {
    /// The batch's turn has come: it goes into the log, here or at the leader.
    pub(super) fn taken(&self) {
        self.taken.get_or_init(Instant::now);
    }

    /// It is committed, and this member has begun to apply it at `begun`.
    pub(super) fn applying(&self, begun: Instant) {
        self.applying.get_or_init(|| begun);
    }
}

/// What a proposal has spent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Until its batch's turn came.
    pub queue: Duration,
    /// Until this member knew that it is committed, and had applied what stands before it.
    pub replicate: Duration,
    /// On this member's apply.
    pub apply: Duration,
}

impl Trace {
    /// The batch that the proposal is in. One that is proposed again stays with its first.
    pub(super) fn follow(&self, progress: &Arc<Progress>) {
        self.batch.get_or_init(|| Arc::clone(progress));
    }

    /// How the time between `from`, when it was proposed, and `to` divides.
    #[must_use]
    pub fn spent(&self, from: Instant, to: Instant) -> Spent {
        let Some(batch) = self.batch.get() else {
            return Spent { replicate: to.saturating_duration_since(from), ..Spent::default() };
        };
        let taken = batch.taken.get().map_or(to, |at| (*at).clamp(from, to));
        let applying = batch.applying.get().map_or(to, |at| (*at).clamp(taken, to));
        Spent { queue: taken - from, replicate: applying - taken, apply: to - applying }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn what_has_not_happened_yet_lasts_until_now() {
        let (trace, progress, from) = (Trace::default(), Arc::new(Progress::default()), Instant::now());
        let spent =
            |queue, replicate, apply| Spent { queue: queue * STEP, replicate: replicate * STEP, apply: apply * STEP };
        assert_eq!(trace.spent(from, from + STEP), spent(0, 1, 0), "of another consensus");
        trace.follow(&progress);
        tokio::time::advance(STEP).await;
        assert_eq!(trace.spent(from, Instant::now()), spent(1, 0, 0));
        progress.taken();
        tokio::time::advance(2 * STEP).await;
        assert_eq!(trace.spent(from, Instant::now()), spent(1, 2, 0));
        progress.applying(Instant::now());
        tokio::time::advance(3 * STEP).await;
        assert_eq!(trace.spent(from, Instant::now()), spent(1, 2, 3));
        assert_eq!(trace.spent(from, from + STEP), spent(1, 0, 0), "and no part is longer than the whole");
    }
}
