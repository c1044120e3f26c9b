//! The messages of the types that are not simply their fields.
//!
//! Source: apimachinery `resource/quantity_proto.go`, `meta/v1/time_proto.go`, `micro_time_proto.go`, `generated.pb.go` of
//! `intstr`, `runtime`, `meta/v1` and apiextensions `v1`.

use super::wire::{Error, Fields, Payload, put_bytes, put_varint};
use crate::json;
use crate::object::{Map, Value};
use crate::quantity::Quantity;
use crate::schema::{Codec, TypeId};
use crate::time::{Duration, Instant, Precision};

const NANOS_A_MICRO: u32 = 1_000;

/// The body of a value's message; `schema` writes a struct as a field.
pub(super) fn encode(out: &mut Vec<u8>, codec: Codec, value: &Value, schema: impl Fn(&mut Vec<u8>, u32, TypeId, &Map)) {
    match (codec, value) {
        (Codec::Quantity, Value::String(text)) => put_bytes(out, 1, text.as_bytes()),
        (Codec::Time, Value::String(text)) => put_instant(out, text, Precision::Seconds),
        (Codec::MicroTime, Value::String(text)) => put_instant(out, text, Precision::Micros),
        (Codec::Duration, Value::String(text)) => {
            let nanos = Duration::parse(text).unwrap_or_default().0;
            put_varint(out, 1, nanos as u64);
        }
        (Codec::IntOrString, value) => {
            let (number, text) = (value.as_int(), value.as_str());
            put_varint(out, 1, u64::from(text.is_some()));
            put_varint(out, 2, number.unwrap_or_default() as u64);
            put_bytes(out, 3, text.unwrap_or_default().as_bytes());
        }
        (Codec::FieldsV1 | Codec::RawExtension | Codec::Json, Value::Raw(text)) => put_bytes(out, 1, text.as_bytes()),
        (Codec::FieldsV1 | Codec::RawExtension | Codec::Json, value) if *value != Value::Null => {
            let mut text = Vec::new();
            json::encode_value(&mut text, value);
            put_bytes(out, 1, &text);
        }
        (Codec::SchemaOrBool(ty), value) => {
            put_varint(out, 1, u64::from(*value != Value::Bool(false)));
            if let Value::Map(map) = value {
                schema(out, 2, ty, map);
            }
        }
        (Codec::SchemaOrArray(ty) | Codec::SchemaOrStrings(ty), Value::Map(map)) => schema(out, 1, ty, map),
        (Codec::SchemaOrArray(ty), Value::List(elements)) => {
            elements.iter().filter_map(Value::as_map).for_each(|map| schema(out, 2, ty, map));
        }
        (Codec::SchemaOrStrings(_), Value::List(elements)) => {
            elements.iter().filter_map(Value::as_str).for_each(|text| put_bytes(out, 2, text.as_bytes()));
        }
        _ => {}
    }
}

fn put_instant(out: &mut Vec<u8>, text: &str, precision: Precision) {
    let instant = Instant::parse(text, precision).unwrap_or(Instant::ZERO);
    put_varint(out, 1, instant.seconds as u64);
    put_varint(out, 2, u64::from(instant.nanos));
}

/// A value out of its message's body; `schema` reads a struct.
pub(super) fn decode(
    codec: Codec,
    body: &[u8],
    mut schema: impl FnMut(TypeId, &[u8]) -> Result<Map, Error>,
) -> Result<Value, Error> {
    match codec {
        Codec::Quantity => {
            let text = last_bytes(body, 1)?;
            let Some(text) = text else { return Ok(json::zero(crate::schema::Shape::Codec(codec))) };
            let quantity =
                Quantity::parse(&String::from_utf8_lossy(text)).map_err(|error| Error::Value(error.to_string()))?;
            Ok(Value::String(quantity.to_string()))
        }
        Codec::Time => instant(body, Precision::Seconds),
        Codec::MicroTime => instant(body, Precision::Micros),
        Codec::Duration => {
            let nanos = last_varint(body, 1)?.unwrap_or_default() as i64;
            Ok(Value::String(Duration(nanos).to_string()))
        }
        Codec::IntOrString => match last_varint(body, 1)?.unwrap_or_default() {
            0 => Ok(Value::Int(i64::from(last_varint(body, 2)?.unwrap_or_default() as i32))),
            _ => Ok(Value::String(String::from_utf8_lossy(last_bytes(body, 3)?.unwrap_or_default()).into_owned())),
        },
        Codec::FieldsV1 | Codec::RawExtension | Codec::Json => match last_bytes(body, 1)? {
            None | Some([]) => Ok(Value::Null),
            Some(raw) => {
                json::validate(raw).map_err(|error| Error::Value(error.to_string()))?;
                Ok(Value::Raw(String::from_utf8_lossy(raw).into()))
            }
        },
        Codec::SchemaOrBool(ty) => match last_bytes(body, 2)? {
            Some(of) => Ok(Value::Map(schema(ty, of)?)),
            None => Ok(Value::Bool(last_varint(body, 1)?.unwrap_or_default() != 0)),
        },
        Codec::SchemaOrArray(ty) => schema_or(body, ty, &mut schema, |schema, each| Ok(Value::Map(schema(ty, each)?))),
        Codec::SchemaOrStrings(ty) => {
            schema_or(body, ty, &mut schema, |_, each| Ok(Value::String(String::from_utf8_lossy(each).into_owned())))
        }
    }
}

fn schema_or<S: FnMut(TypeId, &[u8]) -> Result<Map, Error>>(
    body: &[u8],
    ty: TypeId,
    schema: &mut S,
    element: impl Fn(&mut S, &[u8]) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let (mut fields, mut elements, mut one) = (Fields::of(body), Vec::new(), Value::Null);
    while let Some((number, payload)) = fields.next()? {
        match (number, payload) {
            (1, Payload::Bytes(of)) => one = Value::Map(schema(ty, of)?),
            (2, Payload::Bytes(each)) => elements.push(element(schema, each)?),
            _ => {}
        }
    }
    // As upstream's JSON: the list counts, if it has elements.
    Ok(if elements.is_empty() { one } else { Value::List(elements) })
}

fn instant(body: &[u8], precision: Precision) -> Result<Value, Error> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let seconds = last_varint(body, 1)?.unwrap_or_default() as i64;
    let nanos = last_varint(body, 2)?.unwrap_or_default() as u32;
    let nanos = match precision {
        Precision::Seconds => 0,
        Precision::Micros => nanos.min(999_999_999) / NANOS_A_MICRO * NANOS_A_MICRO,
    };
    // Beyond years of four digits upstream prints what it does not read again.
    if !(Instant::ZERO.seconds..253_402_300_800).contains(&seconds) {
        return Err(Error::Value(format!("time {seconds} is out of range")));
    }
    let instant = Instant { seconds, nanos };
    Ok(if instant.is_zero() { Value::Null } else { Value::String(instant.format(precision)) })
}

fn last<'a, T>(body: &'a [u8], wanted: u32, take: impl Fn(Payload<'a>) -> Option<T>) -> Result<Option<T>, Error> {
    let (mut fields, mut found) = (Fields::of(body), None);
    while let Some((number, payload)) = fields.next()? {
        if number == wanted {
            found = Some(take(payload).ok_or(Error::Wire { wire: payload.wire(), field: "value" })?);
        }
    }
    Ok(found)
}

fn last_varint(body: &[u8], number: u32) -> Result<Option<u64>, Error> {
    last(body, number, |payload| match payload {
        Payload::Varint(value) => Some(value),
        _ => None,
    })
}

fn last_bytes(body: &[u8], number: u32) -> Result<Option<&[u8]>, Error> {
    last(body, number, |payload| match payload {
        Payload::Bytes(bytes) => Some(bytes),
        _ => None,
    })
}
