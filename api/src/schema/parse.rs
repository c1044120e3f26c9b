//! Reads the committed table. It is part of the program: a line that cannot be read is a defect, and panics with its text.
//!
//! ```text
//! package io.k8s.api.core.v1
//! type PodTemplateSpec                       a struct; then " atomic", " noproto"
//!  spec PodSpec 2 omitempty                  name, Go type (relative to the package), protobuf number or "-", words
//!  . VolumeSource 2                          an embedded struct
//! type PodPhase = string                     a named type that is no struct; "items": a message in protobuf
//! type Quantity codec                        a form of its own
//! kind apps/v1 Deployment io.k8s.api.apps.v1.Deployment      "*": in every version
//! ```

use std::collections::HashMap;

use super::{Codec, FIELDS_MAX, Field, KindKey, ListType, Omit, Part, Schema, Shape, ShapeId, Type, TypeId};

/// A declared field, before embedded structs are taken apart.
struct Declared {
    /// `None`: embedded.
    name: Option<&'static str>,
    expression: &'static str,
    number: Option<u32>,
    words: Vec<&'static str>,
}

/// What stands behind a name.
enum Named {
    Struct(TypeId),
    Codec,
    Other { expression: &'static str, items: bool },
}

struct Struct {
    name: String,
    package: &'static str,
    declared: Vec<Declared>,
    atomic: bool,
    protobuf: bool,
}

#[derive(Default)]
struct Parser {
    named: HashMap<String, Named>,
    structs: Vec<Struct>,
    kinds: Vec<(KindKey<'static>, &'static str)>,
    shapes: Vec<(Shape, String)>,
    shape_ids: HashMap<String, ShapeId>,
}

/// The whole table.
pub(super) fn schema(text: &'static str) -> Schema {
    let mut parser = Parser::default();
    parser.read(text);
    let types: Vec<Type> = (0..parser.structs.len()).map(|at| parser.build(at)).collect();
    let by_name = parser.structs.iter().zip(0..).map(|(each, id)| (each.name.clone(), TypeId(id))).collect();
    let kinds: Vec<_> = parser.kinds.iter().map(|(key, name)| (*key, parser.struct_named(name))).collect();
    let versions = kinds.iter().map(|(key, _)| (key.group, key.version)).collect();
    Schema {
        types,
        shapes: parser.shapes,
        by_name,
        kinds: kinds.iter().copied().collect(),
        ordered_kinds: kinds,
        versions,
    }
}

impl Parser {
    fn read(&mut self, text: &'static str) {
        let mut package = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&'static str> = line.split_ascii_whitespace().collect();
            match (line.starts_with(' '), words.as_slice()) {
                (true, [name, expression, number, words @ ..]) => {
                    let last = self.structs.last_mut().expect("fields follow a struct");
                    last.declared.push(Declared {
                        name: Some(*name).filter(|name| *name != "."),
                        expression,
                        number: number.parse().ok(),
                        words: words.to_vec(),
                    });
                }
                (false, ["package", name]) => package = name,
                (false, ["type", name, "=", expression, items @ ..]) => {
                    let items = items == ["items"];
                    self.named.insert(format!("{package}.{name}"), Named::Other { expression, items });
                }
                (false, ["type", name, "codec"]) => {
                    self.named.insert(format!("{package}.{name}"), Named::Codec);
                }
                (false, ["type", name, words @ ..]) => self.start_struct(package, name, words),
                (false, ["kind", place, kind, name]) => {
                    let (group, version) = match *place {
                        "*" => ("", ""),
                        place => place.split_once('/').unwrap_or(("", place)),
                    };
                    self.kinds.push((KindKey { group, version, kind }, name));
                }
                _ => panic!("no line of the schema table: {line:?}"),
            }
        }
    }

    fn start_struct(&mut self, package: &'static str, name: &str, words: &[&str]) {
        let id = TypeId(u32::try_from(self.structs.len()).expect("fewer than 2^32 types"));
        let name = format!("{package}.{name}");
        self.named.insert(name.clone(), Named::Struct(id));
        self.structs.push(Struct {
            name,
            package,
            declared: Vec::new(),
            atomic: words.contains(&"atomic"),
            protobuf: !words.contains(&"noproto"),
        });
    }

    fn struct_named(&self, name: &str) -> TypeId {
        match self.named.get(name) {
            Some(Named::Struct(id)) => *id,
            _ => panic!("the schema table has no struct {name}"),
        }
    }

    fn build(&mut self, at: usize) -> Type {
        let (mut fields, mut message) = (Vec::new(), Vec::new());
        self.flatten(at, &mut Vec::new(), &mut fields, Some(&mut message));
        message.sort_by_key(|(number, _)| *number);
        let mut by_name: Vec<u16> = (0u16..).take(fields.len()).collect();
        by_name.sort_by_key(|at| fields[usize::from(*at)].name);
        let mut rank = vec![0; fields.len()];
        for (place, at) in (0u16..).zip(&by_name) {
            rank[usize::from(*at)] = place;
        }
        assert!(fields.len() <= FIELDS_MAX, "{} has too many fields", self.structs[at].name);
        let of = &self.structs[at];
        Type {
            name: of.name.clone(),
            fields,
            by_name,
            rank,
            message: message.into_iter().map(|(_, part)| part).collect(),
            protobuf: of.protobuf,
            atomic: of.atomic,
        }
    }

    /// Adds a struct's fields, those of embedded ones in their place. The message names only what the outermost declares.
    fn flatten(
        &mut self,
        at: usize,
        embedded_in: &mut Vec<&'static str>,
        fields: &mut Vec<Field>,
        mut message: Option<&mut Vec<(u32, Part)>>,
    ) {
        let package = self.structs[at].package;
        let declared = std::mem::take(&mut self.structs[at].declared);
        for each in &declared {
            let Some(name) = each.name else {
                let id = self.struct_named(&qualified(package, each.expression));
                if let (Some(number), Some(message)) = (each.number, &mut message) {
                    message.push((number, Part::Embedded(id, number)));
                }
                embedded_in.push(each.expression.rsplit('.').next().unwrap_or(each.expression));
                self.flatten(id.0 as usize, embedded_in, fields, None);
                embedded_in.pop();
                continue;
            };
            if let (Some(number), Some(message)) = (each.number, &mut message) {
                message.push((number, Part::Field(fields.len())));
            }
            let field = self.field(name, each, package, embedded_in);
            fields.push(field);
        }
        self.structs[at].declared = declared;
    }

    fn field(
        &mut self,
        name: &'static str,
        from: &Declared,
        package: &'static str,
        embedded_in: &[&'static str],
    ) -> Field {
        let pointer = from.expression.starts_with('*');
        let value = |key: &str| from.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let has = |word: &str| from.words.contains(&word);
        let strategies = value("patch").unwrap_or_default();
        Field {
            name,
            shape: self.shape(from.expression.trim_start_matches('*'), package),
            number: from.number,
            pointer,
            omit: match (has("omitzero"), has("omitempty")) {
                (true, _) => Omit::Zero,
                (false, true) => Omit::Empty,
                (false, false) => Omit::Never,
            },
            required: has("required"),
            list_type: value("list").map(list_type),
            atomic: value("map") == Some("atomic"),
            patch_merge: strategies.split(',').any(|each| each == "merge"),
            patch_retain_keys: strategies.split(',').any(|each| each == "retainKeys"),
            patch_merge_key: value("key"),
            default: value("default"),
            embedded_in: embedded_in.to_vec(),
        }
    }

    fn shape(&mut self, expression: &str, package: &str) -> ShapeId {
        let name = match expression.rsplit_once(']') {
            Some((prefix, last)) => format!("{prefix}]{}", qualified(package, last)),
            None => qualified(package, expression),
        };
        if let Some(id) = self.shape_ids.get(&name) {
            return *id;
        }
        let (shape, go) = self.make_shape(&name);
        let id = ShapeId(u32::try_from(self.shapes.len()).expect("fewer than 2^32 shapes"));
        self.shapes.push((shape, go));
        self.shape_ids.insert(name, id);
        id
    }

    fn make_shape(&mut self, name: &str) -> (Shape, String) {
        if let Some(element) = name.strip_prefix("[]") {
            let id = self.shape(element, "");
            return (Shape::List(id), format!("[]{}", self.shapes[id.0 as usize].1));
        }
        if let Some(value) = name.strip_prefix("map[string]") {
            let id = self.shape(value, "");
            return (Shape::Map(id), format!("map[string]{}", self.shapes[id.0 as usize].1));
        }
        let basic = |shape| (shape, name.to_owned());
        match name {
            "any" => return (Shape::Any, "interface {}".to_owned()),
            "bytes" => return (Shape::Bytes, "[]uint8".to_owned()),
            "bool" => return basic(Shape::Bool),
            "int32" => return basic(Shape::Int32),
            "int64" => return basic(Shape::Int64),
            "float64" => return basic(Shape::Float64),
            "string" => return basic(Shape::String),
            _ => {}
        }
        let go = name.rsplitn(3, '.').take(2).collect::<Vec<_>>();
        let go = format!("{}.{}", go[1], go[0]);
        let package = name.rsplit_once('.').map_or("", |(package, _)| package);
        match self.named.get(name) {
            Some(Named::Struct(id)) => (Shape::Struct(*id), go),
            Some(Named::Codec) => (Shape::Codec(self.codec(name)), go),
            Some(Named::Other { expression, items }) => {
                let (expression, items) = (*expression, *items);
                let id = self.shape(expression, package);
                match (self.shapes[id.0 as usize].0, items) {
                    (Shape::List(of), true) => (Shape::Items(of), go),
                    (shape, _) => (shape, go),
                }
            }
            None => panic!("the schema table has no type {name}"),
        }
    }

    fn codec(&self, name: &str) -> Codec {
        let (package, base) = name.rsplit_once('.').expect("a qualified name");
        let schema = || self.struct_named(&format!("{package}.JSONSchemaProps"));
        match base {
            "Quantity" => Codec::Quantity,
            "Time" => Codec::Time,
            "MicroTime" => Codec::MicroTime,
            "Duration" => Codec::Duration,
            "FieldsV1" => Codec::FieldsV1,
            "RawExtension" => Codec::RawExtension,
            "IntOrString" => Codec::IntOrString,
            "JSON" => Codec::Json,
            "JSONSchemaPropsOrBool" => Codec::SchemaOrBool(schema()),
            "JSONSchemaPropsOrArray" => Codec::SchemaOrArray(schema()),
            "JSONSchemaPropsOrStringArray" => Codec::SchemaOrStrings(schema()),
            _ => panic!("no codec for {name}"),
        }
    }
}

fn qualified(package: &str, name: &str) -> String {
    const BASIC: [&str; 7] = ["any", "bytes", "bool", "int32", "int64", "float64", "string"];
    match name.contains('.') || BASIC.contains(&name) || package.is_empty() {
        true => name.to_owned(),
        false => format!("{package}.{name}"),
    }
}

fn list_type(word: &'static str) -> ListType {
    match word {
        "atomic" => ListType::Atomic,
        "set" => ListType::Set,
        word => {
            let keys = word.strip_prefix("map:").unwrap_or_else(|| panic!("no list type: {word}"));
            ListType::Map(keys.split(',').collect())
        }
    }
}
