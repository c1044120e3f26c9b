//! The JSON forms of the types that are not simply their fields.
//!
//! What comes out is canonical: a quantity's or a time's text as upstream prints it, so that encoding is copying.
//! Source: the `UnmarshalJSON` of each type; `resource/quantity.go`, `meta/v1/time.go`, `util/intstr/intstr.go`,
//! `runtime/extension.go`, apiextensions `v1/marshal.go`.

use super::decode::{Decoder, Unknown, word};
use super::error::Fault;
use super::reader::{Reader, Token};
use crate::object::{Map, Value};
use crate::quantity::Quantity;
use crate::schema::{Codec, Schema, TypeId};
use crate::time::{Duration, Instant, Precision};

fn text_fault(error: impl ToString) -> Fault {
    Fault::Text(error.to_string())
}

/// What stands for nothing.
pub(super) fn zero(codec: Codec) -> Value {
    match codec {
        Codec::Quantity => Value::from("0"),
        Codec::Duration => Value::from("0s"),
        Codec::IntOrString => Value::Int(0),
        Codec::SchemaOrBool(_) => Value::Bool(false),
        _ => Value::Null,
    }
}

/// A value out of valid JSON; `None` for nothing. `depth`: structs around it.
pub(super) fn decode(codec: Codec, raw: &str, depth: usize) -> Result<Option<Value>, Fault> {
    match codec {
        Codec::Quantity if raw == "null" => Ok(None),
        Codec::Quantity => {
            let text = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(raw);
            let quantity = Quantity::parse(text.trim()).map_err(text_fault)?;
            Ok(Some(Value::String(quantity.to_string())))
        }
        Codec::Time => instant(raw, Precision::Seconds),
        Codec::MicroTime => instant(raw, Precision::Micros),
        Codec::Duration => {
            let text = string(raw)?.unwrap_or_default();
            let duration = Duration::parse(&text).map_err(text_fault)?;
            Ok(Some(Value::String(duration.to_string())))
        }
        Codec::IntOrString => int_or_string(raw),
        Codec::FieldsV1 | Codec::RawExtension | Codec::Json => match raw {
            "null" => Ok(None),
            raw => Ok(Some(Value::Raw(raw.into()))),
        },
        Codec::SchemaOrBool(ty) => match raw {
            "true" => Ok(Some(Value::Bool(true))),
            "false" => Ok(Some(Value::Bool(false))),
            raw if raw.starts_with('{') => Ok(Some(Value::Map(schema(ty, raw, depth)?))),
            _ => Err(Fault::Text("boolean or JSON schema expected".to_owned())),
        },
        Codec::SchemaOrArray(ty) => schemas_or(raw, ty, depth, |raw| Ok(Value::Map(schema(ty, raw, depth)?))),
        Codec::SchemaOrStrings(ty) => {
            schemas_or(raw, ty, depth, |raw| Ok(Value::String(string(raw)?.unwrap_or_default())))
        }
    }
}

fn type_error(raw: &str, token: Token, go_type: &str) -> Fault {
    let value = match (token, go_type) {
        (Token::Number, "int32") => format!("number {raw}"),
        (token, _) => word(token).to_owned(),
    };
    Fault::of_type(value, go_type)
}

fn string(raw: &str) -> Result<Option<String>, Fault> {
    let mut reader = Reader::new(raw);
    match reader.peek() {
        Token::String => Ok(Some(reader.string().into_owned())),
        Token::Null => Ok(None),
        token => Err(type_error(raw, token, "string")),
    }
}

fn instant(raw: &str, precision: Precision) -> Result<Option<Value>, Fault> {
    let Some(text) = string(raw)? else { return Ok(None) };
    let instant = Instant::parse(&text, precision).map_err(text_fault)?;
    Ok(Some(if instant.is_zero() { Value::Null } else { Value::String(instant.format(precision)) }))
}

fn int_or_string(raw: &str) -> Result<Option<Value>, Fault> {
    let mut reader = Reader::new(raw);
    match reader.peek() {
        Token::String => Ok(Some(Value::String(reader.string().into_owned()))),
        Token::Null => Ok(Some(Value::Int(0))),
        token => match raw.parse::<i32>() {
            Ok(number) => Ok(Some(Value::Int(number.into()))),
            Err(_) => Err(type_error(raw, token, "int32")),
        },
    }
}

fn schema(ty: TypeId, raw: &str, depth: usize) -> Result<Map, Fault> {
    match Reader::new(raw).peek() {
        Token::Object => Decoder::new(raw, Unknown::Ignore).sub_structure(ty, depth),
        Token::Null => Ok(Map::new()),
        token => Err(type_error(raw, token, &Schema::builtin().go_struct(ty))),
    }
}

/// A schema, or a list of what the function makes; anything else is nothing, as upstream has it.
fn schemas_or(
    raw: &str,
    ty: TypeId,
    depth: usize,
    element: impl Fn(&str) -> Result<Value, Fault>,
) -> Result<Option<Value>, Fault> {
    let mut reader = Reader::new(raw);
    match reader.peek() {
        Token::Object => Ok(Some(Value::Map(schema(ty, raw, depth)?))),
        Token::Array => {
            let mut elements = Vec::new();
            reader.enter();
            while reader.more(elements.is_empty()) {
                elements.push(element(reader.raw())?);
            }
            Ok(Some(Value::List(elements)))
        }
        _ => Ok(Some(Value::Null)),
    }
}
