//! The services: etcd's gRPC API on top of `raft`, `mvcc`, `watch` and `lease`. tonic is named only here and in `proto`.
//!
//! A call is checked (`validate`), admitted (`kv`: quota, alarms), proposed or read, and answered with a header
//! (`header`) or a status (`status`). What holds for every call (metrics, size limits, the caller's metadata) is in `layer`.

mod admission;
mod auth;
mod body;
mod cluster;
mod context;
mod deadline;
pub mod disk_alarm;
mod election;
mod header;
mod health;
mod kv;
mod layer;
mod leaderless;
mod lease;
mod lock;
mod maintenance;
mod observe;
mod phases;
mod queue;
mod range_stream;
mod server;
mod snapshot_stream;
mod spliced;
pub mod status;
pub mod validate;
mod watch;

#[cfg(test)]
pub(crate) mod testing;

pub use admission::growth;
pub use auth::AuthService;
pub use cluster::ClusterService;
pub use context::{Context, Leases, Limits, Parts};
pub use election::ElectionService;
pub use health::HealthService;
pub use kv::KvService;
pub use lease::LeaseService;
pub use lock::LockService;
pub use maintenance::MaintenanceService;
pub(crate) use maintenance::cluster_minor;
pub use phases::{Phase, Phases};
pub use server::{routes, services};
pub use snapshot_stream::Snapshots;
pub use watch::WatchService;

/// The version that the services report: the contract's level.
pub const SERVER_VERSION: &str = "3.7.1";

/// The version that the cluster agrees on.
pub const CLUSTER_VERSION: &str = "3.7.0";
