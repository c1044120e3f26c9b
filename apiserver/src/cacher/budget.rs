//! The time that all slow watchers of a resource may cost together. Pure: time is an argument.
//!
//! A fixed time for each would add up with their number. This one fills up again by a share of the passing time, so watchers that
//! are always slow are closed, and a watcher that is slow once is waited for.
//! Source: apiserver `storage/cacher/time_budget.go`.

use std::time::Duration;

use tokio::time::Instant;

/// What can be saved up.
const BUDGET_MAX: Duration = Duration::from_millis(100);
/// What one second adds.
const REFILL_PER_SECOND: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    left: Duration,
    counted: Instant,
}

impl Budget {
    pub(crate) fn full(now: Instant) -> Self {
        Budget { left: BUDGET_MAX, counted: now }
    }

    /// What may be spent now.
    pub(crate) fn left(&mut self, now: Instant) -> Duration {
        let refill = REFILL_PER_SECOND.mul_f64(now.saturating_duration_since(self.counted).as_secs_f64());
        self.counted = now;
        self.left = BUDGET_MAX.min(self.left + refill);
        self.left
    }

    /// What was spent.
    pub(crate) fn spend(&mut self, spent: Duration) {
        self.left = self.left.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_spent_comes_back_by_a_twentieth_of_the_time() {
        let start = Instant::now();
        let mut budget = Budget::full(start);
        assert_eq!(budget.left(start), Duration::from_millis(100));
        budget.spend(Duration::from_millis(70));
        assert_eq!(budget.left(start), Duration::from_millis(30));
        assert_eq!(budget.left(start + Duration::from_secs(1)), Duration::from_millis(80));
        budget.spend(Duration::from_secs(5));
        assert_eq!(budget.left(start + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(budget.left(start + Duration::from_secs(100)), Duration::from_millis(100));
    }
}
