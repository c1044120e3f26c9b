//! Objects to JSON: Go's field order, Go's `omitempty`, Go's escapes, byte for byte.
//!
//! Promises: an object in canonical form (`object`) becomes what upstream's `json.Encoder` writes of the Go object; custom
//! resources and free values print with sorted keys. No line end is added. Cannot fail: a value that does not fit its shape
//! is printed as it is.
//! Source: Go `encoding/json/encode.go`.

use super::scan::is_space;
use crate::gvk::GroupVersionKind;
use crate::object::{Map, Object, Value};
use crate::schema::{Codec, Field, Omit, Schema, Shape, TypeId};

/// An object with its kind and version; `ty` is `None` for a custom resource.
pub fn encode(object: &Object, ty: Option<TypeId>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    encode_into(&mut out, object, ty);
    out
}

/// The same, behind what is there.
pub fn encode_into(out: &mut Vec<u8>, object: &Object, ty: Option<TypeId>) {
    match ty {
        Some(ty) => structure(out, Schema::builtin(), ty, Some(&object.fields), Some(&object.kind)),
        None => free_object(out, object),
    }
}

/// Any value, without a schema.
pub fn encode_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => integer(out, *number),
        Value::Float(number) => float(out, *number),
        Value::String(text) => string(out, text),
        Value::Raw(text) => raw(out, text),
        Value::List(elements) => list(out, elements, encode_value),
        Value::Map(map) => free_map(out, map),
    }
}

fn free_map(out: &mut Vec<u8>, map: &Map) {
    members(out, map.iter(), encode_value);
}

/// Sorted keys, `apiVersion` and `kind` among them.
fn free_object(out: &mut Vec<u8>, object: &Object) {
    let version = Value::String(object.kind.group_version().to_string());
    let kind = Value::String(object.kind.kind.to_string());
    let mut own = [("apiVersion", &version), ("kind", &kind)].into_iter().peekable();
    let mut fields = object.fields.iter().filter(|(name, _)| !matches!(*name, "apiVersion" | "kind")).peekable();
    let merged = std::iter::from_fn(|| match (own.peek(), fields.peek()) {
        (Some((name, _)), Some((field, _))) if name > field => fields.next(),
        (Some(_), _) => own.next(),
        (None, _) => fields.next(),
    });
    members(out, merged, encode_value);
}

fn members<'a>(
    out: &mut Vec<u8>,
    members: impl Iterator<Item = (&'a str, &'a Value)>,
    value: impl Fn(&mut Vec<u8>, &Value),
) {
    out.push(b'{');
    for (at, (name, each)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        value(out, each);
    }
    out.push(b'}');
}

fn list(out: &mut Vec<u8>, elements: &[Value], value: impl Fn(&mut Vec<u8>, &Value)) {
    out.push(b'[');
    for (at, each) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        value(out, each);
    }
    out.push(b']');
}

/// A struct; `kind` stands for the fields `kind` and `apiVersion` of an object at the root.
fn structure(out: &mut Vec<u8>, schema: &Schema, id: TypeId, fields: Option<&Map>, kind: Option<&GroupVersionKind>) {
    let ty = schema.ty(id);
    let present = ty.present(fields);
    out.push(b'{');
    let mut empty = true;
    for (field, value) in ty.fields.iter().zip(&present) {
        let said = match (kind, field.name) {
            (Some(kind), "kind") => Some(Value::from(kind.kind.as_ref())),
            (Some(kind), "apiVersion") => Some(Value::String(kind.group_version().to_string())),
            _ => None,
        };
        let value = said.as_ref().or(*value);
        let shape = schema.shape(field.shape);
        if is_left_out(field, shape, value) {
            continue;
        }
        // Names of the table have nothing to escape.
        out.extend_from_slice(if empty { b"\"" } else { b",\"" });
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Some(value) => shaped(out, schema, shape, value),
            None if field.pointer => out.extend_from_slice(b"null"),
            None => absent(out, schema, shape),
        }
        empty = false;
    }
    out.push(b'}');
}

fn is_left_out(field: &Field, shape: Shape, value: Option<&Value>) -> bool {
    if field.pointer {
        return value.is_none() && field.omit != Omit::Never;
    }
    let is_struct = matches!(shape, Shape::Struct(_) | Shape::Codec(_));
    match field.omit {
        Omit::Never => false,
        Omit::Empty => !is_struct && value.is_none_or(is_empty),
        Omit::Zero => value.is_none_or(|value| !is_struct && is_empty(value)),
    }
}

/// Go's `omitempty`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::List(elements) => elements.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Raw(_) => false,
    }
}

fn absent(out: &mut Vec<u8>, schema: &Schema, shape: Shape) {
    match shape {
        Shape::Struct(ty) => structure(out, schema, ty, None, None),
        shape => encode_value(out, &super::decode::zero(shape)),
    }
}

fn shaped(out: &mut Vec<u8>, schema: &Schema, shape: Shape, value: &Value) {
    match (shape, value) {
        (Shape::Struct(ty), Value::Map(map)) => structure(out, schema, ty, Some(map), None),
        (Shape::List(of) | Shape::Items(of), Value::List(elements)) => {
            let of = schema.shape(of);
            list(out, elements, |out, each| shaped(out, schema, of, each));
        }
        (Shape::Map(of), Value::Map(map)) => {
            let of = schema.shape(of);
            members(out, map.iter(), |out, each| shaped(out, schema, of, each));
        }
        (Shape::Float64, Value::Int(number)) => float(out, *number as f64),
        (Shape::Codec(codec), value) => coded(out, schema, codec, value),
        (_, value) => encode_value(out, value),
    }
}

fn coded(out: &mut Vec<u8>, schema: &Schema, codec: Codec, value: &Value) {
    match (codec, value) {
        (Codec::SchemaOrBool(ty) | Codec::SchemaOrArray(ty) | Codec::SchemaOrStrings(ty), Value::Map(map)) => {
            structure(out, schema, ty, Some(map), None);
        }
        // Upstream looks at the list's length, and prints the schema that is not there.
        (Codec::SchemaOrArray(_) | Codec::SchemaOrStrings(_), Value::List(elements)) if elements.is_empty() => {
            out.extend_from_slice(b"null");
        }
        (Codec::SchemaOrArray(ty), Value::List(elements)) => {
            list(out, elements, |out, each| shaped(out, schema, Shape::Struct(ty), each));
        }
        (_, value) => encode_value(out, value),
    }
}

fn integer(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// The shortest text that is this number: with an exponent below 1e-6 and from 1e21 on, as in JavaScript.
fn float(out: &mut Vec<u8>, number: f64) {
    let size = number.abs();
    let text = match size == 0.0 || (1e-6..1e21).contains(&size) {
        true => format!("{number}"),
        false => {
            let text = format!("{number:e}");
            if text.contains("e-") { text } else { text.replace('e', "e+") }
        }
    };
    out.extend_from_slice(text.as_bytes());
}

/// Text with quotes; what HTML and JavaScript would take amiss is escaped, as Go does.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            8 => b"\\b",
            12 => b"\\f",
            0..0x20 | b'<' | b'>' | b'&' => b"",
            0xe2 if matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match (escape, byte) {
            (b"", 0xe2) => {
                out.extend_from_slice(if bytes[at + 2] == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                start = at + 3;
            }
            (b"", byte) => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
            (escape, _) => out.extend_from_slice(escape),
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

fn hex(digit: u8) -> u8 {
    b"0123456789abcdef"[usize::from(digit)]
}

/// JSON that is kept as it came, without its blanks and with HTML's letters escaped.
fn raw(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let (mut within, mut skip) = (false, 0);
    for (at, byte) in bytes.iter().enumerate() {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        match byte {
            b'<' | b'>' | b'&' => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
            0xe2 if matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) => {
                out.extend_from_slice(if bytes[at + 2] == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                skip = 2;
            }
            b'\\' if within => {
                out.push(*byte);
                out.extend(bytes.get(at + 1));
                skip = 1;
            }
            byte if !within && is_space(*byte) => {}
            byte => {
                within ^= *byte == b'"';
                out.push(*byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Value) -> String {
        let mut out = Vec::new();
        encode_value(&mut out, &value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        for line in include_str!("../../tests/fixtures/floats.txt").lines() {
            let (_, expected) = line.split_once(" => ").unwrap();
            assert_eq!(text(Value::Float(expected.parse().unwrap())), expected);
        }
    }

    #[test]
    fn text_is_escaped_as_go_escapes_it() {
        assert_eq!(
            text(Value::from("a\"\\\n\u{1}<&>\u{2028}é\u{7f}")),
            "\"a\\\"\\\\\\n\\u0001\\u003c\\u0026\\u003e\\u2028é\u{7f}\""
        );
    }

    #[test]
    fn raw_json_loses_blanks_outside_of_text_only() {
        let value = Value::Raw("{ \"a b\" : [ 1, \"<\\\" >\" ] }".into());
        assert_eq!(text(value), r#"{"a b":[1,"\u003c\" \u003e"]}"#);
    }

    #[test]
    fn custom_resources_print_sorted_with_their_kind_among_the_keys() {
        let fields = [("spec", Value::Int(1)), ("a", Value::Int(2)), ("apiZ", Value::Null)].into_iter().collect();
        let object = Object { kind: GroupVersionKind::of("example.com", "v1", "Foo"), fields };
        assert_eq!(
            String::from_utf8(encode(&object, None)).unwrap(),
            r#"{"a":2,"apiVersion":"example.com/v1","apiZ":null,"kind":"Foo","spec":1}"#
        );
    }
}
