//! Fairlead's apiserver, as a library.
//!
//! [`storage`] keeps objects in an etcd v3 store, ours or a real one; [`cacher`] serves their readers and watchers from one
//! watch of it per resource.
//! Does not: speak HTTP yet, know any kind of object, or know which of the two stores it is.

pub mod cacher;
pub mod storage;
