//! Bodies of requests and answers: an object out of bytes and bytes out of an object, in any of the three forms.
//!
//! The one door for those who do not care how a form works: [`decode`] finds out what a body says it is, falls back to what
//! the request is about, and reports unknown and duplicate fields; [`encode`] writes an object so.
//! Does not: decide whether the kind that came is one the request may bring, or add a line end.
//! Source: apimachinery `pkg/runtime/serializer/{json,protobuf}`, `pkg/runtime/error.go`.

use thiserror::Error;

use crate::gvk::{BadGroupVersion, GroupVersion, GroupVersionKind};
use crate::json::{self, Unknown};
use crate::object::Object;
use crate::protobuf::{self, envelope};
use crate::schema::{Schema, TypeId};
use crate::yaml;

/// A form of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Form {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Yaml => "application/yaml",
            Form::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// What it says.
    pub object: Object,
    /// The type of a built-in kind.
    pub ty: Option<TypeId>,
    /// Unknown and duplicate fields, if they were to be reported.
    pub problems: Vec<String>,
}

/// Why bytes are no object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// It cannot be found out what they are.
    #[error(transparent)]
    Interpret(#[from] json::NoKind),
    /// They are not of the kind that they say.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// They are no YAML.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// They are no protobuf.
    #[error(transparent)]
    Envelope(#[from] envelope::Error),
    /// The message is not of the kind that the envelope says.
    #[error(transparent)]
    Protobuf(#[from] protobuf::Error),
    /// They say no kind, and none is expected.
    #[error("Object 'Kind' is missing in '{0}'")]
    NoKind(String),
    /// They say no version, and none is expected.
    #[error("Object 'apiVersion' is missing in '{0}'")]
    NoVersion(String),
    /// The version is none.
    #[error(transparent)]
    Version(#[from] BadGroupVersion),
    /// The kind has no protobuf form: it is a custom resource's, or nobody's.
    #[error("no kind \"{0}\" with a protobuf form")]
    NoProtobuf(GroupVersionKind),
}

/// What the body says it is, completed by what is expected.
fn completed(
    api_version: &str,
    kind: String,
    expected: Option<&GroupVersionKind>,
    bytes: &[u8],
) -> Result<GroupVersionKind, Error> {
    let mut found = GroupVersion::parse(api_version)?.kind(kind);
    if let Some(expected) = expected {
        if found.kind.is_empty() {
            found.kind = expected.kind.clone();
        }
        if found.version.is_empty() && found.group.is_empty() {
            found.group = expected.group.clone();
        }
        if found.version.is_empty() && found.group == expected.group {
            found.version = expected.version.clone();
        }
    }
    let body = || String::from_utf8_lossy(bytes).into_owned();
    match (found.kind.is_empty(), found.version.is_empty()) {
        (true, _) => Err(Error::NoKind(body())),
        (false, true) => Err(Error::NoVersion(body())),
        (false, false) => Ok(found),
    }
}

/// An object out of a body; `expected` stands in for a kind or version that the body does not say.
///
/// # Errors
/// When the bytes are no object, with upstream's text.
pub fn decode(bytes: &[u8], form: Form, expected: Option<&GroupVersionKind>, unknown: Unknown) -> Result<Body, Error> {
    match form {
        Form::Json => decode_json(bytes, bytes, expected, unknown, None),
        Form::Yaml => {
            let converted = yaml::to_json(bytes)?;
            decode_json(&converted.json, bytes, expected, unknown, converted.duplicates)
        }
        Form::Protobuf => {
            let envelope = envelope::open(bytes)?;
            let kind = completed(&envelope.api_version, envelope.kind, expected, bytes)?;
            let ty = Schema::builtin().kind(&kind).filter(|ty| Schema::builtin().ty(*ty).protobuf);
            let Some(ty) = ty else { return Err(Error::NoProtobuf(kind)) };
            let fields = protobuf::decode(ty, envelope.raw)?;
            Ok(Body { object: Object { kind, fields }, ty: Some(ty), problems: Vec::new() })
        }
    }
}

fn decode_json(
    json: &[u8],
    original: &[u8],
    expected: Option<&GroupVersionKind>,
    unknown: Unknown,
    duplicates: Option<String>,
) -> Result<Body, Error> {
    let said = json::interpret(json)?;
    let kind = completed(&said.api_version, said.kind, expected, original)?;
    let ty = Schema::builtin().kind(&kind);
    let mut decoded = match ty {
        Some(ty) => json::decode(ty, json, unknown)?,
        None => json::decode_free(json, unknown)?,
    };
    decoded.fields.remove("apiVersion");
    decoded.fields.remove("kind");
    let mut problems = decoded.problems;
    if let (Some(duplicates), Unknown::Report) = (duplicates, unknown) {
        problems.insert(0, duplicates);
    }
    Ok(Body { object: Object { kind, fields: decoded.fields }, ty, problems })
}

/// An object as a body; `None` when its kind has no such form.
pub fn encode(object: &Object, form: Form) -> Option<Vec<u8>> {
    let ty = Schema::builtin().kind(&object.kind);
    match form {
        Form::Json => Some(json::encode(object, ty)),
        Form::Yaml => {
            let json = json::encode(object, ty);
            Some(yaml::from_json(&String::from_utf8_lossy(&json)))
        }
        Form::Protobuf => {
            let ty = ty.filter(|ty| Schema::builtin().ty(*ty).protobuf)?;
            Some(envelope::seal(object, ty))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [Form; 3] = [Form::Json, Form::Yaml, Form::Protobuf];

    #[test]
    fn an_object_is_the_same_in_every_form() {
        let text = br#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"x":"yes"}}"#;
        let body = decode(text, Form::Json, None, Unknown::Report).unwrap();
        for form in FORMS {
            let bytes = encode(&body.object, form).unwrap();
            assert_eq!(decode(&bytes, form, None, Unknown::Report).unwrap(), body, "{form:?}");
        }
    }

    #[test]
    fn what_a_body_does_not_say_comes_from_the_request() {
        let expected = GroupVersionKind::of("apps", "v1", "Deployment");
        let body = decode(br#"{"metadata":{"name":"a"}}"#, Form::Json, Some(&expected), Unknown::Report).unwrap();
        assert_eq!((body.object.kind, body.object.fields.len()), (expected, 1));
        let said = |text: &str| decode(text.as_bytes(), Form::Json, None, Unknown::Report).unwrap_err().to_string();
        assert_eq!(said("{}"), "Object 'Kind' is missing in '{}'");
        assert_eq!(said(r#"{"kind":"Pod"}"#), r#"Object 'apiVersion' is missing in '{"kind":"Pod"}'"#);
    }

    #[test]
    fn custom_resources_have_no_protobuf_and_keep_all_fields() {
        let text = br#"{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"a"},"spec":{"b":1,"a":2}}"#;
        let body = decode(text, Form::Json, None, Unknown::Report).unwrap();
        assert_eq!((body.ty, body.problems.len()), (None, 0));
        assert_eq!(encode(&body.object, Form::Protobuf), None);
        assert_eq!(
            encode(&body.object, Form::Yaml).unwrap(),
            b"apiVersion: example.com/v1\nkind: Foo\nmetadata:\n  name: a\nspec:\n  a: 2\n  b: 1\n"
        );
    }

    #[test]
    fn a_custom_resource_may_be_called_as_a_kind_of_meta_is() {
        let text = br#"{"apiVersion":"example.com/v1","kind":"Table","legs":4}"#;
        let body = decode(text, Form::Json, None, Unknown::Report).unwrap();
        assert_eq!((body.ty, body.problems.len(), body.object.fields.len()), (None, 0, 1));
        let options = br#"{"apiVersion":"apps/v1","kind":"DeleteOptions","gracePeriodSeconds":1}"#;
        assert!(decode(options, Form::Json, None, Unknown::Report).unwrap().ty.is_some());
    }

    #[test]
    fn duplicate_keys_of_yaml_are_told_before_unknown_fields() {
        let text = b"apiVersion: v1\nkind: ConfigMap\ndata: {}\ndata: {}\nfoo: 1\n";
        let body = decode(text, Form::Yaml, None, Unknown::Report).unwrap();
        assert_eq!(
            body.problems,
            ["yaml: unmarshal errors:\n  line 4: key \"data\" already set in map", "unknown field \"foo\""]
        );
        assert!(decode(text, Form::Yaml, None, Unknown::Ignore).unwrap().problems.is_empty());
    }
}
