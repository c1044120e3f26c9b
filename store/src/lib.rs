//! Fairlead's store: an etcd v3 server on openraft and RocksDB.
//!
//! [`Store`] puts the rooms together; each room's door is its module's documentation.

pub mod alarm;
pub mod apply;
pub mod auto_compaction;
pub mod config;
pub mod data_dir;
pub mod disk;
pub mod engine;
#[cfg(feature = "failpoints")]
pub mod failpoints;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod lease;
pub mod log;
pub mod member;
pub mod metrics;
pub mod mvcc;
pub mod net;
pub mod planted;
pub mod quota;
pub mod raft;
pub mod restore;
pub mod rpc;
mod serving;
pub mod simulated;
pub mod snapshot_file;
mod store;
pub mod watch;

pub use store::{Error, OpenDisk, Seams, Store, rocks_engine};
