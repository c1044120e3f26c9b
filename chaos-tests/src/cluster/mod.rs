//! Clusters under test.
//!
//! [`process`]: members as real processes; [`proxy`]: the breakable links between them; [`sim`]: members in this process, on
//! disks in memory whose power can be cut.

pub mod process;
pub mod proxy;
pub mod sim;
