//! Fairlead's store: an etcd v3 server on openraft and RocksDB.

pub mod alarm;
pub mod apply;
pub mod disk;
pub mod engine;
pub mod http;
pub mod member;
pub mod metrics;
pub mod mvcc;
pub mod quota;
pub mod raft;
pub mod rpc;
pub mod watch;
