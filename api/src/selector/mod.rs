//! Selectors: which objects a list or a watch is about.
//!
//! [`Labels`] reads the label syntax and `LabelSelector` objects, [`Fields`] the field syntax; [`attributes`] knows which
//! field labels each kind has and where their values are. Both match without allocation.
//! Source: apimachinery `pkg/labels/selector.go`, `pkg/fields/selector.go`.

pub mod attributes;
mod field;
mod label;
pub mod label_words;

pub use field::{Fields, Term};
pub use label::{Labels, Operator, Requirement};
