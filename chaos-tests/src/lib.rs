//! Fairlead's proving ground: clusters, what is done to them, and whether they kept their promises.
//!
//! ```text
//! scenario ─▶ plan ─▶ run: cluster ◀── traffic, nemesis ──▶ history (a file) ─▶ check ─▶ verdicts
//! ```
//! [`cluster::process`] starts members of Fairlead or of a real etcd on loopback; [`cluster::proxy`] stands on every link and
//! breaks it on request; [`cluster::sim`] runs whole members in this process and cuts their power. [`traffic`] asks, [`fault`]
//! and [`nemesis`] break, [`record`] writes the [`history`] that [`check`] judges by [`model`]; [`run`] puts it together,
//! [`scenario`] has the plans by name; [`page`] reads metrics. `fairlead demo` and `fairlead chaos` use it as a library.
//! Does not: reach into a member (what it does to one, it does from outside, or through the store's seams).

pub mod check;
pub mod cluster;
pub mod fault;
pub mod history;
pub mod model;
pub mod nemesis;
pub mod page;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod shrink;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod traffic;
