//! YAML to JSON: the first document of a text, as upstream converts bodies before it decodes them.
//!
//! Promises: scalars mean what YAML 1.1 says; keys are made text as upstream makes them; anchors, aliases and merge keys
//! work, within a bound; duplicate keys are reported, and the last one counts. Nesting is bounded.
//! Does not: give syntax errors in the very words of Go's library, or take U+0085, U+2028 and U+2029 for line breaks.
//! Source: `sigs.k8s.io/yaml` `yaml.go`, `go.yaml.in/yaml/v2` `decode.go`.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use thiserror::Error;

use super::resolve::{Resolved, resolve};
use crate::json;
use crate::object::{Map, Value};
use crate::text::quote;

/// Values that aliases may repeat in all.
const ALIASED_VALUES_MAX: usize = 400_000;

/// Why text is no YAML, or has no JSON.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// It is no YAML.
    #[error("yaml: line {line}: {problem}")]
    Syntax {
        /// Counted from one.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Something that YAML can say and JSON cannot, or that is too much.
    #[error("{0}")]
    Value(String),
}

fn value_error(text: impl Into<String>) -> Error {
    Error::Value(text.into())
}

/// JSON made of YAML.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The JSON text.
    pub json: Vec<u8>,
    /// What upstream's strict conversion says of duplicate keys.
    pub duplicates: Option<String>,
}

/// The first document as JSON; `null` for an empty text.
///
/// # Errors
/// When it is no YAML, or says what JSON cannot.
pub fn to_json(text: &[u8]) -> Result<Converted, Error> {
    let text = String::from_utf8_lossy(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(&text) {
        let (event, span) = event.map_err(|error| syntax_error(&error))?;
        if builder.take(event, span)? {
            break;
        }
    }
    let mut json = Vec::with_capacity(text.len());
    json::encode_value(&mut json, &builder.root);
    let said = (!builder.duplicates.is_empty())
        .then(|| format!("yaml: unmarshal errors:\n  {}", builder.duplicates.join("\n  ")));
    Ok(Converted { json, duplicates: said })
}

fn syntax_error(error: &ScanError) -> Error {
    Error::Syntax { line: error.marker().line(), problem: error.info().to_owned() }
}

/// A collection that is not closed yet.
enum Open {
    List(Vec<Value>),
    Map { entries: Map, key: Option<Key> },
}

enum Key {
    Name(String),
    /// `<<`: the value's entries join the map.
    Merge,
}

#[derive(Default)]
struct Builder {
    open: Vec<(Open, usize)>,
    root: Value,
    anchors: HashMap<usize, (Value, usize)>,
    aliased: usize,
    duplicates: Vec<String>,
}

impl Builder {
    /// Takes an event; true when the document is done.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<bool, Error> {
        let line = span.start.line();
        match event {
            Event::DocumentEnd | Event::StreamEnd => return Ok(true),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::SequenceStart(anchor, _) => self.push(Open::List(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => self.push(Open::Map { entries: Map::new(), key: None }, anchor)?,
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(elements), anchor)) => self.value(Value::List(elements), anchor, line)?,
                Some((Open::Map { entries, .. }, anchor)) => self.value(Value::Map(entries), anchor, line)?,
                None => return Err(value_error("yaml: a collection ends that did not begin")),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if self.wants_key() {
                    let key = if plain && text == "<<" { Key::Merge } else { Key::Name(name(&text, plain, &tag)?) };
                    self.anchors.insert(anchor, (Value::String(text.into_owned()), 1));
                    self.set_key(key);
                } else {
                    self.value(scalar(&text, plain, &tag)?, anchor, line)?;
                }
            }
            Event::Alias(anchor) => {
                let (value, size) =
                    self.anchors.get(&anchor).ok_or_else(|| value_error("yaml: an anchor's value contains itself"))?;
                self.aliased += size;
                if self.aliased > ALIASED_VALUES_MAX {
                    return Err(value_error("yaml: document contains excessive aliasing"));
                }
                let value = value.clone();
                match (self.wants_key(), value) {
                    (true, Value::String(text)) => self.set_key(Key::Name(text)),
                    (true, _) => return Err(value_error("unsupported map key of a collection")),
                    (false, value) => self.value(value, 0, line)?,
                }
            }
        }
        Ok(false)
    }

    fn push(&mut self, open: Open, anchor: usize) -> Result<(), Error> {
        if self.wants_key() {
            return Err(value_error("yaml: invalid map key: a collection"));
        }
        if self.open.len() >= json::DEPTH_MAX {
            return Err(value_error(format!("yaml: exceeded max depth of {}", json::DEPTH_MAX)));
        }
        self.open.push((open, anchor));
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some((Open::Map { key: None, .. }, _)))
    }

    fn set_key(&mut self, next: Key) {
        if let Some((Open::Map { key, .. }, _)) = self.open.last_mut() {
            *key = Some(next);
        }
    }

    fn value(&mut self, value: Value, anchor: usize, line: usize) -> Result<(), Error> {
        if anchor > 0 {
            let size = size(&value);
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => self.root = value,
            Some((Open::List(elements), _)) => elements.push(value),
            Some((Open::Map { entries, key }, _)) => match key.take() {
                Some(Key::Name(name)) => {
                    if entries.get(&name).is_some() {
                        self.duplicates.push(format!("line {line}: key {} already set in map", quote(&name)));
                    }
                    entries.insert(name, value);
                }
                Some(Key::Merge) => merge(entries, value)?,
                None => return Err(value_error("yaml: a value without a key")),
            },
        }
        Ok(())
    }
}

/// A map, or a list of maps of which the first counts.
fn merge(into: &mut Map, value: Value) -> Result<(), Error> {
    const SAID: &str = "yaml: map merge requires map or sequence of maps as the value";
    match value {
        Value::Map(map) => map.into_iter().for_each(|(name, value)| {
            into.insert(name, value);
        }),
        Value::List(maps) => {
            for map in maps.into_iter().rev() {
                match map {
                    Value::Map(_) => merge(into, map)?,
                    _ => return Err(value_error(SAID)),
                }
            }
        }
        _ => return Err(value_error(SAID)),
    }
    Ok(())
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::List(elements) => elements.iter().map(size).sum(),
        Value::Map(map) => map.iter().map(|(_, value)| size(value)).sum(),
        _ => 0,
    }
}

/// The part of a tag behind YAML's own prefix.
fn core_tag<'t>(tag: &'t Option<std::borrow::Cow<'_, Tag>>) -> Option<&'t str> {
    tag.as_ref().filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str())
}

fn meaning(text: &str, plain: bool, tag: &Option<std::borrow::Cow<'_, Tag>>) -> Result<Resolved, Error> {
    let tag = core_tag(tag);
    if tag == Some("str") || tag.is_none() && !plain {
        return Ok(Resolved::Text);
    }
    let found = resolve(text);
    let kind = match &found {
        Resolved::Null => "null",
        Resolved::Bool(_) => "bool",
        Resolved::Int(_) | Resolved::Uint(_) => "int",
        Resolved::Float(_) => "float",
        Resolved::Timestamp => "timestamp",
        Resolved::Text => "str",
    };
    match (tag, found) {
        (Some("float"), Resolved::Int(number)) => Ok(Resolved::Float(number as f64)),
        (Some(wanted @ ("null" | "bool" | "int" | "float" | "timestamp")), _) if wanted != kind => {
            Err(value_error(format!("yaml: cannot decode !!{kind} `{text}` as a !!{wanted}")))
        }
        (_, found) => Ok(found),
    }
}

fn scalar(text: &str, plain: bool, tag: &Option<std::borrow::Cow<'_, Tag>>) -> Result<Value, Error> {
    match meaning(text, plain, tag)? {
        Resolved::Null => Ok(Value::Null),
        Resolved::Bool(truth) => Ok(Value::Bool(truth)),
        Resolved::Int(number) => Ok(Value::Int(number)),
        Resolved::Uint(number) => Ok(Value::Float(number as f64)),
        Resolved::Float(number) if number.is_finite() => Ok(Value::Float(number)),
        Resolved::Float(number) => {
            let name = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            Err(value_error(format!("json: unsupported value: {name}")))
        }
        Resolved::Timestamp | Resolved::Text => Ok(Value::String(text.to_owned())),
    }
}

/// A key as text.
fn name(text: &str, plain: bool, tag: &Option<std::borrow::Cow<'_, Tag>>) -> Result<String, Error> {
    match meaning(text, plain, tag)? {
        Resolved::Text | Resolved::Timestamp => Ok(text.to_owned()),
        Resolved::Bool(truth) => Ok(truth.to_string()),
        Resolved::Int(number) => Ok(number.to_string()),
        Resolved::Uint(number) => Ok(number.to_string()),
        Resolved::Float(number) => Ok(super::emit::go_float(f64::from(number as f32))),
        Resolved::Null => Err(value_error("unsupported map key of type: null")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        String::from_utf8(to_json(text.as_bytes()).unwrap().json).unwrap()
    }

    #[test]
    fn documents_become_json() {
        assert_eq!(
            json("a: 1\nb: [x, 'y', \"z\", yes, ~]\nc:\n  d: 1.5\n"),
            r#"{"a":1,"b":["x","y","z",true,null],"c":{"d":1.5}}"#
        );
        assert_eq!(json("a: 'yes'\nb: |\n  x\n  y\nc: >-\n  x\n  y\n"), r#"{"a":"yes","b":"x\ny\n","c":"x y"}"#);
        assert_eq!(json("1: a\ntrue: b\n1.5: c\n"), r#"{"1":"a","1.5":"c","true":"b"}"#);
        assert_eq!(json("a: 1\n---\nb: 2\n"), r#"{"a":1}"#);
        assert_eq!(json(""), "null");
        assert_eq!(json(r#"{"a": [1, {"b": "\u00e9"}]}"#), r#"{"a":[1,{"b":"é"}]}"#);
        assert_eq!(json("t: 2001-02-03\nv: !!str 1\n"), r#"{"t":"2001-02-03","v":"1"}"#);
    }

    #[test]
    fn anchors_and_merge_keys_work() {
        assert_eq!(
            json("a: &x {k: 1, l: 2}\nb: *x\nc:\n  <<: *x\n  l: 3\n"),
            r#"{"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":1,"l":3}}"#
        );
    }

    #[test]
    fn duplicate_keys_are_told_by_line_and_the_last_counts() {
        let converted = to_json(b"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n").unwrap();
        assert_eq!(converted.json, br#"{"a":3,"b":{"c":2}}"#);
        assert_eq!(
            converted.duplicates.unwrap(),
            "yaml: unmarshal errors:\n  line 4: key \"c\" already set in map\n  line 5: key \"a\" already set in map"
        );
    }

    #[test]
    fn what_is_too_much_or_no_json_is_refused() {
        let mut laughs = "a0: &a0 [x]\n".to_owned();
        for at in 1..10 {
            laughs += &format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 10].join(","));
        }
        for text in
            [laughs.as_str(), &"[".repeat(5_000), "a: .inf", "a: [", "? [a]\n: b\n", "a: b: c", "a: *x", "a: &x [*x]"]
        {
            assert!(to_json(text.as_bytes()).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }
}
