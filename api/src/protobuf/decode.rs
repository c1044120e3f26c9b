//! Protobuf messages to objects.

use super::codec;
use super::wire::{Error, Fields, Payload};
use crate::base64;
use crate::gvk::Name;
use crate::json;
use crate::object::{Map, Value};
use crate::schema::{Part, Schema, Shape, Type, TypeId};

/// Messages within messages that are taken.
pub const DEPTH_MAX: usize = 128;

/// A struct out of its message.
///
/// # Errors
/// When the bytes are no message, or a value is not what its type takes.
pub fn decode(ty: TypeId, message: &[u8]) -> Result<Map, Error> {
    Decoder { schema: Schema::builtin(), depth: 0 }.structure(ty, message)
}

struct Decoder {
    schema: &'static Schema,
    depth: usize,
}

/// What has been found of a struct: by index of the field, in the order in which it came.
struct Found<'t> {
    ty: &'t Type,
    values: Vec<(usize, Value)>,
    /// Maps are sorted once, at the end.
    maps: Vec<(usize, Vec<(Name, Value)>)>,
}

impl Found<'_> {
    /// The last of a field counts.
    fn set(&mut self, at: usize, value: Value) {
        match self.values.iter_mut().rev().find(|(other, _)| *other == at) {
            Some((_, old)) => *old = value,
            None => self.values.push((at, value)),
        }
    }

    fn list(&mut self, at: usize) -> &mut Vec<Value> {
        let place = match self.values.iter().rposition(|(other, value)| *other == at && value.as_list().is_some()) {
            Some(place) => place,
            None => {
                self.values.push((at, Value::List(Vec::new())));
                self.values.len() - 1
            }
        };
        match &mut self.values[place].1 {
            Value::List(elements) => elements,
            _ => unreachable!("it was just found to be a list"),
        }
    }

    fn map(&mut self, at: usize) -> &mut Vec<(Name, Value)> {
        let place = match self.maps.iter().position(|(other, _)| *other == at) {
            Some(place) => place,
            None => {
                self.maps.push((at, Vec::new()));
                self.maps.len() - 1
            }
        };
        &mut self.maps[place].1
    }

    fn finish(mut self) -> Map {
        let maps = self.maps.into_iter().map(|(at, entries)| (at, Value::Map(Map::from_unsorted(entries))));
        self.values.extend(maps);
        let ty = self.ty;
        self.values.sort_unstable_by_key(|(at, _)| ty.rank[*at]);
        Map::from_sorted(
            self.values.into_iter().map(|(at, value)| (Name::Borrowed(ty.fields[at].name), value)).collect(),
        )
    }
}

fn number(ty: &Type, part: Part) -> u32 {
    match part {
        Part::Embedded(_, number) => number,
        Part::Field(at) => ty.fields[at].number.unwrap_or_default(),
    }
}

impl Decoder {
    fn structure(&mut self, id: TypeId, message: &[u8]) -> Result<Map, Error> {
        if self.depth >= DEPTH_MAX {
            return Err(Error::Depth);
        }
        self.depth += 1;
        let ty = self.schema.ty(id);
        let mut found = Found { ty, values: Vec::with_capacity(8), maps: Vec::new() };
        let mut fields = Fields::of(message);
        while let Some((tag, payload)) = fields.next()? {
            let Ok(part) = ty.message.binary_search_by_key(&tag, |part| number(ty, *part)) else { continue };
            match ty.message[part] {
                Part::Field(at) => self.field(&mut found, at, payload)?,
                Part::Embedded(inner, _) => {
                    let Payload::Bytes(body) = payload else {
                        return Err(Error::Wire { wire: payload.wire(), field: "inline" });
                    };
                    for (name, value) in self.structure(inner, body)? {
                        if let Some(at) = ty.find(&name, 0) {
                            found.set(at, value);
                        }
                    }
                }
            }
        }
        self.depth -= 1;
        Ok(found.finish())
    }

    fn field(&mut self, found: &mut Found<'_>, at: usize, payload: Payload<'_>) -> Result<(), Error> {
        let field = &found.ty.fields[at];
        let shape = self.schema.shape(field.shape);
        match (shape, payload) {
            (Shape::List(of), Payload::Bytes(packed)) if is_packable(self.schema.shape(of)) => {
                let mut numbers = Fields::of(packed);
                while !numbers.is_empty() {
                    let number = Payload::Varint(numbers.varint()?);
                    found.list(at).push(self.value(self.schema.shape(of), number, field.name)?);
                }
            }
            (Shape::List(of), payload) => {
                let element = self.value(self.schema.shape(of), payload, field.name)?;
                found.list(at).push(element);
            }
            (Shape::Map(of), Payload::Bytes(entry)) => {
                let entry = self.entry(self.schema.shape(of), entry, field.name)?;
                found.map(at).push(entry);
            }
            (shape, payload) => {
                let value = self.value(shape, payload, field.name)?;
                if field.pointer || !json::is_zero(shape, &value) {
                    found.set(at, value);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, of: Shape, entry: &[u8], field: &'static str) -> Result<(Name, Value), Error> {
        let (mut name, mut value) = (String::new(), None);
        let mut fields = Fields::of(entry);
        while let Some((tag, payload)) = fields.next()? {
            match (tag, payload) {
                (1, Payload::Bytes(bytes)) => name = text(bytes),
                (2, payload) => value = Some(self.value(of, payload, field)?),
                _ => {}
            }
        }
        // Generated code starts the value as an empty slice and not as none.
        let none = || if of == Shape::Bytes { Value::String(String::new()) } else { json::zero(of) };
        Ok((Name::Owned(name), value.unwrap_or_else(none)))
    }

    fn value(&mut self, shape: Shape, payload: Payload<'_>, field: &'static str) -> Result<Value, Error> {
        Ok(match (shape, payload) {
            (Shape::Bool, Payload::Varint(value)) => Value::Bool(value != 0),
            (Shape::Int32, Payload::Varint(value)) => Value::Int(i64::from(value as i32)),
            (Shape::Int64, Payload::Varint(value)) => Value::Int(value as i64),
            (Shape::Float64, Payload::Fixed64(bits)) => {
                let number = f64::from_bits(bits);
                if !number.is_finite() {
                    return Err(Error::Value(format!("json: unsupported value: {number}")));
                }
                Value::Float(number)
            }
            (Shape::String, Payload::Bytes(bytes)) => Value::String(text(bytes)),
            (Shape::Bytes, Payload::Bytes(bytes)) => Value::String(base64::encode(bytes)),
            (Shape::Struct(ty), Payload::Bytes(body)) => Value::Map(self.structure(ty, body)?),
            (Shape::Codec(of), Payload::Bytes(body)) => codec::decode(of, body, |ty, body| self.structure(ty, body))?,
            (Shape::Items(of), Payload::Bytes(body)) => {
                let (mut fields, mut elements) = (Fields::of(body), Vec::new());
                while let Some((tag, payload)) = fields.next()? {
                    if tag == 1 {
                        elements.push(self.value(self.schema.shape(of), payload, field)?);
                    }
                }
                // A list of none: upstream's message leaves the slice nil.
                if elements.is_empty() { Value::Null } else { Value::List(elements) }
            }
            (_, payload) => return Err(Error::Wire { wire: payload.wire(), field }),
        })
    }
}

fn is_packable(shape: Shape) -> bool {
    matches!(shape, Shape::Bool | Shape::Int32 | Shape::Int64)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::wire::{put_bytes, put_message, put_varint};

    fn ty(name: &str) -> TypeId {
        Schema::builtin().by_name(name).unwrap()
    }

    #[test]
    fn unknown_fields_are_dropped_and_wrong_kinds_refused() {
        let pod = ty("io.k8s.api.core.v1.Pod");
        let mut message = Vec::new();
        put_varint(&mut message, 999, 1);
        assert!(decode(pod, &message).unwrap().is_empty());
        put_varint(&mut message, 1, 1);
        assert_eq!(decode(pod, &message), Err(Error::Wire { wire: 0, field: "metadata" }));
    }

    #[test]
    fn packed_numbers_are_taken_too() {
        let mut message = Vec::new();
        put_bytes(&mut message, 4, &[1, 2, 3]);
        let fields = decode(ty("io.k8s.api.core.v1.PodSecurityContext"), &message).unwrap();
        assert_eq!(fields.get("supplementalGroups").unwrap().as_list().unwrap().len(), 3);
    }

    #[test]
    fn endless_nesting_is_refused() {
        let schema = ty("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
        let not = Schema::builtin().ty(schema).field("not").unwrap().number.unwrap();
        let mut message = Vec::new();
        for _ in 0..DEPTH_MAX {
            let mut outer = Vec::new();
            put_message(&mut outer, not, |out| out.extend_from_slice(&message));
            message = outer;
        }
        assert_eq!(decode(schema, &message), Err(Error::Depth));
    }

    #[test]
    fn any_bytes_are_taken_or_refused_but_never_panicked_on() {
        let pod = ty("io.k8s.api.core.v1.Pod");
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..2_000 {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 32) as u8 & 0x3f
            })
            .take(40)
            .collect();
            drop(decode(pod, &bytes));
        }
    }
}
