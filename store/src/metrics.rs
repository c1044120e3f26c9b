//! Every metric family of the store, by etcd's names, labels, types and buckets, so that etcd's alerts and dashboards work.
//!
//! [`Metrics`] is built on a registry that it is given; there are no statics. A room takes clones of the handles that it
//! moves. What a room does not move is set at the scrape (`http::metrics`) from what the doors tell.
//! Does not: hold our own families beyond etcd's; those come under the prefix `fairlead_`.
//! Source: etcd `server/**/metrics.go` (names, help, buckets), go-grpc-prometheus (`grpc_server_*`).

mod disk;
mod family;
mod grpc;
mod lease;
mod mvcc;
mod network;
mod process;
mod server;

pub use disk::Disk;
pub use grpc::{Grpc, METHODS, Method, MethodMetrics, Shape};
pub use lease::Lease;
pub use mvcc::Mvcc;
pub use network::Network;
pub use process::Process;
pub use server::Server;

use prometheus::Registry;

/// All families. Cheap to clone: every handle is shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// `etcd_server_*`, `etcd_cluster_*`, `etcd_debugging_server_*`.
    pub server: Server,
    /// `etcd_mvcc_*`, `etcd_debugging_mvcc_*`.
    pub mvcc: Mvcc,
    /// `etcd_disk_*`, `etcd_snap_*` and their debugging kin.
    pub disk: Disk,
    /// `etcd_network_*`.
    pub network: Network,
    /// `etcd_debugging_lease_*`, `etcd_debugging_auth_*`.
    pub lease: Lease,
    /// `grpc_server_*`.
    pub grpc: Grpc,
    /// `process_*`, `os_fd_*`.
    pub process: Process,
    registry: Registry,
}

impl Metrics {
    /// Makes and registers every family.
    ///
    /// # Errors
    /// Where `registry` already has a family of the same name.
    pub fn new(registry: Registry) -> Result<Metrics, prometheus::Error> {
        Ok(Metrics {
            server: Server::register(&registry)?,
            mvcc: Mvcc::register(&registry)?,
            disk: Disk::register(&registry)?,
            network: Network::register(&registry)?,
            lease: Lease::register(&registry)?,
            grpc: Grpc::register(&registry)?,
            process: Process::register(&registry)?,
            registry,
        })
    }

    /// Where they are registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

#[cfg(test)]
#[path = "metrics_test.rs"]
mod tests;
