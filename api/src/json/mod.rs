//! JSON in and out, driven by the schema.
//!
//! The way in: [`interpret()`] finds out what a body says it is; [`decode()`] makes an object of a built-in type of it,
//! [`decode_free`] one of a custom resource. The way out: [`encode()`]. Both are exact to the byte and the word: see there.

mod codec;
mod decode;
mod encode;
mod error;
mod indent;
mod interpret;
mod reader;
mod scan;

pub use decode::{Decoded, PROBLEMS_MAX, Unknown, decode, decode_free, decode_value};
pub(crate) use decode::{is_zero, zero};
pub use encode::{encode, encode_into, encode_value};
pub use error::Error;
pub use indent::indent;
pub use interpret::{Interpreted, NoKind, interpret};
pub(crate) use reader::{Reader, Token};
pub use scan::{DEPTH_MAX, SyntaxError, validate};

#[cfg(test)]
mod json_test;
