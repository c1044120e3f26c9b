//! When a watcher is due a bookmark: about once a minute, and once shortly before its deadline. Pure: time is an argument.
//!
//! Source: apiserver `storage/cacher/cache_watcher.go` (`nextBookmarkTime`).

use std::time::Duration;

use tokio::time::Instant;

/// Time between two bookmarks of a watcher.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long before its deadline a watcher gets one, so that its next watch has little to catch up with.
const BEFORE_DEADLINE: Duration = Duration::from_secs(2);

/// One watcher's bookmarks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    due: Instant,
    deadline: Option<Instant>,
}

impl Schedule {
    pub(crate) fn new(now: Instant, deadline: Option<Instant>) -> Self {
        let mut schedule = Schedule { due: now, deadline };
        schedule.sent(now);
        schedule
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// One was sent just now.
    pub(crate) fn sent(&mut self, now: Instant) {
        let last = self.deadline.and_then(|deadline| deadline.checked_sub(BEFORE_DEADLINE));
        let regular = now + INTERVAL;
        self.due = last.filter(|last| *last > now).map_or(regular, |last| last.min(regular));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_a_minute_and_one_just_before_the_deadline() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, Some(start + Duration::from_secs(130)));
        let mut due = Vec::new();
        for _ in 0..4 {
            due.push((schedule.due() - start).as_secs());
            schedule.sent(schedule.due());
        }
        assert_eq!(due, [60, 120, 128, 188]);
        assert_eq!((Schedule::new(start, None).due() - start).as_secs(), 60);
        assert_eq!((Schedule::new(start, Some(start)).due() - start).as_secs(), 60);
    }
}
