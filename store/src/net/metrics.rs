//! Families of the network room; etcd has none of this kind, so they carry our prefix.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// Handles, shared by all listeners.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `fairlead_net_connections{listener}`: open connections.
    pub(super) connections: IntGaugeVec,
    /// `fairlead_net_handshake_failures_total{listener}`: connections that ended before the first request could be read.
    pub(super) handshake_failures: IntCounterVec,
}

impl Metrics {
    /// Registers the families.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        let metrics = Metrics {
            connections: IntGaugeVec::new(Opts::new("fairlead_net_connections", "Open connections."), &["listener"])?,
            handshake_failures: IntCounterVec::new(
                Opts::new(
                    "fairlead_net_handshake_failures_total",
                    "Connections that ended before a request could be read.",
                ),
                &["listener"],
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.handshake_failures.clone()))?;
        Ok(metrics)
    }
}
