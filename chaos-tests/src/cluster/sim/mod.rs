//! Members in this process, on what a power cut takes away: logs on disks in memory, states in engines in memory.
//!
//! Each member is a whole `Store` on a runtime of its own. A power cut takes from its disk what was not synced (the disk
//! chooses by seed what of it survives, sector by sector) and throws its state back to the last flush, then ends the old
//! life: its runtime is gone before the next one starts. Engines flush when the member asks, and at seeded moments besides,
//! as RocksDB does, so a state may come back behind its log, ahead of it, or over a purged one.
//! What is not simulated, so that a seed alone does not replay a run: clock, scheduler and network are the real ones
//! (loopback), and the few small files beside log and state (identity, which generation counts) are real files that a cut
//! leaves as they are.

mod cluster;
mod member;
pub(crate) mod power;
pub(crate) mod seams;

pub use cluster::{Cluster, Config};
pub use member::{Cut, Member};
