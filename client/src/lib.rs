//! Clients of the house.
//!
//! [`etcd`] speaks etcd's gRPC API, to Fairlead's store as well as to etcd itself.

pub mod etcd;
