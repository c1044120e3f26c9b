//! What the store is, as a pure function: requests in the order of their revisions go in, answers and states come out.
//!
//! [`Store`] keeps every version of every key, so that a replay has the state at each revision; [`generate`] makes histories
//! of it, as many clients would have seen them, and [`mutate`] spoils them. Facts: etcd's API guarantees and
//! `server/storage/mvcc`. Does not: model quotas, auth, sort orders or filters by revision; keep time (a lease ends when it
//! is told to).

pub mod generate;
pub mod mutate;
pub mod random;
mod store;

pub use store::{Applied, FIRST_REVISION, Lease, Store};
