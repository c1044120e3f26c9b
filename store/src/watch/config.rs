//! The hub's bounds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds and times of the hub. Defaults are etcd's where etcd has one (`server/storage/mvcc/watchable_store.go`,
/// `server/etcdserver/api/v3rpc/watch.go`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Responses that wait for one gRPC stream. Default 128, as etcd.
    pub stream_responses_max: usize,
    /// Bytes of events that wait for one gRPC stream; one response may exceed it. Default 16 MiB; etcd has no such bound.
    pub stream_bytes_max: usize,
    /// Revisions read at once for watchers that catch up. Default 1,000, as etcd.
    pub catchup_revisions_max: usize,
    /// Watchers served by one such read. Default 512, as etcd.
    pub catchup_watchers_max: usize,
    /// Bytes of events in one response; one revision may exceed it, being whole. Default 1 MiB, so that clients with
    /// gRPC's usual limit of 4 MiB a message can follow, `prev_kv` included.
    pub batch_bytes_max: usize,
    /// Newest revisions kept for the last step from catching up to live delivery, so that a watcher under a fast writer
    /// ends its chase. Default 64.
    pub handover_revisions_max: usize,
    /// Bytes of events kept for the same. Default 1 MiB.
    pub handover_bytes_max: usize,
    /// Time between progress notifications; up to a tenth is added at random, once a stream. Default 10 min, as etcd.
    pub progress_notify_interval: Duration,
}

/// The shortest progress interval.
pub const PROGRESS_INTERVAL_MIN: Duration = Duration::from_millis(100);

impl Default for Config {
    fn default() -> Self {
        Config {
            stream_responses_max: 128,
            stream_bytes_max: 16 << 20,
            catchup_revisions_max: 1000,
            catchup_watchers_max: 512,
            batch_bytes_max: 1 << 20,
            handover_revisions_max: 64,
            handover_bytes_max: 1 << 20,
            progress_notify_interval: Duration::from_secs(600),
        }
    }
}

/// A bound that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("watch.{0} must be at least 1")]
pub struct ConfigError(&'static str);

impl Config {
    /// Checks that each bound lets something through.
    ///
    /// # Errors
    /// Names the first bound that is 0.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bounds = [
            ("stream_responses_max", self.stream_responses_max),
            ("stream_bytes_max", self.stream_bytes_max),
            ("catchup_revisions_max", self.catchup_revisions_max),
            ("catchup_watchers_max", self.catchup_watchers_max),
            ("batch_bytes_max", self.batch_bytes_max),
        ];
        match bounds.iter().find(|(_, bound)| *bound == 0) {
            Some((name, _)) => Err(ConfigError(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_of_zero_is_refused_by_name() {
        assert_eq!(Config::default().validate(), Ok(()));
        let none = Config { stream_responses_max: 0, ..Config::default() };
        assert_eq!(none.validate().unwrap_err().to_string(), "watch.stream_responses_max must be at least 1");
    }
}
