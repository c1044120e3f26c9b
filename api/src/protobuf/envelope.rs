//! The envelope around an object in protobuf: `k8s\0`, then apimachinery's `runtime.Unknown`.

use thiserror::Error;

use super::encode::message;
use super::wire::{self, Fields, Payload, put_bytes, put_message};
use crate::object::Object;
use crate::schema::{Schema, TypeId};

/// What a protobuf object begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// An opened envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `apiVersion`; may be empty.
    pub api_version: String,
    /// `kind`; may be empty.
    pub kind: String,
    /// The object's own message.
    pub raw: &'a [u8],
    /// How the message is compressed; empty in all that is known.
    pub content_encoding: String,
    /// What the message is if it is no protobuf.
    pub content_type: String,
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Nothing there.
    #[error("empty data")]
    NoData,
    /// It does not begin with [`MAGIC`].
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    /// Nothing behind it.
    #[error("empty body")]
    NoBody,
    /// The envelope itself is broken.
    #[error(transparent)]
    Message(#[from] wire::Error),
}

/// Opens an envelope.
///
/// # Errors
/// When it is none.
pub fn open(bytes: &[u8]) -> Result<Envelope<'_>, Error> {
    let body = match bytes.strip_prefix(MAGIC) {
        None if bytes.is_empty() => return Err(Error::NoData),
        None => return Err(Error::NoMagic),
        Some([]) => return Err(Error::NoBody),
        Some(body) => body,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (mut envelope, mut fields) = (Envelope::default(), Fields::of(body));
    while let Some((number, payload)) = fields.next()? {
        let Payload::Bytes(bytes) = payload else {
            if number <= 4 {
                return Err(wire::Error::Wire { wire: payload.wire(), field: "Unknown" }.into());
            }
            continue;
        };
        match number {
            1 => {
                let mut words = Fields::of(bytes);
                while let Some((number, payload)) = words.next()? {
                    match (number, payload) {
                        (1, Payload::Bytes(bytes)) => envelope.api_version = text(bytes),
                        (2, Payload::Bytes(bytes)) => envelope.kind = text(bytes),
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = bytes,
            3 => envelope.content_encoding = text(bytes),
            4 => envelope.content_type = text(bytes),
            _ => {}
        }
    }
    Ok(envelope)
}

/// An object of a built-in kind in its envelope.
pub fn seal(object: &Object, ty: TypeId) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    out.extend_from_slice(MAGIC);
    let version = object.kind.group_version().to_string();
    put_message(&mut out, 1, |out| {
        put_bytes(out, 1, version.as_bytes());
        put_bytes(out, 2, object.kind.kind.as_bytes());
    });
    put_message(&mut out, 2, |out| message(out, Schema::builtin(), ty, Some(&object.fields)));
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_envelope_is_refused_in_upstreams_words() {
        let said = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
        assert_eq!(said(b""), "empty data");
        assert_eq!(
            said(b"{}"),
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        );
        assert_eq!(said(b"k8s\0"), "empty body");
        assert_eq!(said(b"k8s\0\x0a\x05"), "unexpected EOF");
    }
}
