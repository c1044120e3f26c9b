//! Peers: raft's messages over gRPC, with a channel each for appends, snapshots and forwarded requests.
//!
//! Every call carries a [`hello`]: which cluster, who calls whom, from which data directory. What does not match is refused,
//! so that an address that was reused, a wiped disk or a copied one never takes part. Promises: every outstanding reply has
//! a deadline (openraft gives a hung stream none); a pre-vote is really sent, and a transport error never grants one.
//! Seam: `Dial` makes ways to addresses, so that a simulation can replace the network. Source: Raft §5.3, §9.6.

mod append;
mod client;
mod contact;
mod forward;
mod hello;
pub(crate) mod members;
mod metered;
pub(crate) mod probe;
mod server;
mod snapshot;
mod way;

pub use client::Dial;
pub(crate) use client::{Factory, Peers};
pub(crate) use contact::Contacts;
pub(crate) use forward::Forwarded;
pub(crate) use hello::{Identity, Incarnations};
pub(crate) use server::services;
pub use way::{Failure, InProcess, Way};
