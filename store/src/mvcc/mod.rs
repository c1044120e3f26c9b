//! MVCC: every key at every revision that is not compacted.
//!
//! ```text
//! apply ──▶ Writer ──begin──▶ Group (overlay) ──commit──▶ engine (one batch) ──▶ events for the hub
//! rpc, watch ──▶ Mvcc ──read──▶ View (engine snapshot)
//! compactor ──▶ Base, Graves, History (rows that no readable revision needs)
//! ```
//! Promises: one change is one revision; a revision and its rows are seen together or not at all; what was readable at a
//! revision stays the same until it is compacted. Synchronous, no clock, no disk but an [`crate::engine::Engine`].
//! Does not: know who may do what, raft, or leases but for the keys that hang on them.
//! Source: etcd `server/storage/mvcc`.

mod change;
mod compact;
mod count;
mod error;
mod events;
mod fence;
mod graves;
mod hash;
mod header_cache;
mod key_range;
mod live;
mod metrics;
mod overlay;
mod range;
mod record;
mod revision;
mod rows;
mod size;
mod store;
mod txn;
mod view;
mod watch_source;
mod writer;

#[cfg(test)]
mod compact_test;
#[cfg(test)]
mod hash_test;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod rules_test;

pub use compact::{Compactor, Removal, removal_of};
pub use error::Error;
pub use hash::Hashed;
pub use metrics::Metrics;
pub use range::{Ranged, Spliced};
pub use revision::{Revision, revision_of};
pub use size::Sizes;
pub use store::{Config, Mvcc};
pub use view::View;
pub use writer::{Answer, Group, Writer};
