//! Clusters under test.
//!
//! [`process`]: members as real processes; [`proxy`]: the breakable links between them.

pub mod process;
pub mod proxy;
