//! The schema of every built-in type: one table, made from upstream's Go types, that all codecs and patches go by.
//!
//! [`Schema::builtin`] parses the table once a process. A [`Type`] is a Go struct: its fields in Go's order with JSON name,
//! protobuf number, pointer or value, what is left out when empty, how lists merge and which keys identify an element.
//! A [`Shape`] is the type of a field. Both are named by small numbers, so that looking at them costs no more than an
//! index. [`resources`] has what discovery tells, and [`Registry`] joins custom resources at run time.
//! Does not: hold documentation of fields, validate values, or know defaults but those of list keys and of plain fields.
//! Source: `table/generate`, and the head of `table/schema.txt` for the releases it was made from.

mod parse;
mod registry;
pub mod resources;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

pub use registry::{Definition, Registry, Tables};

use crate::gvk::GroupVersionKind;
use crate::object::{Map, Value};

/// Fields that a struct has at most: decoders keep those that were there in 64 bits.
pub(crate) const FIELDS_MAX: usize = 64;

/// Index of a [`Type`] in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// Index of a [`Shape`] in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShapeId(u32);

/// What a field, an element or a value of a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any JSON.
    Any,
    /// A truth value.
    Bool,
    /// A number of 32 bits.
    Int32,
    /// A number of 64 bits.
    Int64,
    /// A number with a fraction.
    Float64,
    /// Text.
    String,
    /// Bytes, base64 in JSON.
    Bytes,
    /// A struct of the table.
    Struct(TypeId),
    /// A type with a form of its own.
    Codec(Codec),
    /// A list.
    List(ShapeId),
    /// A list whose protobuf form is a message with the elements as its first field.
    Items(ShapeId),
    /// A map from text.
    Map(ShapeId),
}

/// Types whose JSON or protobuf form is not that of their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// `resource.Quantity`.
    Quantity,
    /// `metav1.Time`: seconds.
    Time,
    /// `metav1.MicroTime`: microseconds.
    MicroTime,
    /// `metav1.Duration`.
    Duration,
    /// `metav1.FieldsV1`: JSON that is kept as it came.
    FieldsV1,
    /// `runtime.RawExtension`: JSON that is kept as it came.
    RawExtension,
    /// `intstr.IntOrString`.
    IntOrString,
    /// apiextensions' `JSON`: JSON that is kept as it came.
    Json,
    /// apiextensions' `JSONSchemaPropsOrBool`, with the type of a schema.
    SchemaOrBool(TypeId),
    /// apiextensions' `JSONSchemaPropsOrArray`, with the type of a schema.
    SchemaOrArray(TypeId),
    /// apiextensions' `JSONSchemaPropsOrStringArray`, with the type of a schema.
    SchemaOrStrings(TypeId),
}

/// When a field is left out of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    /// Never.
    Never,
    /// When it is nil, empty, zero or false; structs are never empty (Go's `omitempty`).
    Empty,
    /// When it is Go's zero value (Go's `omitzero`), or empty.
    Zero,
}

/// How server-side apply merges a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Elements are their own keys.
    Set,
    /// Elements are identified by these fields.
    Map(Vec<&'static str>),
}

/// A field of a struct.
#[derive(Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it holds, behind the pointer if there is one.
    pub shape: ShapeId,
    /// Its number in protobuf; `None` when it is not part of the message.
    pub number: Option<u32>,
    /// Whether Go holds it by pointer: absence is then not the same as zero.
    pub pointer: bool,
    /// When it is left out of JSON.
    pub omit: Omit,
    /// Whether OpenAPI calls it required.
    pub required: bool,
    /// How server-side apply merges it, if it is a list; `None` is atomic.
    pub list_type: Option<ListType>,
    /// Whether it is replaced as a whole, if it is a map or a struct.
    pub atomic: bool,
    /// Strategic merge patch: lists are merged and not replaced.
    pub patch_merge: bool,
    /// Strategic merge patch: keys that the patch does not name can be dropped by `$retainKeys`.
    pub patch_retain_keys: bool,
    /// Strategic merge patch: the field that identifies an element.
    pub patch_merge_key: Option<&'static str>,
    /// JSON that stands for it when it is absent, for the lists' keys and OpenAPI.
    pub default: Option<&'static str>,
    /// Names of the embedded Go structs it comes out of, for messages; empty for most.
    pub embedded_in: Vec<&'static str>,
}

/// A part of a protobuf message, in the order of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A field, by its index in [`Type::fields`].
    Field(usize),
    /// An embedded struct: a message of its own in protobuf, part of the struct around it in JSON.
    Embedded(TypeId, u32),
}

/// A struct of upstream's Go types.
#[derive(Debug)]
pub struct Type {
    /// OpenAPI's name, as in `io.k8s.api.core.v1.Pod`.
    pub name: String,
    /// All fields as JSON shows them, those of embedded structs among them, in Go's order.
    pub fields: Vec<Field>,
    /// Indices of the fields, sorted by name.
    pub by_name: Vec<u16>,
    /// For each field its place in `by_name`.
    pub rank: Vec<u16>,
    /// The message, by number.
    pub message: Vec<Part>,
    /// Whether upstream has a protobuf form of it.
    pub protobuf: bool,
    /// Whether server-side apply replaces it as a whole.
    pub atomic: bool,
}

impl Type {
    /// The index of the field of that name; `hint` is tried first, for input in Go's order.
    pub fn find(&self, name: &str, hint: usize) -> Option<usize> {
        if self.fields.get(hint).is_some_and(|field| field.name == name) {
            return Some(hint);
        }
        let found = self.by_name.binary_search_by(|at| self.fields[usize::from(*at)].name.cmp(name));
        found.ok().map(|at| usize::from(self.by_name[at]))
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.find(name, 0).map(|at| &self.fields[at])
    }

    /// The values of a struct by the index of their field; names that it does not have are passed over. One walk over
    /// both, since both are sorted.
    pub(crate) fn present<'a>(&self, map: Option<&'a Map>) -> Vec<Option<&'a Value>> {
        // Not on the stack: encoders recurse.
        let mut present = vec![None; self.fields.len()];
        let mut names = self.by_name.iter().map(|at| usize::from(*at)).peekable();
        for (name, value) in map.into_iter().flat_map(Map::iter) {
            while names.next_if(|at| self.fields[*at].name < name).is_some() {}
            if let Some(at) = names.next_if(|at| self.fields[*at].name == name) {
                present[at] = Some(value);
            }
        }
        present
    }

    /// The struct's bare name, as in `Pod`.
    pub fn base_name(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(_, base)| base)
    }
}

/// Where kinds are registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct KindKey<'a> {
    /// Empty version: in every group version.
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

/// All types, shapes and kinds of the table.
#[derive(Debug)]
pub struct Schema {
    types: Vec<Type>,
    shapes: Vec<(Shape, String)>,
    by_name: HashMap<String, TypeId>,
    kinds: HashMap<KindKey<'static>, TypeId>,
    ordered_kinds: Vec<(KindKey<'static>, TypeId)>,
    /// Groups and versions that have kinds.
    versions: HashSet<(&'static str, &'static str)>,
}

static BUILTIN: LazyLock<Schema> = LazyLock::new(|| parse::schema(include_str!("../../table/schema.txt")));

impl Schema {
    /// The table of upstream's types; parsed at the first call, which takes a few milliseconds.
    pub fn builtin() -> &'static Schema {
        &BUILTIN
    }

    /// A type by its number.
    pub fn ty(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// A shape by its number.
    pub fn shape(&self, id: ShapeId) -> Shape {
        self.shapes[id.0 as usize].0
    }

    /// A shape as Go prints its type, as in `[]v1.Container`.
    pub fn go_type(&self, id: ShapeId) -> &str {
        &self.shapes[id.0 as usize].1
    }

    /// A struct as Go prints its type, as in `v1.Pod`.
    pub fn go_struct(&self, id: TypeId) -> String {
        let mut words = self.ty(id).name.rsplitn(3, '.');
        let (base, package) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        format!("{package}.{base}")
    }

    /// A type by OpenAPI's name.
    pub fn by_name(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// The type behind a kind; kinds of meta/v1 (`Status`, `DeleteOptions`, `WatchEvent`, …) are found in `meta.k8s.io/v1` and
    /// in every version that has built-in kinds, but not in those of custom resources, which may call a kind `Table`.
    pub fn kind(&self, gvk: &GroupVersionKind) -> Option<TypeId> {
        self.find_kind(&gvk.group, &gvk.version, &gvk.kind)
    }

    /// The same by words.
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        // The table's keys live for ever, these do not: the map is seen as one of shorter keys.
        let kinds: &HashMap<KindKey<'_>, TypeId> = &self.kinds;
        let found = kinds.get(&KindKey { group, version, kind });
        let everywhere = || {
            let versions: &HashSet<(&str, &str)> = &self.versions;
            let known = group == "meta.k8s.io" || versions.contains(&(group, version));
            known.then(|| kinds.get(&KindKey { group: "", version: "", kind })).flatten()
        };
        found.or_else(everywhere).copied()
    }

    /// Every kind, sorted by group, version and name; those of meta/v1 once, with an empty version.
    pub fn kinds(&self) -> impl Iterator<Item = (GroupVersionKind, TypeId)> {
        self.ordered_kinds.iter().map(|(key, id)| (GroupVersionKind::of(key.group, key.version, key.kind), *id))
    }

    /// How many types the table has.
    pub fn types_len(&self) -> usize {
        self.types.len()
    }
}
