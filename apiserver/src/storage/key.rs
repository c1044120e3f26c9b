//! Where objects lie: upstream's key layout.
//!
//! ```text
//! /registry/services/specs/default/kubernetes
//! └───────────┬──────────┘└──┬───┘└───┬─────┘
//!        Collection      namespace   name        (no namespace for cluster-scoped kinds)
//! ```
//!
//! Promises: no name leaves its collection; nothing of another collection lies within a scope.
//! Does not: know which path a kind has.
//! Source: apiserver `registry/generic/registry/store.go` (key functions), `api/validation/path`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::Error;

/// An object's key in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// A key as the store has it.
    #[must_use]
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Key(key.into())
    }

    /// The whole key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All up to the name: the namespace's or the collection's prefix, with its slash.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.0.rfind('/').map_or("", |slash| &self.0[..=slash])
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All objects of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Collection(Arc<str>);

impl Collection {
    /// The collection at `path` (`pods`, `services/specs`, `apiextensions.k8s.io/…`) below `root` (`/registry`).
    #[must_use]
    pub fn new(root: &str, path: &str) -> Self {
        Collection(format!("{}/{}/", root.trim_end_matches('/'), path.trim_matches('/')).into())
    }

    /// Its prefix, with a slash at the end.
    #[must_use]
    pub fn prefix(&self) -> &Arc<str> {
        &self.0
    }

    /// All of it.
    #[must_use]
    pub fn everything(&self) -> Scope {
        Scope::Prefix(Arc::clone(&self.0))
    }

    /// What is in one namespace.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn namespace(&self, namespace: &str) -> Result<Scope, Error> {
        Ok(Scope::Prefix(format!("{}{}/", self.0, segment(namespace)?).into()))
    }

    /// One object.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn object(&self, namespace: Option<&str>, name: &str) -> Result<Key, Error> {
        let name = segment(name)?;
        Ok(Key::new(match namespace {
            Some(namespace) => format!("{}{}/{name}", self.0, segment(namespace)?),
            None => format!("{}{name}", self.0),
        }))
    }
}

/// What a list or a watch is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All below a prefix that ends with a slash: a collection, or what one namespace has of it.
    Prefix(Arc<str>),
    /// One object.
    Object(Key),
}

impl Scope {
    /// Whether this key lies in it.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        match self {
            Scope::Prefix(prefix) => key.starts_with(&**prefix),
            Scope::Object(object) => key == object.as_str(),
        }
    }

    /// The prefix, or the one key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Scope::Prefix(prefix) => prefix,
            Scope::Object(key) => key.as_str(),
        }
    }

    /// The first key behind it.
    #[must_use]
    pub fn end(&self) -> String {
        match self {
            // The slash's successor: no other key begins with the prefix.
            Scope::Prefix(prefix) => format!("{}0", &prefix[..prefix.len() - 1]),
            Scope::Object(key) => format!("{key}\0"),
        }
    }
}

/// A part of a path that is only that: names must not climb, and must not be ambiguous in a URL.
fn segment(segment: &str) -> Result<&str, Error> {
    let reason = match segment {
        "" => "it is empty",
        "." | ".." => "it may not be '.' or '..'",
        _ if segment.contains('/') => "it may not contain '/'",
        _ if segment.contains('%') => "it may not contain '%'",
        _ if segment.contains('\0') => "it may not contain NUL",
        _ => return Ok(segment),
    };
    Err(Error::InvalidName { segment: segment.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_upstreams_layout() {
        let services = Collection::new("/registry", "services/specs");
        let key = services.object(Some("default"), "kubernetes").unwrap();
        assert_eq!(key.as_str(), "/registry/services/specs/default/kubernetes");
        assert_eq!(key.parent(), "/registry/services/specs/default/");
        let nodes = Collection::new("/registry/", "/minions/");
        assert_eq!(nodes.object(None, "n1").unwrap().as_str(), "/registry/minions/n1");
        assert_eq!(nodes.object(None, "n1").unwrap().parent(), &**nodes.prefix());
    }

    #[test]
    fn no_name_leaves_its_collection() {
        let pods = Collection::new("/registry", "pods");
        for name in ["", ".", "..", "a/b", "a%2fb", "a\0b"] {
            assert!(matches!(pods.object(Some("ns"), name), Err(Error::InvalidName { .. })), "{name:?}");
            assert!(matches!(pods.object(Some(name), "a"), Err(Error::InvalidName { .. })), "{name:?}");
            assert!(matches!(pods.namespace(name), Err(Error::InvalidName { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_scope_holds_its_own_and_nothing_beside_it() {
        let pods = Collection::new("/registry", "pods");
        let namespace = pods.namespace("a").unwrap();
        for (scope, key, inside) in [
            (&pods.everything(), "/registry/pods/a/x", true),
            (&pods.everything(), "/registry/podsets/a/x", false),
            (&namespace, "/registry/pods/a/x", true),
            (&namespace, "/registry/pods/ab/x", false),
            (&Scope::Object(Key::new("/registry/pods/a/x")), "/registry/pods/a/x", true),
            (&Scope::Object(Key::new("/registry/pods/a/x")), "/registry/pods/a/xy", false),
        ] {
            assert_eq!(scope.contains(key), inside, "{scope:?} {key}");
            assert_eq!((scope.as_str()..&*scope.end()).contains(&key), inside, "{scope:?} {key}");
        }
    }
}
