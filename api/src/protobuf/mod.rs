//! Protobuf in and out, driven by the schema, with the quirks of upstream's generated code.
//!
//! An object travels in an envelope: four magic bytes, then a message that names version and kind and holds the object's
//! own message ([`envelope`]). In that message fields stand by number; what Go holds by value is always written, zero or
//! not, structs too; what it holds by pointer only when it is there; maps are repeated entries, sorted; numbers in lists are
//! not packed. Embedded structs are messages of their own, though JSON shows their fields in the struct around them.
//!
//! Promises: bytes that upstream wrote come back the same, and are the same when made from upstream's JSON of the object.
//! Decoding never panics and never recurses deeper than [`DEPTH_MAX`]. Fields that the schema does not know are dropped, as
//! upstream drops them. JSON that upstream keeps as bytes (`RawExtension`, `FieldsV1`) must be JSON here.
//! Does not: keep text that is no UTF-8; bad bytes are replaced.
//! Source: `generated.pb.go` of each group, apimachinery `pkg/runtime/serializer/protobuf`.

mod codec;
mod decode;
mod encode;
pub mod envelope;
mod wire;

pub use decode::{DEPTH_MAX, decode};
pub use encode::encode_into;
pub use wire::Error;
