//! Fairlead's store: an etcd v3 server on openraft and RocksDB.

pub mod alarm;
pub mod apply;
pub mod config;
pub mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod member;
pub mod metrics;
pub mod quota;
pub mod raft;
pub mod rpc;
pub mod snapshot_file;
pub mod watch;
