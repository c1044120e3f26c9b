//! Faults: what is done to a cluster under load, a file for each.
//!
//! A fault is applied, is in force for its time, shows that it had an effect, and is undone. What it needs undone stands in
//! the run's ledger before it is done ([`ledger`]). Each step has a deadline. A fault without a witnessed effect has proved
//! nothing, and the checkers make the run unknown for it. Faults act from outside a member, on processes that the harness
//! started, and through etcd's API; none needs a target's source.

mod bandwidth;
mod clock;
mod compaction;
mod corrupt;
mod delay;
mod disk_full;
pub mod doctor;
mod error;
mod fail_fsync;
mod ground;
mod half_open;
mod kill;
mod lag;
pub mod ledger;
mod no_space;
mod one_way;
mod partition;
mod pause;
mod power_cut;
mod proc;
mod reset;
mod ring;
mod slow_fsync;
mod spec;
mod terminate;
mod tracer;
mod transfer;

use std::time::Duration;

pub(crate) use clock::environment as clock_environment;
pub use error::Error;
pub(crate) use ground::Ground;
pub use spec::{Damage, NAMES, Spec};

use crate::history::Figures;

/// How long a fault may take to come into force, its time aside.
pub(crate) const APPLY_WITHIN: Duration = Duration::from_secs(90);
/// How long its effect may take to be seen.
pub(crate) const WITNESS_WITHIN: Duration = Duration::from_secs(40);
/// How long it may take to be undone; a member that starts replays its log.
pub(crate) const HEAL_WITHIN: Duration = Duration::from_secs(60);

/// One fault of a run.
#[tonic::async_trait]
pub(crate) trait Fault: Send {
    /// Brings it into force on these members; figures say how much.
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error>;

    /// What has been seen of its effect; an error when nothing has.
    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error>;

    /// Whether the moment at which it is no longer in force is the one before it is undone: where a checker counts on every
    /// instant of it.
    fn ends_before_heal(&self) -> bool {
        false
    }

    /// Undoes it. Undoing what is not in force is nothing.
    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error>;
}

/// Figures from pairs.
pub(crate) fn figures<const N: usize>(pairs: [(&str, u64); N]) -> Figures {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), i64::try_from(value).unwrap_or(i64::MAX))).collect()
}
