//! The envelope around an object in protobuf: `k8s\0`, then apimachinery's `runtime.Unknown`.

use thiserror::Error;

use super::encode::message;
use super::wire::{self, Fields, Payload, put_bytes, put_message};
use crate::gvk::GroupVersionKind;
use crate::object::{Map, Object};
use crate::schema::{Schema, Shape, TypeId};

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
    enveloped(&object.kind, |out| message(out, Schema::builtin(), ty, Some(&object.fields)))
}

fn enveloped(kind: &GroupVersionKind, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    out.extend_from_slice(MAGIC);
    let version = kind.group_version().to_string();
    put_message(&mut out, 1, |out| {
        put_bytes(out, 1, version.as_bytes());
        put_bytes(out, 2, kind.kind.as_bytes());
    });
    put_message(&mut out, 2, body);
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    out
}

/// A list in its envelope, spliced of the messages of its items; `metadata` is that of the list. `None` when the kind is
/// no list of the schema.
pub fn seal_list<'i>(
    kind: &GroupVersionKind,
    metadata: &Map,
    items: impl IntoIterator<Item = &'i [u8]>,
) -> Option<Vec<u8>> {
    let schema = Schema::builtin();
    let ty = schema.ty(schema.kind(kind)?);
    let (field, items_number) = (ty.field("metadata")?, ty.field("items")?.number?);
    let Shape::Struct(list_meta) = schema.shape(field.shape) else { return None };
    let metadata_number = field.number?;
    Some(enveloped(kind, |out| {
        put_message(out, metadata_number, |out| message(out, schema, list_meta, Some(metadata)));
        items.into_iter().for_each(|item| put_bytes(out, items_number, item));
    }))
}

/// A frame of a protobuf watch, behind what is there: four bytes of length, then a WatchEvent whose object is in an envelope
/// of its own, as [`seal`] makes it. The event itself has none.
pub fn watch_frame(out: &mut Vec<u8>, event: &str, sealed: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put_bytes(out, 1, event.as_bytes());
    put_message(out, 2, |out| put_bytes(out, 1, sealed));
    // An object is far below four gigabytes: requests are bounded by megabytes.
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Unknown};

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

    fn decode(kind: &GroupVersionKind, text: &str) -> (Object, TypeId) {
        let ty = Schema::builtin().kind(kind).unwrap();
        let fields = json::decode(ty, text.as_bytes(), Unknown::Report).unwrap().fields;
        (Object { kind: kind.clone(), fields }, ty)
    }

    #[test]
    fn a_spliced_list_is_the_list_encoded_as_a_whole() {
        let (pod, pods) = (GroupVersionKind::of("", "v1", "Pod"), GroupVersionKind::of("", "v1", "PodList"));
        let items = [r#"{"metadata":{"name":"a"}}"#, r#"{"metadata":{"name":"b"},"status":{"phase":"Running"}}"#];
        let messages = items.map(|item| {
            let (object, ty) = decode(&pod, item);
            open(&seal(&object, ty)).unwrap().raw.to_vec()
        });
        let whole = format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{}]}}"#, items.join(","));
        let (list, ty) = decode(&pods, &whole);
        let metadata = list.metadata().unwrap();
        let spliced = seal_list(&pods, metadata, messages.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(spliced, seal(&list, ty));
        assert_eq!(seal_list(&pod, metadata, []), None);
    }

    #[test]
    fn a_watch_frame_holds_a_bare_event_around_a_sealed_object() {
        let (object, ty) = decode(&GroupVersionKind::of("", "v1", "Pod"), r#"{"metadata":{"name":"a"}}"#);
        let sealed = seal(&object, ty);
        let mut frame = Vec::new();
        watch_frame(&mut frame, "ADDED", &sealed);
        let (length, body) = frame.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
        let mut fields = Fields::of(body);
        assert_eq!(fields.next(), Ok(Some((1, Payload::Bytes(b"ADDED")))));
        let Ok(Some((2, Payload::Bytes(raw)))) = fields.next() else { panic!("no object") };
        assert_eq!(Fields::of(raw).next(), Ok(Some((1, Payload::Bytes(&sealed[..])))));
    }
}
