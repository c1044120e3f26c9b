//! When a leader that no quorum answers keeps silent, so that those who hear it and are not heard can elect another.
//!
//! openraft then suppresses heartbeats in every second period, and goes on replicating what nobody acknowledged; but a
//! follower takes an append for a sign of life, too. So appends wait in the same periods. The others are for finding a
//! quorum that is back. Source: Raft dissertation §6.2; openraft's `quorum_loss_probe_interval`.

use std::time::Duration;

use tokio::sync::watch;

/// Whether a leader is silent that a quorum answered so long ago, and how long that stays so without another answer.
pub(super) fn silence(answered_ago: Duration, lease: Duration, period: Duration) -> (bool, Duration) {
    let Some(lost) = answered_ago.checked_sub(lease) else { return (false, lease - answered_ago) };
    let passed = lost.as_nanos() / period.as_nanos();
    let rest = period.as_nanos() - lost.as_nanos() % period.as_nanos();
    (passed.is_multiple_of(2), Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX)))
}

/// What appends pass on their way out.
#[derive(Clone)]
pub(crate) struct Gate(watch::Receiver<bool>);

impl Gate {
    /// A gate that is shut while the sender says `true`.
    pub(crate) fn new() -> (watch::Sender<bool>, Gate) {
        let (shut, gate) = watch::channel(false);
        (shut, Gate(gate))
    }

    /// Waits until the gate is open.
    pub(super) async fn pass(&mut self) {
        // An error: the member stops, and so does what it would send.
        self.0.wait_for(|shut| !shut).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(900);
    const PERIOD: Duration = Duration::from_millis(1800);

    #[test]
    fn a_leader_speaks_for_its_lease_and_then_in_every_second_period() {
        let at = |ms| silence(Duration::from_millis(ms), LEASE, PERIOD);
        assert_eq!(at(0), (false, LEASE));
        assert_eq!(at(899), (false, Duration::from_millis(1)));
        assert_eq!(at(900), (true, PERIOD));
        assert_eq!(at(2699), (true, Duration::from_millis(1)));
        assert_eq!(at(2700), (false, PERIOD));
        assert_eq!(at(4500), (true, PERIOD));
    }

    #[tokio::test]
    async fn what_waits_at_a_shut_gate_goes_on_when_it_opens() {
        let (shut, mut gate) = Gate::new();
        gate.pass().await;
        shut.send_replace(true);
        let mut other = gate.clone();
        let waiting = tokio::spawn(async move { other.pass().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        shut.send_replace(false);
        waiting.await.unwrap();
    }
}
