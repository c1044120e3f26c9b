//! Fairlead's store: an etcd v3 server on openraft and RocksDB.

pub mod apply;
pub mod config;
pub mod engine;
pub mod raft;
pub mod snapshot_file;
pub mod watch;
