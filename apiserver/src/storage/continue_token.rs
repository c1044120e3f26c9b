//! The token with which a list in pages goes on: upstream's wire form, so that either server continues the other's lists.
//!
//! Unpadded base64url of `{"v":"meta.k8s.io/v1","rv":123,"start":"ns/name\u0000"}`. An `rv` of −1 is an inconsistent
//! continuation: the rest as it is now, since the list's own revision is gone.
//! Promises: a token leads nowhere outside of the scope that it is used with.
//! Source: apiserver `storage/continue.go`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{Error, Revision, Scope};

const VERSION: &str = "meta.k8s.io/v1";
const INCONSISTENT: i64 = -1;

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "v", default)]
    version: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// At which revision; `None` is whatever is current.
    pub revision: Option<Revision>,
    /// The first key.
    pub start: String,
}

impl ContinueToken {
    /// Goes on behind `last` at this revision.
    #[must_use]
    pub fn after(last: &str, revision: Option<Revision>) -> Self {
        ContinueToken { revision, start: format!("{last}\0") }
    }

    /// As clients get it.
    #[must_use]
    pub fn encode(&self, scope: &Scope) -> String {
        let start = self.start.strip_prefix(scope.as_str()).unwrap_or(&self.start).to_owned();
        let rv = self.revision.map_or(INCONSISTENT, Revision::to_wire);
        let wire = serde_json::to_string(&Wire { version: VERSION.to_owned(), rv, start });
        let wire = wire.expect("strings and a number are always JSON");
        URL_SAFE_NO_PAD.encode(as_go_escapes(&wire))
    }

    /// From what a client has sent.
    ///
    /// # Errors
    /// [`Error::InvalidContinue`].
    pub fn decode(token: &str, scope: &Scope) -> Result<Self, Error> {
        let invalid = |reason: String| Error::InvalidContinue { reason };
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|error| invalid(error.to_string()))?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;
        if wire.version != VERSION {
            return Err(invalid(format!("server does not recognize this encoded version {:?}", wire.version)));
        }
        let revision = match wire.rv {
            INCONSISTENT => None,
            rv if rv > 0 => Some(Revision::from_wire(rv)),
            _ => return Err(invalid(format!("incorrect encoded start resourceVersion (version {VERSION})"))),
        };
        if wire.start.is_empty() {
            return Err(invalid(format!("encoded start key empty (version {VERSION})")));
        }
        let start = wire.start.strip_prefix('/').unwrap_or(&wire.start);
        // An empty part, a dot or two would name another place than it seems to.
        if start.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(invalid(wire.start));
        }
        Ok(ContinueToken { revision, start: format!("{}{start}", scope.as_str()) })
    }
}

/// Go's encoder escapes what HTML could misread; names of roles may have it.
fn as_go_escapes(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::Collection;
    use super::*;

    fn pods() -> Scope {
        Collection::new("/registry", "pods").everything()
    }

    #[test]
    fn a_token_has_upstreams_form_and_comes_back_as_it_was() {
        for (key, revision, json) in [
            ("/registry/pods/ns/a", Some(Revision::new(12)), r#"{"v":"meta.k8s.io/v1","rv":12,"start":"ns/a\u0000"}"#),
            ("/registry/pods/ns/a", None, r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"ns/a\u0000"}"#),
            (
                "/registry/pods/a<b>&",
                Some(Revision::new(1)),
                r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a\u003cb\u003e\u0026\u0000"}"#,
            ),
        ] {
            let token = ContinueToken::after(key, revision);
            let wire = token.encode(&pods());
            assert_eq!(String::from_utf8(URL_SAFE_NO_PAD.decode(&wire).unwrap()).unwrap(), json);
            assert_eq!(ContinueToken::decode(&wire, &pods()).unwrap(), token);
        }
    }

    #[test]
    fn a_token_that_was_not_made_here_is_refused() {
        for json in [
            "",
            "[]",
            r#"{"v":"v2","rv":1,"start":"a"}"#,
            r#"{"v":"meta.k8s.io/v1","start":"a"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":-2,"start":"a"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":1}"#,
            r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets/a"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":1,"start":"/a/./b"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a//b"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/.."}"#,
        ] {
            let error = ContinueToken::decode(&URL_SAFE_NO_PAD.encode(json), &pods()).unwrap_err();
            assert!(matches!(error, Error::InvalidContinue { .. }), "{json}");
        }
        assert!(ContinueToken::decode("%%%", &pods()).is_err());
        assert!(ContinueToken::decode("YQ==", &pods()).is_err(), "upstream's has no padding");
    }
}
