//! What does a body say it is? `apiVersion` and `kind` out of JSON, before it is known how to decode the rest.
//!
//! Source: apimachinery `pkg/runtime/serializer/json/meta.go`.

use thiserror::Error;

use super::reader::{Reader, Token};
use super::scan::{SyntaxError, validate};

/// Both words; empty where the body says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interpreted {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
}

/// Why a body does not say what it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoKind {
    /// It is no JSON.
    #[error("couldn't get version/kind; json parse error: {0}")]
    Syntax(#[from] SyntaxError),
    /// One of the words is no text.
    #[error(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {0} into Go struct field .{1} of type string"
    )]
    Word(&'static str, &'static str),
    /// It is no object.
    #[error(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {0} into Go value of type struct {{ \
         APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )]
    Shape(&'static str),
}

/// Looks at the outermost object only.
///
/// # Errors
/// When it is no JSON object, or the words are no text.
pub fn interpret(bytes: &[u8]) -> Result<Interpreted, NoKind> {
    validate(bytes)?;
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::new(&text);
    let mut found = Interpreted::default();
    match reader.peek() {
        Token::Object => {}
        Token::Null => return Ok(found),
        token => return Err(NoKind::Shape(super::decode::word(token))),
    }
    let mut first = true;
    reader.enter();
    while reader.more(std::mem::replace(&mut first, false)) {
        let key = reader.key();
        let (word, name) = match key.as_ref() {
            "apiVersion" => (&mut found.api_version, "apiVersion"),
            "kind" => (&mut found.kind, "kind"),
            _ => {
                reader.skip_value();
                continue;
            }
        };
        match reader.peek() {
            Token::String => *word = reader.string().into_owned(),
            Token::Null => reader.skip_value(),
            token => return Err(NoKind::Word(super::decode::word(token), name)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_words_are_found_wherever_they_stand() {
        let found = interpret(br#"{"spec":{"kind":"X"},"kind":"Pod","apiVersion":"v1"}"#).unwrap();
        assert_eq!((found.api_version.as_str(), found.kind.as_str()), ("v1", "Pod"));
        assert_eq!(interpret(b"null").unwrap(), Interpreted::default());
    }

    #[test]
    fn what_says_nothing_is_refused_in_upstreams_words() {
        let said = |body: &str| interpret(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(said("{"), "couldn't get version/kind; json parse error: unexpected end of JSON input");
        assert_eq!(
            said(r#"{"kind":1}"#),
            "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string"
        );
        assert!(said("[]").ends_with(
            r#"json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#
        ));
    }
}
