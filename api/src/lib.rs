//! The object model of the Kubernetes API, level 1.36: no I/O, no clock, no state but the registry of resources.
//!
//! Everything goes by one table, made from upstream's own Go types ([`schema`]): JSON, YAML and protobuf of every built-in
//! kind, what is left out when empty, how lists merge, where a resource is stored. Fixtures that upstream's code encoded
//! prove the codecs for every kind, byte for byte.
//!
//! The rooms: [`object`] is the value in memory; [`json`], [`yaml`] and [`protobuf`] its forms; [`splice`] reads and edits
//! encoded objects without decoding them; [`quantity`], [`time`], [`selector`], [`resource_version`] and [`gvk`] the words in
//! it; [`status`] the errors that clients see; [`table`] the columns that kubectl prints.
//!
//! Does not: validate objects, fill in defaults, merge patches, convert versions, serve anything.

mod base64;
pub mod field;
pub mod gvk;
pub mod json;
pub mod object;
pub mod protobuf;
pub mod quantity;
pub mod resource_version;
pub mod schema;
pub mod selector;
pub mod splice;
pub mod status;
mod text;
pub mod time;
pub mod yaml;
