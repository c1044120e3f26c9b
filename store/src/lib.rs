//! Fairlead's store: an etcd v3 server on openraft and RocksDB.

pub mod apply;
pub mod engine;
pub mod log;
pub mod raft;
pub mod watch;
