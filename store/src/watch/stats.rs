//! Figures of the hub, for metrics.

/// What the hub holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Streams open.
    pub streams: usize,
    /// Watchers on them.
    pub watchers: usize,
    /// Those that are not synced.
    pub slow_watchers: usize,
    /// Responses that wait for their streams.
    pub pending_responses: usize,
    /// Events published since the start.
    pub events_total: u64,
}
