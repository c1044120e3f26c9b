//! The nemesis: which fault, when, on whom, for how long.
//!
//! ```text
//! seed ──expand──▶ schedule (every choice spelled out; stands in the history's header) ──run──▶ faults, by role
//! ```
//! A schedule is replayed without its seed. Roles are resolved when a fault begins, for only then is it known who leads.

mod execute;
mod expand;
mod role;

pub(crate) use execute::{Done, execute};
pub use expand::{Menu, expand};
pub use role::Role;

use serde::{Deserialize, Serialize};

use crate::fault::Spec;

/// One fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Its number in the run, from 1.
    pub number: u64,
    /// When, milliseconds after the safety phase has begun.
    pub at_ms: u64,
    /// For how long it is in force, milliseconds.
    pub for_ms: u64,
    /// On whom.
    pub on: Role,
    /// What.
    pub fault: Spec,
}
