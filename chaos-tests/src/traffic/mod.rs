//! Traffic: what clients do while faults happen, and what they saw.
//!
//! [`etcd`]: clients that record a history; [`writers`]: those that only count.

pub mod cpu;
pub mod etcd;
pub mod ledger;
pub mod mixture;
pub mod writers;
