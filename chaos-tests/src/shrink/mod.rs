//! Makes what violates a guarantee smaller: the schedule of a run, by running it again, or a history, by its checker.
//!
//! ```text
//! Delta: which of these things are needed?    PlanSearch: faults ▸ times ▸ clients    history::shrink: watches, operations, …
//! ```
//! The searches ask and are told; what answers, a cluster or a checker, is somebody else's ([`crate::run::minimize`] asks
//! clusters). Each ends at something of which no single part can be left out, or where its bounds are.
//! Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), of which this keeps the half
//! that tries complements.

mod delta;
mod history;
mod plan;

pub use delta::Delta;
pub use history::{Shrunk, shrink};
pub use plan::PlanSearch;
