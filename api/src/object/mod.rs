//! The in-memory form of every object: a tree of JSON values that holds exactly what Go's struct would tell apart.
//!
//! A [`Value`] keeps integers and floats apart. A [`Map`] is sorted by key, whatever the order it came in: custom resources
//! print so, and for built-in types the schema knows Go's order and puts the fields into it when they are written.
//!
//! Canonical form, which all decoders give and all encoders take: a field that Go holds by value is absent when it has Go's
//! zero value (so absent and zero are the same thing, as in Go); one that Go holds by pointer is absent when it is nil, and
//! present even when zero; lists and maps that are empty but not nil are present and empty. Quantities, times and durations
//! are text in their canonical form, bytes are base64 text, and JSON that upstream keeps as it came is [`Value::Raw`].

mod map;
pub mod meta;

pub use map::Map;

use crate::gvk::GroupVersionKind;

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a fraction, or beyond 64 bits.
    Float(f64),
    /// Text.
    String(String),
    /// JSON text that is kept as it came: valid, and not looked into.
    Raw(Box<str>),
    /// A list.
    List(Vec<Value>),
    /// A struct or a map.
    Map(Map),
}

impl Value {
    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The map to change, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// What lies at a path of field names.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, name| value.as_map()?.get(name))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Bool(truth)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Value {
        Value::Map(map)
    }
}

impl From<Vec<Value>> for Value {
    fn from(elements: Vec<Value>) -> Value {
        Value::List(elements)
    }
}

/// An API object: a kind and its fields. `apiVersion` and `kind` are kept beside the fields and not among them, as a
/// converted Go object has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: GroupVersionKind,
    /// All fields but `apiVersion` and `kind`.
    pub fields: Map,
}
