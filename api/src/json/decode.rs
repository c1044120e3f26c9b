//! JSON to objects, by the schema: case-sensitive, with Go's leniencies and Go's complaints.
//!
//! Unknown and duplicate fields are left out (the last duplicate counts) and, where asked, reported by path in the order in
//! which they stand, at most [`PROBLEMS_MAX`], none twice. A value of a wrong type is an error, and the first one counts;
//! decoding goes on behind it only to find an error of a type with a codec of its own, which upstream lets win.
//! Source: `sigs.k8s.io/json` (`internal/golang/encoding/json/decode.go`), apimachinery `pkg/runtime/serializer/json`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::codec;
use super::error::{Error, Fault};
use super::reader::{Reader, Token};
use super::scan::validate;
use crate::base64;
use crate::gvk::Name;
use crate::object::{Map, Value};
use crate::schema::{Schema, Shape, ShapeId, TypeId};

/// Unknown and duplicate fields that are reported at most.
pub const PROBLEMS_MAX: usize = 100;

/// Structs within structs that are taken; only the schemas of custom resources can hold themselves.
pub(super) const STRUCTS_DEPTH_MAX: usize = 128;

/// What to do about fields that the type does not have, and those given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Leave them out.
    Ignore,
    /// Leave them out and tell.
    Report,
}

/// A decoded value and what was wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The fields.
    pub fields: Map,
    /// Unknown and duplicate fields, as in `unknown field "spec.x"`.
    pub problems: Vec<String>,
}

/// Which keys of a map have been there: costs nothing while they come in order.
#[derive(Default)]
struct Seen(HashSet<String>);

impl Seen {
    /// Whether the key is among the entries.
    fn again(&mut self, entries: &[(Name, Value)], key: &str) -> bool {
        if self.0.is_empty() {
            if entries.last().is_none_or(|(last, _)| last.as_ref() < key) {
                return false;
            }
            self.0 = entries.iter().map(|(name, _)| name.to_string()).collect();
        }
        !self.0.insert(key.to_owned())
    }
}

/// A step from the root.
enum Step<'a> {
    Field(TypeId, usize),
    Key(Cow<'a, str>),
    Index(usize),
}

pub(super) struct Decoder<'a> {
    schema: &'static Schema,
    reader: Reader<'a>,
    report: bool,
    path: Vec<Step<'a>>,
    problems: Vec<String>,
    first_fault: Option<Fault>,
    /// How many structs are open, those around a value that is decoded on its own among them.
    depth: usize,
    /// What has been found of the structs that are open, innermost last: rank and index of the field, and its value.
    found: Vec<(u16, usize, Value)>,
}

/// An object of a built-in type.
///
/// # Errors
/// When it is no JSON, or not of the type.
pub fn decode(ty: TypeId, bytes: &[u8], unknown: Unknown) -> Result<Decoded, Error> {
    validate(bytes)?;
    let text = String::from_utf8_lossy(bytes);
    let mut decoder = Decoder::new(&text, unknown);
    let fields = match decoder.reader.peek() {
        Token::Object => decoder.structure(ty)?,
        Token::Null => Map::new(),
        token => {
            return Err(Fault::of_type(word(token).to_owned(), &Schema::builtin().go_struct(ty)).into());
        }
    };
    decoder.finish(fields)
}

/// An object of a custom resource, or any other JSON object: no schema.
///
/// # Errors
/// When it is no JSON object.
pub fn decode_free(bytes: &[u8], unknown: Unknown) -> Result<Decoded, Error> {
    validate(bytes)?;
    let text = String::from_utf8_lossy(bytes);
    let mut decoder = Decoder::new(&text, unknown);
    match decoder.any() {
        Ok(Value::Map(fields)) => decoder.finish(fields),
        Ok(Value::Null) => decoder.finish(Map::new()),
        Ok(other) => {
            let found = match other {
                Value::Bool(_) => "bool",
                Value::String(_) => "string",
                Value::List(_) => "array",
                _ => "number",
            };
            Err(Fault::of_type(found.to_owned(), "map[string]interface {}").into())
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Any JSON value.
///
/// # Errors
/// When it is no JSON.
pub fn decode_value(bytes: &[u8]) -> Result<Value, Error> {
    validate(bytes)?;
    let text = String::from_utf8_lossy(bytes);
    Ok(Decoder::new(&text, Unknown::Ignore).any()?)
}

pub(super) fn word(token: Token) -> &'static str {
    match token {
        Token::Null => "null",
        Token::Bool => "bool",
        Token::Number => "number",
        Token::String => "string",
        Token::Array => "array",
        Token::Object => "object",
    }
}

/// What a field or element is when nothing was said of it.
pub(crate) fn zero(shape: Shape) -> Value {
    match shape {
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 => Value::Int(0),
        Shape::Float64 => Value::Float(0.0),
        Shape::String => Value::String(String::new()),
        Shape::Struct(_) => Value::Map(Map::new()),
        Shape::Codec(codec) => codec::zero(codec),
        Shape::Any | Shape::Bytes | Shape::List(_) | Shape::Items(_) | Shape::Map(_) => Value::Null,
    }
}

/// Whether a value that Go holds without a pointer is Go's zero, and so absent in canonical form.
pub(crate) fn is_zero(shape: Shape, value: &Value) -> bool {
    match (shape, value) {
        (_, Value::Null) => true,
        (Shape::Struct(_), Value::Map(map)) => map.is_empty(),
        (Shape::Bool | Shape::Int32 | Shape::Int64 | Shape::Float64 | Shape::String | Shape::Codec(_), value) => {
            *value == zero(shape)
        }
        _ => false,
    }
}

impl<'a> Decoder<'a> {
    pub(super) fn new(text: &'a str, unknown: Unknown) -> Decoder<'a> {
        Decoder {
            schema: Schema::builtin(),
            reader: Reader::new(text),
            report: unknown == Unknown::Report,
            path: Vec::new(),
            problems: Vec::new(),
            first_fault: None,
            depth: 0,
            found: Vec::new(),
        }
    }

    fn finish(self, fields: Map) -> Result<Decoded, Error> {
        match self.first_fault {
            Some(fault) => Err(fault.into()),
            None => Ok(Decoded { fields, problems: self.problems }),
        }
    }

    /// A struct; the next token opens it.
    fn structure(&mut self, id: TypeId) -> Result<Map, Fault> {
        if self.depth >= STRUCTS_DEPTH_MAX {
            return Err(Fault::Text("exceeded max depth".to_owned()));
        }
        self.depth += 1;
        let schema = self.schema;
        let ty = schema.ty(id);
        let start = self.found.len();
        let (mut seen, mut hint, mut first) = (0u64, 0, true);
        self.reader.enter();
        while self.reader.more(std::mem::replace(&mut first, false)) {
            let key = self.reader.key();
            let Some(at) = ty.find(&key, hint) else {
                self.problem("unknown field", &key);
                self.reader.skip_value();
                continue;
            };
            hint = at + 1;
            if seen & 1 << at != 0 {
                self.problem("duplicate field", &key);
                if let Some(again) = self.found[start..].iter().position(|(_, other, _)| *other == at) {
                    self.found.remove(start + again);
                }
            }
            seen |= 1 << at;
            let field = &ty.fields[at];
            self.path.push(Step::Field(id, at));
            let value = match field.pointer && self.reader.peek() == Token::Null {
                true => {
                    self.reader.skip_value();
                    None
                }
                false => self.value(field.shape)?,
            };
            self.path.pop();
            if let Some(value) = value
                && (field.pointer || !is_zero(schema.shape(field.shape), &value))
            {
                self.found.push((ty.rank[at], at, value));
            }
        }
        self.depth -= 1;
        self.found[start..].sort_unstable_by_key(|(rank, _, _)| *rank);
        let named = self.found.drain(start..).map(|(_, at, value)| (Name::Borrowed(ty.fields[at].name), value));
        Ok(Map::from_sorted(named.collect()))
    }

    /// A value of a shape; `None` when it is null, or of another type, which is then on record.
    fn value(&mut self, id: ShapeId) -> Result<Option<Value>, Fault> {
        let shape = self.schema.shape(id);
        let token = self.reader.peek();
        let value = match (shape, token) {
            (Shape::Any, _) => self.any()?,
            (Shape::Codec(of), _) => return self.codec(of),
            (_, Token::Null) => {
                self.reader.skip_value();
                return Ok(None);
            }
            (Shape::Struct(ty), Token::Object) => Value::Map(self.structure(ty)?),
            (Shape::Map(of), Token::Object) => Value::Map(self.map(of)?),
            (Shape::List(of) | Shape::Items(of), Token::Array) => Value::List(self.list(of)?),
            (Shape::String, Token::String) => Value::String(self.reader.string().into_owned()),
            (Shape::Bool, Token::Bool) => Value::Bool(self.reader.raw() == "true"),
            (Shape::Int32 | Shape::Int64 | Shape::Float64, Token::Number) => return Ok(self.number(shape, id)),
            (Shape::Bytes, Token::String) => return Ok(self.bytes()),
            (_, token) => {
                self.reader.skip_value();
                self.type_error(word(token).to_owned(), id);
                return Ok(None);
            }
        };
        Ok(Some(value))
    }

    fn number(&mut self, shape: Shape, id: ShapeId) -> Option<Value> {
        let literal = self.reader.raw();
        let value = match shape {
            Shape::Int32 => literal.parse::<i32>().ok().map(|number| Value::Int(number.into())),
            Shape::Int64 => literal.parse::<i64>().ok().map(Value::Int),
            _ => literal.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float),
        };
        if value.is_none() {
            self.type_error(format!("number {literal}"), id);
        }
        value
    }

    fn bytes(&mut self) -> Option<Value> {
        match base64::decode(&self.reader.string()) {
            Ok(bytes) => Some(Value::String(base64::encode(&bytes))),
            Err(error) => {
                self.first_fault.get_or_insert(Fault::Text(error.to_string()));
                None
            }
        }
    }

    fn map(&mut self, of: ShapeId) -> Result<Map, Fault> {
        self.entries(|decoder| Ok(decoder.value(of)?.unwrap_or_else(|| zero(decoder.schema.shape(of)))))
    }

    /// An object whose keys are free, each value read by `value`.
    fn entries(&mut self, value: impl Fn(&mut Self) -> Result<Value, Fault>) -> Result<Map, Fault> {
        let (mut entries, mut seen) = (Vec::new(), Seen::default());
        self.reader.enter();
        while self.reader.more(entries.is_empty()) {
            let key = self.reader.key();
            if self.report && seen.again(&entries, &key) {
                self.problem("duplicate field", &key);
            }
            self.path.push(Step::Key(key.clone()));
            let value = value(self)?;
            self.path.pop();
            entries.push((Name::Owned(key.into_owned()), value));
        }
        Ok(Map::from_unsorted(entries))
    }

    fn list(&mut self, of: ShapeId) -> Result<Vec<Value>, Fault> {
        let mut elements = Vec::new();
        self.reader.enter();
        while self.reader.more(elements.is_empty()) {
            self.path.push(Step::Index(elements.len()));
            let element = self.value(of)?.unwrap_or_else(|| zero(self.schema.shape(of)));
            self.path.pop();
            elements.push(element);
        }
        Ok(elements)
    }

    /// Anything; recursion is bounded by the depth that `validate` lets pass.
    fn any(&mut self) -> Result<Value, Fault> {
        Ok(match self.reader.peek() {
            Token::Null => {
                self.reader.skip_value();
                Value::Null
            }
            Token::Bool => Value::Bool(self.reader.raw() == "true"),
            Token::String => Value::String(self.reader.string().into_owned()),
            Token::Number => return self.free_number(),
            Token::Array => {
                let mut elements = Vec::new();
                self.reader.enter();
                while self.reader.more(elements.is_empty()) {
                    self.path.push(Step::Index(elements.len()));
                    elements.push(self.any()?);
                    self.path.pop();
                }
                Value::List(elements)
            }
            Token::Object => Value::Map(self.entries(Self::any)?),
        })
    }

    fn free_number(&mut self) -> Result<Value, Fault> {
        let literal = self.reader.raw();
        if !literal.contains('.')
            && let Ok(number) = literal.parse::<i64>()
        {
            return Ok(Value::Int(number));
        }
        match literal.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(self.place(Fault::of_type(format!("number {literal}"), "float64"))),
        }
    }

    fn codec(&mut self, of: crate::schema::Codec) -> Result<Option<Value>, Fault> {
        codec::decode(of, self.reader.raw(), self.depth).map_err(|fault| self.place(fault))
    }

    /// A struct on its own, within a value with a codec: nothing is reported there.
    pub(super) fn sub_structure(mut self, id: TypeId, depth: usize) -> Result<Map, Fault> {
        self.depth = depth;
        let fields = self.structure(id)?;
        self.first_fault.map_or(Ok(fields), Err)
    }

    fn type_error(&mut self, value: String, id: ShapeId) {
        if self.first_fault.is_none() {
            self.first_fault = Some(self.place(Fault::of_type(value, self.schema.go_type(id))));
        }
    }

    /// With the struct it is in and the fields that lead there; Go names neither map keys nor indices.
    fn place(&self, fault: Fault) -> Fault {
        let Fault::Type { value, go_type, field: inner, .. } = fault else { return fault };
        let (mut owner, mut fields) = (None, Vec::new());
        for step in &self.path {
            if let Step::Field(id, at) = step {
                let ty = self.schema.ty(*id);
                owner = Some(ty.base_name());
                fields.extend(ty.fields[*at].embedded_in.iter().copied());
                fields.push(ty.fields[*at].name);
            }
        }
        if !inner.is_empty() {
            fields.push(&inner);
        }
        Fault::Type { value, go_type, owner, field: fields.join(".") }
    }

    fn problem(&mut self, what: &str, name: &str) {
        if !self.report || self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(at) => path.push_str(&format!("[{at}]")),
                Step::Field(id, at) => push_name(&mut path, self.schema.ty(*id).fields[*at].name),
                Step::Key(key) => push_name(&mut path, key),
            }
        }
        push_name(&mut path, name);
        let problem = format!("{what} {}", crate::text::quote(&path));
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}
