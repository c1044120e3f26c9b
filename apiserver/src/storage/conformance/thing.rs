//! The kind that the suite stores, with a codec as simple as can be.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::{Attributes, BoxError, Codec, Event, Object, Predicate, Revision};

/// A stored thing: its uid says which life of the name it is, its `n` what was written last.
#[must_use]
pub fn thing(namespace: &str, name: &str, color: &str, n: u64) -> Bytes {
    let labels = if color.is_empty() { json!({}) } else { json!({ "color": color }) };
    let metadata = json!({ "namespace": namespace, "name": name, "uid": format!("uid-{name}"), "labels": labels });
    json!({ "apiVersion": "v1", "kind": "Thing", "metadata": metadata, "n": n }).to_string().into()
}

/// The number that was written last.
pub(crate) fn number(object: &Object) -> u64 {
    serde_json::from_slice::<Value>(&object.encoded).ok().and_then(|thing| thing["n"].as_u64()).unwrap_or_default()
}

/// The resourceVersion in the object itself.
pub(crate) fn resource_version(object: &Object) -> String {
    let thing = serde_json::from_slice::<Value>(&object.encoded).unwrap_or_default();
    thing["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

/// `ADDED ns/a=1`.
pub(crate) fn show(event: &Event) -> String {
    let (kind, object) = match event {
        Event::Added(object) => ("ADDED", object),
        Event::Modified(object) => ("MODIFIED", object),
        Event::Deleted(object) => ("DELETED", object),
        Event::Bookmark { initial_events_end: true, .. } => return "END".to_owned(),
        Event::Bookmark { .. } => return "BOOKMARK".to_owned(),
    };
    format!("{kind} {}", show_object(object))
}

/// `ns/a=1`.
pub(crate) fn show_object(object: &Object) -> String {
    let mut shown = object.attributes.namespace.as_deref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    write!(shown, "{}={}", object.attributes.name, number(object)).expect("a string takes all");
    shown
}

/// Reads and splices things with serde_json.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThingCodec;

impl Codec for ThingCodec {
    fn attributes(&self, stored: &[u8]) -> Result<Attributes, BoxError> {
        let thing: Value = serde_json::from_slice(stored)?;
        let metadata = &thing["metadata"];
        let text = |value: &Value| value.as_str().map(Box::from);
        let labels = metadata["labels"].as_object().into_iter().flatten();
        Ok(Attributes {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]).ok_or("it has no name")?,
            uid: text(&metadata["uid"]),
            labels: labels.filter_map(|(key, value)| Some((key.as_str().into(), text(value)?))).collect(),
            fields: Box::default(),
        })
    }

    fn splice(&self, object: &Bytes, revision: Revision) -> Result<Bytes, BoxError> {
        let mut thing: Value = serde_json::from_slice(object)?;
        thing["metadata"]["resourceVersion"] = revision.to_string().into();
        Ok(thing.to_string().into())
    }
}

/// Selects things of one color.
#[derive(Clone, Debug)]
pub struct Labelled(pub &'static str);

impl Predicate for Labelled {
    fn matches(&self, attributes: &Attributes) -> bool {
        attributes.labels.iter().any(|(key, value)| &**key == "color" && &**value == self.0)
    }
}
