//! Members as real processes on loopback: start, kill -9, SIGTERM, pause, resume, restart, partition.
//!
//! The same code runs Fairlead and a real etcd ([`Target`]): both take etcd's flags and log etcd's line when they are ready.
//! Ports are free ones and stay reserved while the cluster lives; data and logs are in one folder. Nothing is left behind:
//! dropping a [`Cluster`] kills its members, and a guard process does the same should this process die (`guard`).
//!
//! ```no_run
//! # async fn example() -> Result<(), fairlead_chaos_tests::cluster::process::Error> {
//! use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
//! let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
//! cluster.member("n1")?.kill().await?;
//! cluster.member("n1")?.restart().await?;
//! cluster.partition(&[&["n1"], &["n2", "n3"]])?;
//! cluster.heal();
//! cluster.shutdown().await
//! # }
//! ```

mod cluster;
mod disk;
mod error;
mod guard;
mod member;
mod output;
pub(in crate::cluster) mod ports;
mod target;

pub use cluster::{Cluster, Config};
pub use disk::Disks;
pub use error::Error;
pub use member::{Member, State, Terminated};
pub use target::Target;
