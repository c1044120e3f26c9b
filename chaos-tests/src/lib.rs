//! Fairlead's proving ground: clusters of real processes, and what is done to them.
//!
//! [`cluster::process`] starts members of Fairlead or of a real etcd on loopback and kills, pauses, ends and restarts them;
//! [`cluster::proxy`] stands on every link between members and breaks it on request. The suites that use them are in `tests/`;
//! `fairlead demo` uses them as a library.
//! Does not: know what a correct answer is (the tests do), nor reach into a member (what it does to one, it does from outside).

pub mod check;
pub mod cluster;
pub mod history;
pub mod model;
pub mod traffic;
