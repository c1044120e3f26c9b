//! openraft's settings from etcd's two flags.
//!
//! A follower campaigns when the leader's lease (`election_timeout_max`) and a random part of [min, max) have passed since
//! it last heard from it. With etcd's defaults (100 ms, 1 s) that is 1.2 to 1.8 s after the last append, as in etcd.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use crate::config;
use crate::planted::{self, Bug};

/// What the raft room needs to know of time and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Between two heartbeats.
    pub(crate) heartbeat: Duration,
    /// etcd's election timeout.
    pub(crate) election: Duration,
    /// The longest wait for one reply of an append stream.
    pub(crate) reply_deadline: Duration,
    /// How long a request may take altogether: 5 s for the disks and two elections, as etcd.
    pub(crate) budget: Duration,
}

impl Timing {
    pub(crate) fn new(config: &config::Config) -> Self {
        let election = config.election_timeout;
        Self {
            heartbeat: config.heartbeat_interval,
            election,
            reply_deadline: election,
            budget: Duration::from_secs(5) + 2 * election,
        }
    }

    /// The leader's lease: how long it is believed without a sign of life.
    pub(crate) fn lease(&self) -> Duration {
        self.election.mul_f64(0.9)
    }

    /// How long a leader without a quorum is silent, and then speaks: a lease and the longest election.
    pub(crate) fn silence(&self) -> Duration {
        2 * self.lease()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// openraft's own configuration.
pub(crate) fn openraft_config(config: &config::Config, timing: Timing) -> Result<Config, String> {
    let heartbeat = millis(timing.heartbeat).max(1);
    let election = millis(timing.election);
    let max = election * 9 / 10;
    let min = (election * 3 / 10).max(heartbeat + heartbeat / 4 + 1).min(max.saturating_sub(1));
    // A heartbeat that was suppressed after an append must still come before a follower campaigns.
    let tick = heartbeat * 13 / 64 + 1;
    let suppress = heartbeat.min(min.saturating_sub(heartbeat + tick + 1));
    let openraft = Config {
        cluster_name: config.initial_cluster_token.clone(),
        heartbeat_interval: heartbeat,
        election_timeout_min: min,
        election_timeout_max: max,
        heartbeat_min_interval: Some(suppress),
        install_snapshot_timeout: 60_000,
        max_payload_entries: 1024,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_count.max(1)),
        max_in_snapshot_log_to_keep: config.snapshot_catchup_entries,
        replication_lag_threshold: config.snapshot_count + config.snapshot_catchup_entries,
        purge_batch_size: 256,
        enable_pre_vote: Some(config.pre_vote && !planted::is(Bug::PreVoteOff)),
        // A restarted leader would serve reads below what it once acknowledged.
        enable_leader_restore: Some(false),
        quorum_loss_probe_interval: Some(2 * max),
        ..Config::default()
    };
    openraft.validate().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_legal_pair_of_flags_gives_settings_that_openraft_accepts() {
        for (heartbeat, factor) in [(1, 5), (10, 5), (10, 10), (100, 5), (100, 10), (100, 500), (1000, 5), (5000, 10)] {
            let config = config::Config {
                heartbeat_interval: Duration::from_millis(heartbeat),
                election_timeout: Duration::from_millis(heartbeat * factor),
                ..config::Config::default()
            };
            let openraft = openraft_config(&config, Timing::new(&config));
            let openraft = openraft.unwrap_or_else(|error| panic!("{heartbeat} ms × {factor}: {error}"));
            assert!(openraft.election_timeout_min > openraft.heartbeat_interval, "{heartbeat} ms × {factor}");
        }
    }

    #[test]
    fn etcds_defaults_give_a_lease_of_900_ms() {
        let config = config::Config::default();
        let timing = Timing::new(&config);
        let openraft = openraft_config(&config, timing).expect("defaults are legal");
        assert_eq!((openraft.election_timeout_min, openraft.election_timeout_max), (300, 900));
        assert_eq!((timing.lease(), timing.budget), (Duration::from_millis(900), Duration::from_secs(7)));
    }
}
