//! The services: etcd's gRPC API on top of `raft`, `mvcc`, `watch` and `lease`. tonic is named only here and in `proto`.
//!
//! A call is checked (`validate`), admitted (`kv`: quota, alarms), proposed or read, and answered with a header
//! (`header`) or a status (`status`). What holds for every call (metrics, size limits, the caller's metadata) is in `layer`.

mod admission;
mod context;
mod header;
mod kv;
mod phases;
mod range_stream;
pub mod status;
pub mod validate;

#[cfg(test)]
pub(crate) mod testing;

pub use admission::growth;
pub use context::{Context, Leases, Limits, Parts};
pub use kv::KvService;
pub use phases::{Phase, Phases};

/// The version that the services report: the contract's level.
pub const SERVER_VERSION: &str = "3.7.1";

/// The version that the cluster agrees on.
pub const CLUSTER_VERSION: &str = "3.7.0";
