//! Fairlead's apiserver, as a library.
//!
//! [`storage`] keeps objects in an etcd v3 store, ours or a real one.
//! Does not: speak HTTP yet, know any kind of object, or know which of the two stores it is.

pub mod storage;
