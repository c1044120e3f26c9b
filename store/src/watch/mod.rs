//! Watch: committed events to watchers, without ever slowing apply. See `hub`.

mod batch;
mod config;
mod event;
#[cfg(test)]
pub(crate) mod fake;
mod group;
mod hub;
#[cfg(test)]
mod hub_test;
mod index;
mod interval;
mod pass;
mod pipe;
mod range;
mod recent;
mod source;
mod stats;
mod stream;
mod watcher;

pub use batch::{Delivery, Output};
pub use config::{Config, ConfigError, PROGRESS_INTERVAL_MIN};
pub use event::{Event, Kind, RevisionEvents};
pub use hub::Hub;
pub use range::{End, Filters, KeyRange};
pub use source::{Source, SourceError};
pub use stats::Stats;
pub use stream::{Created, Refused, Stream};
pub use watcher::Spec;
