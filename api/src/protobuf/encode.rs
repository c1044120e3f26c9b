//! Objects to protobuf messages.

use super::codec;
use super::wire::{put_bytes, put_fixed64, put_message, put_varint};
use crate::base64;
use crate::json;
use crate::object::{Map, Value};
use crate::schema::{Codec, Part, Schema, Shape, TypeId};

/// A struct's message, behind what is there; values are in canonical form (`object`), and one that is not of its shape is
/// left out.
pub fn encode_into(out: &mut Vec<u8>, ty: TypeId, fields: &Map) {
    message(out, Schema::builtin(), ty, Some(fields));
}

pub(super) fn message(out: &mut Vec<u8>, schema: &Schema, id: TypeId, fields: Option<&Map>) {
    let ty = schema.ty(id);
    let present = ty.present(fields);
    for part in &ty.message {
        match part {
            Part::Embedded(inner, number) => put_message(out, *number, |out| message(out, schema, *inner, fields)),
            Part::Field(at) => {
                let field = &ty.fields[*at];
                let Some(number) = field.number else { continue };
                let shape = schema.shape(field.shape);
                match present[*at] {
                    Some(value) => shaped(out, schema, shape, number, value),
                    None if field.pointer => {}
                    None => absent(out, schema, shape, number),
                }
            }
        }
    }
}

/// What Go holds by value is written even when it is zero.
fn absent(out: &mut Vec<u8>, schema: &Schema, shape: Shape, number: u32) {
    match shape {
        Shape::Struct(ty) => put_message(out, number, |out| message(out, schema, ty, None)),
        Shape::Bytes | Shape::List(_) | Shape::Items(_) | Shape::Map(_) | Shape::Any => {}
        shape => shaped(out, schema, shape, number, &json::zero(shape)),
    }
}

pub(super) fn shaped(out: &mut Vec<u8>, schema: &Schema, shape: Shape, number: u32, value: &Value) {
    match (shape, value) {
        (Shape::Bool, Value::Bool(truth)) => put_varint(out, number, u64::from(*truth)),
        // Negative numbers of 32 bits are widened first: ten bytes.
        (Shape::Int32 | Shape::Int64, Value::Int(value)) => put_varint(out, number, *value as u64),
        (Shape::Float64, Value::Float(value)) => put_fixed64(out, number, value.to_bits()),
        (Shape::Float64, Value::Int(value)) => put_fixed64(out, number, (*value as f64).to_bits()),
        (Shape::String, Value::String(text)) => put_bytes(out, number, text.as_bytes()),
        (Shape::Bytes, Value::String(text)) => {
            put_bytes(out, number, &base64::decode(text).unwrap_or_default());
        }
        (Shape::Struct(ty), Value::Map(map)) => {
            put_message(out, number, |out| message(out, schema, ty, Some(map)));
        }
        (Shape::Codec(of), value) => put_message(out, number, |out| coded(out, schema, of, value)),
        (Shape::List(of), Value::List(elements)) => {
            let of = schema.shape(of);
            elements.iter().for_each(|each| shaped(out, schema, of, number, each));
        }
        (Shape::Items(of), value) => put_message(out, number, |out| {
            let of = schema.shape(of);
            value.as_list().unwrap_or_default().iter().for_each(|each| shaped(out, schema, of, 1, each));
        }),
        (Shape::Map(of), Value::Map(map)) => {
            let of = schema.shape(of);
            for (name, value) in map.iter() {
                put_message(out, number, |out| {
                    put_bytes(out, 1, name.as_bytes());
                    shaped(out, schema, of, 2, value);
                });
            }
        }
        _ => {}
    }
}

fn coded(out: &mut Vec<u8>, schema: &Schema, of: Codec, value: &Value) {
    codec::encode(out, of, value, |out, number, ty, map| {
        put_message(out, number, |out| message(out, schema, ty, Some(map)));
    });
}
