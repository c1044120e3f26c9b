//! YAML in and out, by way of JSON, as upstream has it.
//!
//! The way in: [`to_json`], then `json::decode`. The way out: `json::encode`, then [`from_json`]. So there is one decoder and
//! one encoder, and YAML only has to agree with upstream on what a scalar means and how text is quoted.

mod emit;
mod parse;
mod resolve;
mod scalar;

pub use emit::from_json;
pub use parse::{Converted, Error, to_json};
