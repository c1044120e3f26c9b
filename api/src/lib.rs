//! The object model of the Kubernetes API, level 1.36: no I/O, no clock, no state but the registry of resources.
//!
//! Everything goes by one table, made from upstream's own Go types ([`schema`]): JSON, YAML and protobuf of every built-in
//! kind, what is left out when empty, how lists merge, where a resource is stored. Fixtures that upstream's code encoded
//! prove the codecs for every kind, byte for byte.
//!
//! The rooms: [`object`] is the value in memory; [`json`], [`yaml`] and [`protobuf`] are its forms, [`body`] the door to all
//! three and [`media`] how clients ask for one; [`splice`] reads and edits encoded objects without decoding them;
//! [`quantity`], [`time`], [`selector`], [`resource_version`] and [`gvk`] are the words in it; [`status`] and [`field`] the
//! errors that clients see; [`table`] the columns that kubectl prints.
//!
//! Does not: validate objects, fill in defaults, merge patches, convert versions, serve anything.
//!
//! ```
//! use fairlead_api::body::{self, Form};
//! use fairlead_api::json::Unknown;
//!
//! let text = br#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"nodeNmae":"n"}}"#;
//! let body = body::decode(text, Form::Json, None, Unknown::Report)?;
//! assert_eq!(body.object.name(), "a");
//! assert_eq!(body.problems, [r#"unknown field "spec.nodeNmae""#]);
//! let yaml = body::encode(&body.object, Form::Yaml).expect("everything has YAML");
//! assert!(yaml.starts_with(b"apiVersion: v1\nkind: Pod\n"));
//! # Ok::<(), body::Error>(())
//! ```

mod base64;
pub mod body;
pub mod field;
pub mod gvk;
pub mod json;
pub mod media;
pub mod object;
pub mod protobuf;
pub mod quantity;
pub mod resource_version;
pub mod schema;
pub mod selector;
pub mod splice;
pub mod status;
pub mod table;
mod text;
pub mod time;
pub mod yaml;
