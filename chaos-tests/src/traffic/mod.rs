//! Traffic: what clients do while faults happen, and what they saw.

pub mod cpu;
pub mod ledger;
pub mod load;
pub mod mixture;
pub mod writers;
