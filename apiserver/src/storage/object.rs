//! An object as storage hands it out, and the door through which storage learns about objects without knowing any kind.
//!
//! What lies in the store lacks the resourceVersion; what is handed out has it. It is put in once per revision, and whoever
//! sends the object shares those bytes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::error::{BoxError, Undecodable};
use super::{Key, Revision};

/// What selectors and preconditions look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `metadata.namespace`; `None` for cluster-scoped objects.
    pub namespace: Option<Box<str>>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.uid`.
    pub uid: Option<Box<str>>,
    /// `metadata.labels`, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Fields that the kind's field selectors know, beside name and namespace.
    pub fields: Box<[(Arc<str>, Box<str>)]>,
}

/// What storage has to know about the objects of one resource. Implementations are pure and cheap: they run for each change
/// on the path of the resource's one watch.
pub trait Codec: fmt::Debug + Send + Sync {
    /// What selectors look at, from an object as it is stored.
    ///
    /// # Errors
    /// That it cannot be decoded.
    fn attributes(&self, stored: &[u8]) -> Result<Attributes, BoxError>;

    /// The object with its resourceVersion, in the form that storage hands out; from a stored object, or from one that already
    /// has another resourceVersion. Two stored objects that mean the same give the same bytes for the same revision.
    ///
    /// # Errors
    /// That it cannot be decoded.
    fn splice(&self, object: &Bytes, revision: Revision) -> Result<Bytes, BoxError>;
}

/// Which objects a list or a watch is about, within its scope.
pub trait Predicate: fmt::Debug + Send + Sync {
    /// Whether it selects this one.
    fn matches(&self, attributes: &Attributes) -> bool;

    /// Whether it selects all.
    fn is_everything(&self) -> bool {
        false
    }
}

/// Selects all objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Predicate for Everything {
    fn matches(&self, _: &Attributes) -> bool {
        true
    }

    fn is_everything(&self) -> bool {
        true
    }
}

/// An object at a revision.
#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it lies.
    pub key: Key,
    /// Its resourceVersion: when it was last changed, or when it was deleted.
    pub revision: Revision,
    /// The whole object, resourceVersion included.
    pub encoded: Bytes,
    /// What selectors look at.
    pub attributes: Attributes,
}

impl Object {
    /// Reads what the store has.
    ///
    /// # Errors
    /// [`Undecodable`] with the codec's words.
    pub fn read(codec: &dyn Codec, record: &Record) -> Result<Object, Undecodable> {
        let Record { key, revision, value } = record;
        let undecodable = |source| Undecodable { key: key.clone(), revision: *revision, source };
        let attributes = codec.attributes(value).map_err(undecodable)?;
        let encoded = codec.splice(value, *revision).map_err(undecodable)?;
        Ok(Object { key: key.clone(), revision: *revision, encoded, attributes })
    }

    /// The same object with a later resourceVersion: that of its deletion, or of the change with which it left a selection.
    ///
    /// # Errors
    /// [`Undecodable`] with the codec's words.
    pub fn at(&self, codec: &dyn Codec, revision: Revision) -> Result<Object, Undecodable> {
        let key = self.key.clone();
        match codec.splice(&self.encoded, revision) {
            Ok(encoded) => Ok(Object { key, revision, encoded, attributes: self.attributes.clone() }),
            Err(source) => Err(Undecodable { key, revision, source }),
        }
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let labels = self.attributes.labels.iter().map(|(key, value)| key.len() + value.len());
        let fields = self.attributes.fields.iter().map(|(_, value)| value.len());
        self.key.as_str().len()
            + self.encoded.len()
            + labels.sum::<usize>()
            + fields.sum::<usize>()
            + size_of::<Object>()
    }
}

/// A key and its value as they lie in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// When it was last changed.
    pub revision: Revision,
    /// The stored object, without resourceVersion.
    pub value: Bytes,
}
