//! Simulated runs: members, network, disks and clocks in one thread, from one seed.
//!
//! ```text
//! seed ─▶ plan ─▶ stage (world: machines, network · members: disks, engines) ◀── traffic, strikes ──▶ history ─▶ check
//! ```
//! The store runs whole (`rpc`, `raft`, `apply`, `mvcc`, `lease`, `watch`, `log`), over its own seams: calls go over a network
//! in memory in place of sockets and HTTP/2, the log lies on a disk that forgets, the state in an engine that falls back to its
//! last flush, time is a paused clock for each machine, and all chance is the seed's. Promises: the same plan and the same
//! program give the same history, byte for byte. Does not: simulate RocksDB, HTTP/2, TLS or a slow core; membership changes.

mod call;
mod member;
mod network;
mod run;
mod schedule;
mod stage;
mod strike;
mod world;

use std::time::Duration;

#[cfg(feature = "planted")]
pub use run::run_planted;
pub use run::{Plan, STEPS, run};
pub use schedule::{Blow, Strike, Whom, draw};

/// How long a member may take to answer what the run itself asks.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// How long a status may take, which is asked for often.
const STATUS_WITHIN: Duration = Duration::from_millis(200);
