//! The lease service's bounds.

use std::time::Duration;

/// Bounds and times. Source of the defaults: etcd `server/lease/lessor.go`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Expired leases proposed in one second. Default 1,000, as etcd.
    pub revokes_per_second_max: usize,
    /// Such proposals at once. Default 16, as etcd.
    pub revokes_inflight_max: usize,
    /// Checkpoints in one entry. Default 1,000, as etcd.
    pub checkpoints_per_entry_max: usize,
    /// Added to every lease when leadership is gained: an election's time, in which nobody could renew.
    pub extension: Duration,
    /// How long to wait after a proposal or a proof of leadership has failed.
    pub retry_after: Duration,
}

impl Config {
    /// The defaults, at that election timeout.
    #[must_use]
    pub fn new(election_timeout: Duration) -> Config {
        Config {
            revokes_per_second_max: 1000,
            revokes_inflight_max: 16,
            checkpoints_per_entry_max: 1000,
            extension: election_timeout,
            retry_after: election_timeout,
        }
    }
}
