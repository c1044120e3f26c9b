//! Fairlead's store: an etcd v3 server on openraft and RocksDB.

pub mod alarm;
pub mod apply;
pub mod auto_compaction;
pub mod config;
pub mod data_dir;
pub mod disk;
pub mod engine;
pub mod lease;
pub mod log;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod member;
pub mod metrics;
pub mod mvcc;
pub mod net;
pub mod quota;
pub mod log;
pub mod mvcc;
pub mod raft;
pub mod rpc;
pub mod snapshot_file;
pub mod watch;
