//! Encoded objects, read and edited without decoding them: what a cache needs of the bytes that it keeps.
//!
//! [`Header`] is what every watcher and every list asks of an object; [`attributes`] are the values of its field labels;
//! [`Seams`] are the places at which a stored object is cut to be served: stored bytes have no resource version, and items of
//! built-in lists say neither kind nor version. All work on JSON that has been checked (`json::validate`) and cost one pass.
//! Does not: work on protobuf, or change anything but those places.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{Reader, Token};
use crate::resource_version::ResourceVersion;
use crate::selector::attributes::Attribute;

/// The metadata that is asked for most; texts borrow from the JSON where they have no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// The namespace; empty when there is none.
    pub namespace: Cow<'a, str>,
    /// The uid.
    pub uid: Cow<'a, str>,
    /// The resource version, if the bytes have one.
    pub resource_version: Cow<'a, str>,
    /// The generation; 0 when absent.
    pub generation: i64,
    /// When it was created, as printed.
    pub creation_timestamp: Cow<'a, str>,
    /// When it is to be gone, as printed; empty while it lives.
    pub deletion_timestamp: Cow<'a, str>,
    /// How long its end may take.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels, in the order in which they stand.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Finalizers.
    pub finalizers: Vec<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// Of an encoded object; whatever is not there, or of another type, stays empty.
    pub fn read(json: &'a str) -> Header<'a> {
        let mut header = Header::default();
        each_member(json, |key, raw| {
            if key == "metadata" {
                each_member(raw, |key, raw| header.set(&key, raw));
            }
        });
        header
    }

    fn set(&mut self, key: &str, raw: &'a str) {
        match key {
            "name" => self.name = text(raw),
            "namespace" => self.namespace = text(raw),
            "uid" => self.uid = text(raw),
            "resourceVersion" => self.resource_version = text(raw),
            "generation" => self.generation = raw.parse().unwrap_or_default(),
            "creationTimestamp" => self.creation_timestamp = text(raw),
            "deletionTimestamp" => self.deletion_timestamp = text(raw),
            "deletionGracePeriodSeconds" => self.deletion_grace_period_seconds = raw.parse().ok(),
            "labels" => each_member(raw, |key, raw| self.labels.push((key, text(raw)))),
            "finalizers" => {
                let mut reader = Reader::new(raw);
                if reader.peek() == Token::Array {
                    reader.enter();
                    while reader.more(self.finalizers.is_empty()) {
                        self.finalizers.push(text(reader.raw()));
                    }
                }
            }
            _ => {}
        }
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }
}

fn text(raw: &str) -> Cow<'_, str> {
    let mut reader = Reader::new(raw);
    if reader.peek() == Token::String { reader.string() } else { Cow::Borrowed("") }
}

/// The members of an object; none of anything else.
fn each_member<'a>(json: &'a str, mut see: impl FnMut(Cow<'a, str>, &'a str)) {
    let mut reader = Reader::new(json);
    if reader.peek() != Token::Object {
        return;
    }
    let mut first = true;
    reader.enter();
    while reader.more(std::mem::replace(&mut first, false)) {
        let key = reader.key();
        see(key, reader.raw());
    }
}

/// The values of field labels, in their order.
pub fn attributes<'a>(json: &'a str, wanted: &[Attribute]) -> Vec<Cow<'a, str>> {
    let places: Vec<(usize, &[&str])> =
        wanted.iter().enumerate().flat_map(|(at, each)| each.paths.iter().map(move |path| (at, *path))).collect();
    let mut found: Vec<(usize, &[&str], Cow<'a, str>)> = Vec::new();
    walk(json, &places, 0, &mut found);
    let value = |(at, each): (usize, &Attribute)| {
        let mut values = each.paths.iter().filter_map(|path| {
            let here = |(other, place, value): &&(usize, &[&str], Cow<'_, str>)| {
                *other == at && place == path && !value.is_empty()
            };
            found.iter().find(here).map(|(_, _, value)| value.clone())
        });
        values.next().unwrap_or(Cow::Borrowed(each.absent))
    };
    wanted.iter().enumerate().map(value).collect()
}

fn walk<'a, 'p>(
    json: &'a str,
    places: &[(usize, &'p [&'p str])],
    depth: usize,
    found: &mut Vec<(usize, &'p [&'p str], Cow<'a, str>)>,
) {
    each_member(json, |key, raw| {
        let on_the_way: Vec<_> =
            places.iter().filter(|(_, path)| path.get(depth) == Some(&key.as_ref())).copied().collect();
        if on_the_way.is_empty() {
            return;
        }
        for (at, path) in on_the_way.iter().filter(|(_, path)| path.len() == depth + 1) {
            let value = match Reader::new(raw).peek() {
                Token::String => text(raw),
                Token::Bool | Token::Number => Cow::Borrowed(raw),
                _ => continue,
            };
            found.push((*at, path, value));
        }
        walk(raw, &on_the_way, depth + 1, found);
    });
}

/// Where an encoded object is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seams {
    /// `kind` and `apiVersion` with the comma behind them, where they stand in front.
    head: Range<usize>,
    /// A resource version that is there, or the place for one.
    version: Range<usize>,
    comma_before: bool,
    comma_behind: bool,
}

/// Fields that Go prints before the resource version.
const BEFORE: [&str; 5] = ["name", "generateName", "namespace", "selfLink", "uid"];

impl Seams {
    /// Of an encoded object; `None` when it has no metadata.
    pub fn find(json: &str) -> Option<Seams> {
        let mut reader = Reader::new(json);
        if reader.peek() != Token::Object {
            return None;
        }
        reader.enter();
        let start = reader.position();
        let (mut head, mut in_head, mut sorted) = (start..start, true, false);
        let (mut metadata, mut first) = (None, true);
        while reader.more(first) {
            let here = reader.position();
            if in_head {
                head.end = here;
            }
            let key = reader.key();
            sorted |= first && key != "kind";
            first = false;
            in_head &= matches!(key.as_ref(), "kind" | "apiVersion");
            let value = reader.position();
            let raw = reader.raw();
            if key == "metadata" {
                metadata = Some((value, raw));
            }
        }
        let (offset, raw) = metadata?;
        let (at, comma_before, comma_behind) = place(raw, sorted)?;
        Some(Seams { head, version: offset + at.start..offset + at.end, comma_before, comma_behind })
    }

    /// The object as it is served: with its resource version, and in a list of built-in objects without kind and version.
    pub fn write(&self, out: &mut Vec<u8>, json: &str, version: ResourceVersion, with_kind: bool) {
        let bytes = json.as_bytes();
        let digits = version.to_string();
        out.reserve(bytes.len() + digits.len() + 24);
        if with_kind {
            out.extend_from_slice(&bytes[..self.version.start]);
        } else {
            out.extend_from_slice(&bytes[..self.head.start]);
            out.extend_from_slice(&bytes[self.head.end..self.version.start]);
        }
        if self.comma_before {
            out.push(b',');
        }
        out.extend_from_slice(b"\"resourceVersion\":\"");
        out.extend_from_slice(digits.as_bytes());
        out.push(b'"');
        if self.comma_behind {
            out.push(b',');
        }
        out.extend_from_slice(&bytes[self.version.end..]);
    }
}

/// Where in metadata the resource version is or belongs, and whether it needs a comma before or behind.
fn place(metadata: &str, sorted: bool) -> Option<(Range<usize>, bool, bool)> {
    let mut reader = Reader::new(metadata);
    if reader.peek() != Token::Object {
        return None;
    }
    reader.enter();
    let mut end = reader.position();
    let mut first = true;
    while reader.more(std::mem::replace(&mut first, false)) {
        let start = reader.position();
        let key = reader.key();
        reader.skip_value();
        if key == "resourceVersion" {
            return Some((start..reader.offset(), false, false));
        }
        let before = if sorted { key.as_ref() < "resourceVersion" } else { BEFORE.contains(&key.as_ref()) };
        if !before && end == start_of_members(metadata) {
            return Some((start..start, false, true));
        }
        if !before {
            break;
        }
        end = reader.offset();
    }
    let none_before = end == start_of_members(metadata);
    Some((end..end, !none_before, false))
}

fn start_of_members(object: &str) -> usize {
    let mut reader = Reader::new(object);
    reader.enter();
    reader.position()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvk::GroupVersionKind;
    use crate::selector::attributes;

    const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u","generation":2,"labels":{"x":"1","y":"\u00e9"},"finalizers":["f/g"]},"spec":{"nodeName":"node","hostNetwork":true,"containers":[{"name":"spec"}]},"status":{"phase":"Running"}}"#;

    fn served(json: &str, with_kind: bool) -> String {
        let mut out = Vec::new();
        Seams::find(json).unwrap().write(&mut out, json, ResourceVersion::new(42).unwrap(), with_kind);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_header_is_read_without_decoding_the_rest() {
        let header = Header::read(POD);
        assert_eq!((&*header.name, &*header.namespace, &*header.uid, header.generation), ("a", "n", "u", 2));
        assert_eq!((header.label("y"), header.label("z")), (Some("é"), None));
        assert_eq!((header.finalizers.as_slice(), &*header.deletion_timestamp), (&[Cow::Borrowed("f/g")][..], ""));
    }

    #[test]
    fn attributes_are_those_of_the_decoded_object() {
        let wanted = attributes::of(&GroupVersionKind::of("", "v1", "Pod"));
        let values = super::attributes(POD, wanted);
        assert_eq!(values, ["node", "", "", "", "true", "Running", "", "", ""]);
        let fields = crate::json::decode_free(POD.as_bytes(), crate::json::Unknown::Ignore).unwrap().fields;
        let decoded: Vec<_> = wanted.iter().map(|each| attributes::value(each, &fields)).collect();
        assert_eq!(values, decoded);
    }

    #[test]
    fn the_resource_version_goes_where_go_prints_it() {
        let with = POD.replace(r#""uid":"u","#, r#""uid":"u","resourceVersion":"42","#);
        assert_eq!(served(POD, true), with);
        assert_eq!(served(POD, false), with.replace(r#""kind":"Pod","apiVersion":"v1","#, ""));
    }

    #[test]
    fn in_a_custom_resource_it_goes_where_the_sorting_puts_it() {
        let foo = r#"{"apiVersion":"e/v1","kind":"Foo","metadata":{"name":"a","uid":"u"},"spec":{}}"#;
        assert_eq!(served(foo, true), foo.replace(r#""uid""#, r#""resourceVersion":"42","uid""#));
        let last = r#"{"apiVersion":"e/v1","kind":"Foo","metadata":{"name":"a"}}"#;
        assert_eq!(served(last, true), last.replace(r#""a""#, r#""a","resourceVersion":"42""#));
    }

    #[test]
    fn odd_metadata_is_served_right_too() {
        for (json, expected) in [
            (r#"{"kind":"A","metadata":{}}"#, r#"{"kind":"A","metadata":{"resourceVersion":"42"}}"#),
            (
                r#"{"kind":"A","metadata":{"labels":{}}}"#,
                r#"{"kind":"A","metadata":{"resourceVersion":"42","labels":{}}}"#,
            ),
            (
                r#"{"kind":"A","metadata":{"name":"a","resourceVersion":"7","labels":{}}}"#,
                r#"{"kind":"A","metadata":{"name":"a","resourceVersion":"42","labels":{}}}"#,
            ),
            (
                r#"{ "kind" : "A", "metadata" : { "name" : "a" } }"#,
                r#"{ "kind" : "A", "metadata" : { "name" : "a","resourceVersion":"42" } }"#,
            ),
        ] {
            assert_eq!(served(json, true), expected);
        }
        assert_eq!(Seams::find(r#"{"kind":"A"}"#), None);
        assert_eq!(Seams::find("[]"), None);
    }
}
