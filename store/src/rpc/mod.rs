//! The services: etcd's gRPC API on top of `raft`, `mvcc`, `watch` and `lease`. tonic is named only here and in `proto`.
//!
//! A call is checked (`validate`), admitted (`kv`: quota, alarms), proposed or read, and answered with a header
//! (`header`) or a status (`status`). What holds for every call (metrics, size limits, the caller's metadata) is in `layer`.

mod context;
mod header;
pub mod status;

pub use context::{Context, Leases, Limits, Parts};

/// The version that the services report: the contract's level.
pub const SERVER_VERSION: &str = "3.7.1";

/// The version that the cluster agrees on.
pub const CLUSTER_VERSION: &str = "3.7.0";
