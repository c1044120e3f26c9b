//! What is wrong with which field: upstream's `field.Error` and its list.
//!
//! Promises: types, bodies and their join are upstream's, word for word. A bad value is kept as the text that the message
//! shows: a string quoted, a simple value bare, anything else as JSON.
//! Source: apimachinery `pkg/util/validation/field/{errors,path}.go`, `pkg/util/errors/errors.go`.

use std::collections::HashSet;
use std::fmt;

use crate::json;
use crate::object::Value;
use crate::text::quote;

/// Where a field is, as in `spec.containers[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// The root of a path.
    pub fn new(name: &str) -> Path {
        Path(name.to_owned())
    }

    /// A field of this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Path {
        match self.0.is_empty() {
            true => Path::new(name),
            false => Path(format!("{}.{name}", self.0)),
        }
    }

    /// An element of this list.
    #[must_use]
    pub fn index(&self, at: usize) -> Path {
        Path(format!("{}[{at}]", self.0))
    }

    /// A value of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Path {
        Path(format!("{}[{key}]", self.0))
    }
}

/// As upstream prints it; the path that is none is `<nil>`.
impl fmt::Display for Path {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// Kinds of complaint: the `reason` of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something named is not there.
    NotFound,
    /// Missing.
    Required,
    /// There twice.
    Duplicate,
    /// Malformed.
    Invalid,
    /// Not among the values that are taken.
    NotSupported,
    /// Must not be there, or not like this.
    Forbidden,
    /// Too long.
    TooLong,
    /// Too many elements.
    TooMany,
    /// Too few elements.
    TooFew,
    /// Our fault.
    Internal,
    /// Of another type.
    TypeInvalid,
    /// Too short.
    TooShort,
}

impl Kind {
    /// The cause's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Kind::NotFound => "FieldValueNotFound",
            Kind::Required => "FieldValueRequired",
            Kind::Duplicate => "FieldValueDuplicate",
            Kind::Invalid => "FieldValueInvalid",
            Kind::NotSupported => "FieldValueNotSupported",
            Kind::Forbidden => "FieldValueForbidden",
            Kind::TooLong => "FieldValueTooLong",
            Kind::TooMany => "FieldValueTooMany",
            Kind::TooFew => "FieldValueTooFew",
            Kind::Internal => "InternalError",
            Kind::TypeInvalid => "FieldValueTypeInvalid",
            Kind::TooShort => "FieldValueTooShort",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Kind::NotFound => "Not found",
            Kind::Required => "Required value",
            Kind::Duplicate => "Duplicate value",
            Kind::Invalid | Kind::TypeInvalid => "Invalid value",
            Kind::NotSupported => "Unsupported value",
            Kind::Forbidden => "Forbidden",
            Kind::TooLong => "Too long",
            Kind::TooMany => "Too many",
            Kind::TooFew => "Too few",
            Kind::Internal => "Internal error",
            Kind::TooShort => "Too short",
        }
    }
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of complaint.
    pub kind: Kind,
    /// The field's path as printed.
    pub field: String,
    /// The value as the message shows it; `None` where it shows none.
    pub bad_value: Option<String>,
    /// More words; may be empty.
    pub detail: String,
}

/// A value as a message shows it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        value => {
            let mut out = Vec::new();
            json::encode_value(&mut out, value);
            String::from_utf8_lossy(&out).into_owned()
        }
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl Error {
    fn new(kind: Kind, field: &Path, bad_value: Option<&Value>, detail: impl Into<String>) -> Error {
        Error { kind, field: field.to_string(), bad_value: bad_value.map(shown), detail: detail.into() }
    }

    /// Something named is not there.
    pub fn not_found(field: &Path, value: impl Into<Value>) -> Error {
        Error::new(Kind::NotFound, field, Some(&value.into()), "")
    }

    /// It is missing.
    pub fn required(field: &Path, detail: impl Into<String>) -> Error {
        Error::new(Kind::Required, field, None, detail)
    }

    /// It is there twice.
    pub fn duplicate(field: &Path, value: impl Into<Value>) -> Error {
        Error::new(Kind::Duplicate, field, Some(&value.into()), "")
    }

    /// It is malformed.
    pub fn invalid(field: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, field, Some(&value.into()), detail)
    }

    /// It is of another type.
    pub fn type_invalid(field: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(Kind::TypeInvalid, field, Some(&value.into()), detail)
    }

    /// It is not among the values that are taken, which the message lists as they are given.
    pub fn not_supported(field: &Path, value: impl Into<Value>, supported: &[&str]) -> Error {
        let quoted: Vec<_> = supported.iter().map(|each| quote(each)).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Error::new(Kind::NotSupported, field, Some(&value.into()), detail)
    }

    /// It must not be there, or not like this.
    pub fn forbidden(field: &Path, detail: impl Into<String>) -> Error {
        Error::new(Kind::Forbidden, field, None, detail)
    }

    /// It has more bytes than it may.
    pub fn too_long(field: &Path, bytes_max: usize) -> Error {
        let detail = format!("may not be more than {}", counted(bytes_max, "byte", "bytes"));
        Error::new(Kind::TooLong, field, None, detail)
    }

    /// It has more elements than it may.
    pub fn too_many(field: &Path, count: usize, count_max: usize) -> Error {
        let detail = format!("must have at most {}", counted(count_max, "item", "items"));
        Error { bad_value: Some(count.to_string()), ..Error::new(Kind::TooMany, field, None, detail) }
    }

    /// It has fewer letters than it must.
    pub fn too_short(field: &Path, letters_min: usize) -> Error {
        let detail = format!("must be at least {}", counted(letters_min, "character", "characters"));
        Error::new(Kind::TooShort, field, None, detail)
    }

    /// It could not be looked at.
    pub fn internal(field: &Path, detail: impl Into<String>) -> Error {
        Error::new(Kind::Internal, field, None, detail)
    }

    /// Without the field: the message of a cause.
    pub fn body(&self) -> String {
        let mut body = self.kind.says().to_owned();
        let parts = [self.bad_value.as_deref().unwrap_or_default(), &self.detail];
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            body.push_str(": ");
            body.push_str(part);
        }
        body
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.field, self.body())
    }
}

impl std::error::Error for Error {}

/// Messages as Go's aggregate prints them: one alone, several in brackets, each once.
pub fn join(messages: impl IntoIterator<Item = String>) -> String {
    let mut seen = HashSet::new();
    let distinct: Vec<String> = messages.into_iter().filter(|message| seen.insert(message.clone())).collect();
    match distinct.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_read_as_upstreams() {
        let name = Path::new("spec").child("containers").index(0).child("name");
        for (error, said) in [
            (Error::required(&name, ""), "spec.containers[0].name: Required value"),
            (Error::invalid(&name, "A", "no"), "spec.containers[0].name: Invalid value: \"A\": no"),
            (Error::invalid(&name, -1i64, "no"), "spec.containers[0].name: Invalid value: -1: no"),
            (Error::duplicate(&name.key("x"), "a"), "spec.containers[0].name[x]: Duplicate value: \"a\""),
            (
                Error::not_supported(&name, "UDP", &["TCP", "SCTP"]),
                "spec.containers[0].name: Unsupported value: \"UDP\": supported values: \"TCP\", \"SCTP\"",
            ),
            (Error::too_many(&name, 5, 1), "spec.containers[0].name: Too many: 5: must have at most 1 item"),
            (Error::too_long(&name, 63), "spec.containers[0].name: Too long: may not be more than 63 bytes"),
            (Error::forbidden(&Path::default(), "no"), "<nil>: Forbidden: no"),
        ] {
            assert_eq!(error.to_string(), said);
        }
    }

    #[test]
    fn several_messages_stand_in_brackets_each_once() {
        let join = |messages: &[&str]| join(messages.iter().map(|each| (*each).to_owned()));
        assert_eq!(join(&["a"]), "a");
        assert_eq!(join(&["a", "a"]), "a");
        assert_eq!(join(&["a", "b", "a"]), "[a, b]");
    }
}
