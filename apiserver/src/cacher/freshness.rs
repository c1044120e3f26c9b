//! Waiting until a cache has reached a revision, and having the store asked for its progress while somebody waits.
//!
//! An idle resource's watch says nothing, so its cache would never learn that it is up to date. [`ProgressSchedule`] says when to
//! ask: at once when somebody begins to wait, again while the answer is too old or does not come, and once a minute otherwise, so
//! that a watch that has to be resumed does not begin in a past that has been compacted.
//! Source: apiserver `storage/cacher/progress/watch_progress.go`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::storage::Revision;

/// Pause between an answer that is too old (a member that lags) and the next question.
const ASK_INTERVAL_MIN: Duration = Duration::from_millis(2);
/// How long an answer that somebody waits for may take: none comes while changes are on their way.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// How often an idle resource's progress is asked for.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);

/// How far a cache is, and who waits for more.
#[derive(Debug)]
pub(crate) struct Freshness {
    cached: watch::Sender<Revision>,
    waiting: AtomicUsize,
    begins: Notify,
}

/// Somebody waits as long as it exists.
#[derive(Debug)]
pub(crate) struct Waiting<F: AsRef<Freshness>>(F);

impl Freshness {
    pub(crate) fn new() -> Self {
        Freshness { cached: watch::channel(Revision::ZERO).0, waiting: AtomicUsize::new(0), begins: Notify::new() }
    }

    /// The cache has reached this revision.
    pub(crate) fn reached(&self, revision: Revision) {
        self.cached.send_if_modified(|cached| std::mem::replace(cached, revision) != revision);
    }

    /// How far the cache is.
    pub(crate) fn cached(&self) -> Revision {
        *self.cached.borrow()
    }

    /// Waits until the cache has reached a revision, but not for longer than this; returns whether it has.
    pub(crate) async fn within(&self, revision: Revision, wait: Duration) -> bool {
        if self.cached() >= revision {
            return true;
        }
        let _waiting = Waiting::begin(self);
        let mut cached = self.cached.subscribe();
        let reached = timeout(wait, cached.wait_for(|cached| *cached >= revision)).await;
        matches!(reached, Ok(Ok(_)))
    }

    /// Whether anybody waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Has the schedule looked at, as if somebody began to wait.
    pub(crate) fn nudge(&self) {
        self.begins.notify_one();
    }

    /// Returns when somebody begins to wait.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn begins(&self) {
        self.begins.notified().await;
    }
}

impl AsRef<Freshness> for Freshness {
    fn as_ref(&self) -> &Freshness {
        self
    }
}

impl<F: AsRef<Freshness>> Waiting<F> {
    /// Has the store asked for its progress until it is dropped.
    pub(crate) fn begin(freshness: F) -> Self {
        freshness.as_ref().waiting.fetch_add(1, Ordering::AcqRel);
        freshness.as_ref().nudge();
        Waiting(freshness)
    }
}

impl<F: AsRef<Freshness>> Drop for Waiting<F> {
    fn drop(&mut self) {
        self.0.as_ref().waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// When to ask the store for its progress. Pure: time is an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgressSchedule {
    due: Instant,
    asked: Option<Instant>,
}

impl ProgressSchedule {
    /// For a watch that begins now: its first answer tells that what lies before the list has come.
    pub(crate) fn new(now: Instant) -> Self {
        ProgressSchedule { due: now, asked: None }
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Somebody begins to wait. A question that is on its way may have been answered too early for them.
    pub(crate) fn begins(&mut self, now: Instant) {
        self.due = self.due.min(self.not_before(now));
    }

    /// The store was asked.
    pub(crate) fn asked(&mut self, now: Instant, is_awaited: bool) {
        self.asked = Some(now);
        self.due = now + if is_awaited { ANSWER_WITHIN } else { IDLE_INTERVAL };
    }

    /// The store has answered; whether somebody still waits for more than that.
    pub(crate) fn answered(&mut self, now: Instant, is_awaited: bool) {
        self.due = if is_awaited { self.not_before(now) } else { now + IDLE_INTERVAL };
    }

    fn not_before(&self, now: Instant) -> Instant {
        self.asked.map_or(now, |asked| now.max(asked + ASK_INTERVAL_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_revision_is_reached_or_time_is_up() {
        let freshness = Freshness::new();
        freshness.reached(Revision::new(5));
        assert!(freshness.within(Revision::new(5), Duration::ZERO).await);
        assert!(!freshness.within(Revision::new(6), Duration::from_secs(3)).await);
        assert!(!freshness.is_awaited());
        let (reached, ()) = tokio::join!(freshness.within(Revision::new(6), Duration::from_secs(3)), async {
            freshness.begins().await;
            assert!(freshness.is_awaited());
            freshness.reached(Revision::new(7));
        });
        assert!(reached && !freshness.is_awaited());
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_asked_when_somebody_waits_and_else_once_a_minute() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut schedule = ProgressSchedule::new(start);
        assert_eq!(schedule.due(), start);
        schedule.asked(start, false);
        assert_eq!(schedule.due(), at(60_000));
        schedule.begins(at(10));
        assert_eq!(schedule.due(), at(10), "at once");
        schedule.asked(at(10), true);
        assert_eq!(schedule.due(), at(110), "again if there is no answer");
        schedule.begins(at(11));
        assert_eq!(schedule.due(), at(12), "for those who began after the question");
        schedule.asked(at(12), true);
        schedule.answered(at(13), true);
        assert_eq!(schedule.due(), at(14), "the answer was too old");
        schedule.answered(at(15), false);
        assert_eq!(schedule.due(), at(60_015));
    }
}
