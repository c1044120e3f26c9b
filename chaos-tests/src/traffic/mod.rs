//! Traffic: what clients do while faults happen, and what they saw.

pub mod cpu;
pub mod load;
pub mod writers;
