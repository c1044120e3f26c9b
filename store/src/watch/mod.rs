//! Watch: committed events to watchers, without ever slowing apply.

mod event;

pub use event::{Event, Kind, RevisionEvents};
