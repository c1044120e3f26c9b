//! Create, guaranteed update and delete, on storage's one primitive.
//!
//! ```text
//! read, perhaps from a cache ─▶ change(current) ─▶ swap if still at its revision ─▶ done
//!            ▲                        │ refused, or nothing to change, and the read may be old
//!            │◀─── read the store ◀───┘
//!            └──── lost: somebody else's write is the new current ◀── swap
//! ```
//!
//! Promises: what `change` saw is what its result replaces; a refusal or a no-op is never due to an old read; each loss means
//! that another write went through. Does not: bound the number of tries (drop the future to give up), or try again after an
//! unknown outcome.
//! Source: apiserver `storage/etcd3/store.go` (`GuaranteedUpdate`, `conditionalDelete`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{At, Decoded, Error, Key, Object, Record, Revision, Storage, Swapped, Write};

/// Which object is meant, beyond its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// This life of it.
    pub uid: Option<String>,
    /// This state of it.
    pub revision: Option<Revision>,
}

impl Preconditions {
    /// Whether the object is the one that is meant.
    ///
    /// # Errors
    /// [`Error::Precondition`].
    pub fn check(&self, object: &Object) -> Result<(), Error> {
        let failed = |what, expected: String, found: String| {
            Err(Error::Precondition { key: object.key.clone(), what, expected, found })
        };
        let uid = object.attributes.uid.as_deref().unwrap_or_default();
        match (&self.uid, self.revision) {
            (Some(expected), _) if expected != uid => failed("UID", expected.clone(), uid.to_owned()),
            (_, Some(expected)) if expected != object.revision => {
                failed("ResourceVersion", expected.to_string(), object.revision.to_string())
            }
            _ => Ok(()),
        }
    }

    fn is_empty(&self) -> bool {
        self.uid.is_none() && self.revision.is_none()
    }
}

/// What an update makes of the current object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It stays as it is.
    Keep,
    /// It becomes this.
    Put {
        /// The stored object, without resourceVersion.
        value: Bytes,
        /// How long it lives.
        ttl: Option<Duration>,
    },
}

/// How an update has ended.
#[derive(Clone, Debug)]
pub struct Updated {
    /// The object, as it is now.
    pub object: Arc<Object>,
    /// Whether anything was written: an update that changes nothing keeps its revision.
    pub is_written: bool,
}

/// Creates an object.
///
/// # Errors
/// [`Error::Exists`].
pub async fn create(
    storage: &dyn Storage,
    key: &Key,
    value: Bytes,
    ttl: Option<Duration>,
) -> Result<Arc<Object>, Error> {
    match storage.swap(key, None, Write::Put { value: value.clone(), ttl }).await? {
        Swapped::Done(revision) => written(storage, key, value, revision),
        Swapped::Lost(_) => Err(Error::Exists { key: key.clone() }),
    }
}

/// Updates an object, or creates it if `change` makes something of nothing. `change` is pure: it may be called again, with a
/// newer object, each time that another write came in between.
///
/// # Errors
/// Those of `change`; [`Error::Precondition`]; [`Error::NotFound`] when it keeps, or preconditions name, what is not there.
pub async fn guaranteed_update<E, F>(
    storage: &dyn Storage,
    key: &Key,
    preconditions: &Preconditions,
    mut change: F,
) -> Result<Updated, E>
where
    E: From<Error> + Send,
    F: FnMut(Option<&Arc<Object>>) -> Result<Intent, E> + Send,
{
    let mut current = Current::read(storage, key, At::Any).await?;
    loop {
        let intended =
            current.meets(key, preconditions).map_err(E::from).and_then(|()| change(current.object.as_ref()));
        let changes = match &intended {
            Ok(Intent::Put { value, .. }) => !current.is_the_same(storage, value)?,
            Ok(Intent::Keep) | Err(_) => false,
        };
        if !changes && !current.is_live {
            current = Current::read(storage, key, At::MostRecent).await?;
            continue;
        }
        let (value, ttl) = match intended? {
            Intent::Put { value, ttl } if changes => (value, ttl),
            Intent::Put { .. } | Intent::Keep => return Ok(Updated { object: current.found(key)?, is_written: false }),
        };
        match storage.swap(key, current.revision(), Write::Put { value: value.clone(), ttl }).await? {
            Swapped::Done(revision) => {
                let object = written(storage, key, value, revision)?;
                return Ok(Updated { object, is_written: true });
            }
            Swapped::Lost(winner) => current = Current::won(winner)?,
        }
    }
}

/// Deletes an object that `validate` lets go; returns its last state, at the revision of its deletion. `validate` may be called
/// again, with a newer object.
///
/// # Errors
/// Those of `validate`; [`Error::NotFound`]; [`Error::Precondition`].
pub async fn delete<E, F>(
    storage: &dyn Storage,
    key: &Key,
    preconditions: &Preconditions,
    mut validate: F,
) -> Result<Arc<Object>, E>
where
    E: From<Error> + Send,
    F: FnMut(&Arc<Object>) -> Result<(), E> + Send,
{
    let mut current = Current::read(storage, key, At::Any).await?;
    loop {
        let found = current.found(key).map_err(E::from);
        let checked = found.and_then(|object| {
            preconditions.check(&object)?;
            validate(&object)?;
            Ok(object)
        });
        let object = match checked {
            Err(_) if !current.is_live => {
                current = Current::read(storage, key, At::MostRecent).await?;
                continue;
            }
            checked => checked?,
        };
        match storage.swap(key, Some(object.revision), Write::Delete).await? {
            Swapped::Done(revision) => {
                let last = object.at(storage.codec(), revision);
                return Ok(Arc::new(last.map_err(|error| Error::Undecodable(Arc::new(error)))?));
            }
            Swapped::Lost(winner) => current = Current::won(winner)?,
        }
    }
}

/// What a try starts from.
struct Current {
    object: Option<Arc<Object>>,
    is_live: bool,
}

impl Current {
    async fn read(storage: &dyn Storage, key: &Key, at: At) -> Result<Self, Error> {
        let read = storage.get(key, at).await?;
        Ok(Current { object: read.object, is_live: read.is_live || at == At::MostRecent })
    }

    /// The store has just said so.
    fn won(winner: Option<Decoded>) -> Result<Self, Error> {
        let object = winner.transpose().map_err(Error::Undecodable)?;
        Ok(Current { object, is_live: true })
    }

    fn revision(&self) -> Option<Revision> {
        self.object.as_ref().map(|object| object.revision)
    }

    fn found(&self, key: &Key) -> Result<Arc<Object>, Error> {
        self.object.clone().ok_or_else(|| Error::NotFound { key: key.clone() })
    }

    fn meets(&self, key: &Key, preconditions: &Preconditions) -> Result<(), Error> {
        if preconditions.is_empty() { Ok(()) } else { preconditions.check(&*self.found(key)?) }
    }

    /// Whether writing this would change nothing.
    fn is_the_same(&self, storage: &dyn Storage, value: &Bytes) -> Result<bool, Error> {
        let Some(object) = &self.object else { return Ok(false) };
        let spliced = storage.codec().splice(value, object.revision);
        let undecodable = |source| super::Undecodable { key: object.key.clone(), revision: object.revision, source };
        Ok(spliced.map_err(|source| Error::Undecodable(Arc::new(undecodable(source))))? == object.encoded)
    }
}

fn written(storage: &dyn Storage, key: &Key, value: Bytes, revision: Revision) -> Result<Arc<Object>, Error> {
    let record = Record { key: key.clone(), revision, value };
    super::decode(storage.codec(), &record).map_err(Error::Undecodable)
}
