//! Members by id: names, URLs, and whether they learn.
//!
//! Membership is raft's; attributes are here, in `Family::Members`, written by apply in the entry's own batch.

mod id;
mod table;

pub use id::{cluster_id, member_id};
pub use table::{Error, Members, key, record};
