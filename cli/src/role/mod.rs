//! What the one binary can be: a file per subcommand.

pub(crate) mod bench;
pub(crate) mod chaos;
pub(crate) mod demo;
pub(crate) mod snapshot;
pub(crate) mod store;
