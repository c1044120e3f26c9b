//! Fairlead's proving ground: clusters of real processes, and what is done to them.
//!
//! [`cluster::process`] starts members of Fairlead or of a real etcd on loopback and kills, pauses, ends and restarts them;
//! [`cluster::proxy`] stands on every link between members and breaks it on request; [`cluster::sim`] runs whole members in
//! this process and cuts their power. The suites that use them are in `tests/`;
//! `fairlead demo` uses them as a library.
//! [`page`] reads their metrics.
//! Does not: know what a correct answer is (the tests do), nor reach into a member (what it does to one, it does from outside,
//! or through the store's seams).

pub mod cluster;
pub mod page;
pub mod traffic;
