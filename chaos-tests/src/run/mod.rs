//! One run: a plan goes in, a history and its verdicts come out.
//!
//! ```text
//! warm-up ─▶ safety (faults) ─▶ heal ─▶ liveness ─▶ end: final reads, hashes, logs ─▶ nothing left ─▶ judged ─▶ report
//! ```
//! Promises: the history holds the whole plan; what the harness fails at makes the run inconclusive and never a pass; when
//! it returns, no process, mount, folder or ledger of it is left, and it has looked. A run that is dropped half-way leaves
//! nothing either.
//! Does not: choose what to do ([`crate::scenario`]), know what a report looks like ([`crate::report`]).

pub(crate) mod committed;
mod error;
mod finals;
mod left;
mod logs;
pub mod minimize;
mod outcome;
mod plan;
mod run_plan;
pub mod soak;
pub mod target;
mod watcher;

pub use error::Error;
pub(crate) use outcome::overall;
pub use outcome::{Ran, Verdict, check_file, judge_history};
pub use plan::Plan;
pub use run_plan::{Options, replay_plan, run};
