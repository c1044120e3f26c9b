//! Get, create, guaranteed update, delete.

use std::sync::Arc;

use super::super::update::{Intent, Preconditions, create, delete, guaranteed_update};
use super::super::{At, Error, Key, Object, Revision, Swapped, Write};
use super::thing::{number, resource_version};
use super::{Case, Env, Failure, ensure, ensure_eq, thing};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("what was created is got, once, with its revision", created),
        Case::new("what is not there is nothing, and the future is too large", absent),
        Case::new("an update changes the object, and one that changes nothing keeps its revision", updated),
        Case::new("concurrent updates all take effect", contended),
        Case::new("preconditions hold an update to the object that was meant", preconditions),
        Case::new("a refused update changes nothing", refused),
        Case::new("a deletion returns the last state at its own revision", deleted),
        Case::new("a name can live again", reborn),
        Case::new("a write that expects another state is lost, and learns the current one", lost),
    ]
}

impl Env {
    pub(super) fn key(&self, name: &str) -> Result<Key, Failure> {
        Ok(self.collection.object(Some("ns"), name)?)
    }

    pub(super) async fn create(&self, name: &str, color: &str, n: u64) -> Result<Revision, Failure> {
        let object = create(&*self.storage, &self.key(name)?, thing("ns", name, color, n), None).await?;
        Ok(object.revision)
    }

    pub(super) async fn put(&self, name: &str, color: &str, n: u64) -> Result<Revision, Failure> {
        let put = |_: Option<&Arc<Object>>| Ok(Intent::Put { value: thing("ns", name, color, n), ttl: None });
        let none = Preconditions::default();
        Ok(guaranteed_update::<Error, _>(&*self.storage, &self.key(name)?, &none, put).await?.object.revision)
    }

    pub(super) async fn delete(&self, name: &str) -> Result<Revision, Failure> {
        let none = Preconditions::default();
        Ok(delete::<Error, _>(&*self.storage, &self.key(name)?, &none, |_| Ok(())).await?.revision)
    }
}

async fn created(env: Env) -> Result<(), Failure> {
    let revision = env.create("a", "", 1).await?;
    let read = env.storage.get(&env.key("a")?, At::MostRecent).await?;
    let object = read.object.ok_or_else(|| Failure("it is not there".to_owned()))?;
    ensure_eq!((object.revision, number(&object)), (revision, 1), "what was created");
    ensure_eq!(resource_version(&object), revision.to_string(), "resourceVersion");
    ensure!(read.revision >= revision, "read at {} what was created at {revision}", read.revision);
    let again = create(&*env.storage, &env.key("a")?, thing("ns", "a", "", 2), None).await;
    ensure!(matches!(again, Err(Error::Exists { .. })), "created twice: {again:?}");
    let later = env.storage.get(&env.key("a")?, At::NotOlderThan(revision)).await?;
    ensure_eq!(later.object.map(|object| number(&object)), Some(1), "not older than its creation");
    Ok(())
}

async fn absent(env: Env) -> Result<(), Failure> {
    for at in [At::MostRecent, At::Any] {
        let read = env.storage.get(&env.key("a")?, at).await?;
        ensure!(read.object.is_none(), "{:?}", read.object);
    }
    let future = Revision::new(env.storage.revision().await?.get() + 1_000_000);
    let read = env.storage.get(&env.key("a")?, At::NotOlderThan(future)).await;
    ensure!(matches!(read, Err(Error::TooLargeRevision { .. })), "{read:?}");
    let none = Preconditions::default();
    let gone = delete::<Error, _>(&*env.storage, &env.key("a")?, &none, |_| Ok(())).await;
    ensure!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let kept = guaranteed_update::<Error, _>(&*env.storage, &env.key("a")?, &none, |_| Ok(Intent::Keep)).await;
    ensure!(matches!(kept, Err(Error::NotFound { .. })), "{kept:?}");
    Ok(())
}

async fn updated(env: Env) -> Result<(), Failure> {
    let first = env.create("a", "", 1).await?;
    let second = env.put("a", "", 2).await?;
    ensure!(second > first, "{second} after {first}");
    ensure_eq!(env.put("a", "", 2).await?, second, "the same again");
    let third = env.put("a", "", 1).await?;
    ensure!(third > second, "back to what a cache may still have is a change: {third} after {second}");
    let read = env.storage.get(&env.key("a")?, At::MostRecent).await?;
    ensure_eq!(read.object.map(|object| object.revision), Some(third), "the last write");
    Ok(())
}

async fn contended(env: Env) -> Result<(), Failure> {
    const TASKS: u64 = 6;
    const EACH: u64 = 5;
    env.create("a", "", 0).await?;
    let increments = (0..TASKS).map(|_| {
        let env = env.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                let more = |current: Option<&Arc<Object>>| {
                    let n = current.map_or(0, |object| number(object)) + 1;
                    Ok(Intent::Put { value: thing("ns", "a", "", n), ttl: None })
                };
                let none = Preconditions::default();
                guaranteed_update::<Error, _>(&*env.storage, &env.key("a")?, &none, more).await?;
            }
            Ok::<_, Failure>(())
        })
    });
    for increment in increments.collect::<Vec<_>>() {
        increment.await.map_err(|error| Failure(error.to_string()))??;
    }
    let read = env.storage.get(&env.key("a")?, At::MostRecent).await?;
    ensure_eq!(read.object.map(|object| number(&object)), Some(TASKS * EACH), "increments");
    Ok(())
}

async fn preconditions(env: Env) -> Result<(), Failure> {
    let first = env.create("a", "", 1).await?;
    let second = env.put("a", "", 2).await?;
    let put =
        |n| move |_: Option<&Arc<Object>>| Ok::<_, Error>(Intent::Put { value: thing("ns", "a", "", n), ttl: None });
    let at = |revision| Preconditions { revision: Some(revision), uid: None };
    let uid = |uid: &str| Preconditions { uid: Some(uid.to_owned()), revision: None };
    let key = env.key("a")?;
    for (wrong, what) in [(at(first), "ResourceVersion"), (uid("uid-b"), "UID")] {
        let update = guaranteed_update(&*env.storage, &key, &wrong, put(3)).await;
        ensure!(matches!(update, Err(Error::Precondition { what: w, .. }) if w == what), "{update:?}");
        let delete = delete::<Error, _>(&*env.storage, &key, &wrong, |_| Ok(())).await;
        ensure!(matches!(delete, Err(Error::Precondition { what: w, .. }) if w == what), "{delete:?}");
    }
    let third = guaranteed_update(&*env.storage, &key, &at(second), put(3)).await?.object.revision;
    guaranteed_update(&*env.storage, &key, &uid("uid-a"), put(4)).await?;
    let stale = guaranteed_update(&*env.storage, &key, &at(third), put(5)).await;
    ensure!(matches!(stale, Err(Error::Precondition { .. })), "{stale:?}");
    let nobody = guaranteed_update(&*env.storage, &env.key("b")?, &uid("uid-b"), put(1)).await;
    ensure!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
    Ok(())
}

#[derive(Debug)]
enum Refusal {
    No,
    Storage(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Storage(error)
    }
}

async fn refused(env: Env) -> Result<(), Failure> {
    let revision = env.create("a", "", 1).await?;
    let (key, none) = (env.key("a")?, Preconditions::default());
    let update = guaranteed_update(&*env.storage, &key, &none, |_| Err::<Intent, _>(Refusal::No)).await;
    ensure!(matches!(update, Err(Refusal::No)), "{update:?}");
    let delete = delete(&*env.storage, &key, &none, |_| Err(Refusal::No)).await;
    match delete {
        Err(Refusal::No) => {}
        Err(Refusal::Storage(error)) => return Err(error.into()),
        Ok(object) => return Err(Failure(format!("deleted in spite of a refusal: {object:?}"))),
    }
    let read = env.storage.get(&key, At::MostRecent).await?;
    ensure_eq!(read.object.map(|object| object.revision), Some(revision), "untouched");
    Ok(())
}

async fn deleted(env: Env) -> Result<(), Failure> {
    env.create("a", "", 1).await?;
    let put = env.put("a", "", 2).await?;
    let none = Preconditions::default();
    let last = delete::<Error, _>(&*env.storage, &env.key("a")?, &none, |_| Ok(())).await?;
    ensure!(last.revision > put, "deleted at {} after {put}", last.revision);
    ensure_eq!((number(&last), resource_version(&last)), (2, last.revision.to_string()), "last state");
    let read = env.storage.get(&env.key("a")?, At::NotOlderThan(last.revision)).await?;
    ensure!(read.object.is_none(), "{:?}", read.object);
    Ok(())
}

async fn reborn(env: Env) -> Result<(), Failure> {
    for n in 1..=3 {
        let born = env.create("a", "", n).await?;
        let gone = env.delete("a").await?;
        ensure!(gone > born, "deleted at {gone}, created at {born}");
    }
    ensure_eq!(env.storage.count(&env.collection.everything()).await?, 0, "objects left");
    Ok(())
}

async fn lost(env: Env) -> Result<(), Failure> {
    let first = env.create("a", "", 1).await?;
    let second = env.put("a", "", 2).await?;
    let put = Write::Put { value: thing("ns", "a", "", 3), ttl: None };
    for (expected, write) in [(Some(first), put.clone()), (None, put.clone()), (Some(first), Write::Delete)] {
        match env.storage.swap(&env.key("a")?, expected, write).await? {
            Swapped::Lost(Some(Ok(current))) => ensure_eq!(current.revision, second, "the current one"),
            other => return Err(Failure(format!("{expected:?}: {other:?}"))),
        }
    }
    let nobody = env.storage.swap(&env.key("b")?, Some(first), put).await?;
    ensure!(matches!(nobody, Swapped::Lost(None)), "{nobody:?}");
    Ok(())
}
