//! One load generator for Fairlead and for a real etcd: both in turn, in one run, by the same clients.
//!
//! ```text
//! Options ─▶ run: for each workload, for each repetition, for each target in turn ─▶ Sample ─▶ Report: medians, ratios, aims
//! ```
//! [`target`] is whom: a program whose members are started on loopback, or members that run already. [`workload`] has what is
//! asked by name, over plain tonic clients; [`latency`], [`sample`] and [`ratio`] count; [`aim`] holds what Fairlead promises
//! beside etcd; [`report`] shows it as text, Markdown or JSON. `fairlead bench` is its command line.
//!
//! Promises: a figure comes with its errors, and one that proves nothing (errors above a bound, an event missing, a server that
//! does not sync) is marked invalid. Everything is bounded in count and time, and nothing is left behind.
//! Does not: know an optimisation of ours, or say anything of machines other than this one. Ratios of one run travel; absolute
//! figures do not.

pub mod aim;
mod closed_loop;
mod connect;
mod error;
pub mod latency;
pub mod ratio;
pub mod report;
pub mod run;
pub mod sample;
pub mod target;
mod values;
pub mod workload;

pub use error::Error;
