//! Leases: how long keys stay without a sign of life from their owner.
//!
//! Which leases there are is replicated state (`record`, through apply); when they end is known to the leader alone
//! (`lessor`), who proposes their end (`expiry`). A renewal is not replicated. See `lessor` for the rules.

mod checkpoint;
mod config;
mod expiry;
#[cfg(test)]
mod expiry_test;
mod lessor;
#[cfg(test)]
mod lessor_test;
mod record;

pub use config::Config;
pub use expiry::{Expiry, Leadership};
pub use lessor::{Lessor, Renewed};
pub use record::{Error, Record, key, load, record};

/// The largest TTL, in seconds. Source: etcd `server/lease/lessor.go`.
pub const TTL_MAX: i64 = 9_000_000_000;

/// The shortest TTL, in seconds: one and a half election timeouts, rounded up, so that a lease outlives an election.
/// Source: etcd `server/etcdserver/server.go`.
#[must_use]
pub fn ttl_min(election_timeout: std::time::Duration) -> i64 {
    let seconds = election_timeout.as_millis().saturating_mul(3).div_ceil(2000);
    i64::try_from(seconds).unwrap_or(TTL_MAX).clamp(1, TTL_MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn the_shortest_ttl_is_one_and_a_half_election_timeouts_rounded_up() {
        let min = |millis| super::ttl_min(Duration::from_millis(millis));
        assert_eq!([min(1), min(100), min(1000), min(1334), min(2000), min(50_000)], [1, 1, 2, 3, 3, 75]);
    }
}
