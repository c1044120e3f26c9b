//! Lists: how new, in pages, and what is left when history is gone.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::super::{At, Error, List, ListOptions, Revision};
use super::thing::show_object;
use super::{Case, Env, Failure, Labelled, ensure, ensure_eq};

/// How often a state is looked at that nobody tells of.
const ASK_INTERVAL: Duration = Duration::from_millis(10);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("a list has what lies in its scope, in key order", scopes),
        Case::new("a most recent list has every write that was acknowledged before it", most_recent),
        Case::new("lists follow the resourceVersion matrix", matrix),
        Case::new("pages are one list, whatever is written between them", pages),
        Case::new("pages of a selection leave nothing out", selected_pages),
        Case::new("when a list's revision is gone, the rest can be had at the current one", inconsistent),
        Case::new("exactly a revision that is gone, or not yet there, is refused", gone),
        Case::new("a continue token that was not given is refused", forged),
    ]
}

impl Env {
    pub(super) fn all(&self, at: At) -> ListOptions {
        ListOptions::new(self.collection.everything(), at)
    }

    /// Any list, as soon as it has the object of this revision; until then it may be old, but it must not go back.
    pub(super) async fn any_from(&self, revision: Revision) -> Result<List, Failure> {
        let mut newest = Revision::ZERO;
        loop {
            let list = self.storage.list(&self.all(At::Any)).await?;
            ensure!(list.revision >= newest, "any went back from {newest} to {}", list.revision);
            newest = list.revision;
            if list.objects.iter().any(|object| object.revision == revision) {
                return Ok(list);
            }
            // "Any" promises no moment that could be waited for.
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }
}

fn shown(list: &List) -> String {
    list.objects.iter().map(|object| show_object(object)).collect::<Vec<_>>().join(" ")
}

async fn scopes(env: Env) -> Result<(), Failure> {
    for (namespace, name) in [("b", "x"), ("a", "y"), ("ab", "z"), ("a", "x")] {
        let key = env.collection.object(Some(namespace), name)?;
        super::super::update::create(&*env.storage, &key, super::thing(namespace, name, "", 1), None).await?;
    }
    ensure_eq!(shown(&env.storage.list(&env.all(At::MostRecent)).await?), "a/x=1 a/y=1 ab/z=1 b/x=1", "all");
    let namespace = ListOptions::new(env.collection.namespace("a")?, At::MostRecent);
    ensure_eq!(shown(&env.storage.list(&namespace).await?), "a/x=1 a/y=1", "one namespace");
    ensure_eq!(env.storage.count(&env.collection.namespace("a")?).await?, 2, "count of one namespace");
    let object = super::super::Scope::Object(env.collection.object(Some("a"), "y")?);
    ensure_eq!(shown(&env.storage.list(&ListOptions::new(object, At::MostRecent)).await?), "a/y=1", "one object");
    Ok(())
}

async fn most_recent(env: Env) -> Result<(), Failure> {
    for n in 1..=20 {
        let revision = if n == 1 { env.create("a", "", n).await? } else { env.put("a", "", n).await? };
        let list = env.storage.list(&env.all(At::MostRecent)).await?;
        ensure_eq!(shown(&list), format!("ns/a={n}"), "just after it was written");
        ensure!(list.revision >= revision, "listed at {} what was written at {revision}", list.revision);
    }
    Ok(())
}

async fn matrix(env: Env) -> Result<(), Failure> {
    let first = env.create("a", "", 1).await?;
    env.create("b", "", 1).await?;
    let third = env.put("a", "", 2).await?;
    for (at, expected) in [
        (At::Exact(first), "ns/a=1"),
        (At::Exact(first.next()), "ns/a=1 ns/b=1"),
        (At::Exact(third), "ns/a=2 ns/b=1"),
        (At::NotOlderThan(third), "ns/a=2 ns/b=1"),
        (At::MostRecent, "ns/a=2 ns/b=1"),
    ] {
        let list = env.storage.list(&env.all(at)).await?;
        ensure_eq!(shown(&list), expected, "{at:?}");
        match at {
            At::Exact(revision) => ensure_eq!(list.revision, revision, "revision of {at:?}"),
            _ => ensure!(list.revision >= third, "{at:?} is at {}", list.revision),
        }
    }
    ensure_eq!(shown(&env.any_from(third).await?), "ns/a=2 ns/b=1", "any");
    Ok(())
}

fn limit(options: ListOptions, limit: usize, token: Option<String>) -> ListOptions {
    ListOptions { limit: NonZeroUsize::new(limit), continue_token: token, ..options }
}

async fn pages(env: Env) -> Result<(), Failure> {
    for name in ["a", "b", "c", "d", "e"] {
        env.create(name, "", 1).await?;
    }
    let first = env.storage.list(&limit(env.all(At::MostRecent), 2, None)).await?;
    ensure_eq!((shown(&first).as_str(), first.remaining), ("ns/a=1 ns/b=1", Some(3)), "first page");
    ensure!(first.continue_token.is_some(), "there is more");
    env.put("c", "", 2).await?;
    let newest = env.create("ca", "", 1).await?;
    env.delete("d").await?;
    let second = env.storage.list(&limit(env.all(At::MostRecent), 2, first.continue_token)).await?;
    ensure_eq!((shown(&second).as_str(), second.remaining), ("ns/c=1 ns/d=1", Some(1)), "second page");
    ensure_eq!(second.revision, first.revision, "revision of the second page");
    let third = env.storage.list(&limit(env.all(At::MostRecent), 2, second.continue_token)).await?;
    ensure_eq!((shown(&third).as_str(), third.remaining), ("ns/e=1", None), "third page");
    ensure!(third.continue_token.is_none(), "there is no more");
    let exact = env.storage.list(&limit(env.all(At::Exact(first.revision)), 5, None)).await?;
    ensure_eq!((shown(&exact).as_str(), exact.continue_token), ("ns/a=1 ns/b=1 ns/c=1 ns/d=1 ns/e=1", None), "exact");
    // A cache may ignore the limit where it may answer with anything.
    env.any_from(newest).await?;
    let any = env.storage.list(&limit(env.all(At::Any), 2, None)).await?;
    ensure!(any.objects.len() >= 5 || any.continue_token.is_some(), "any: neither a page nor all: {any:?}");
    Ok(())
}

async fn selected_pages(env: Env) -> Result<(), Failure> {
    for n in 0..30 {
        env.create(&format!("t{n:02}"), if n % 10 == 3 { "red" } else { "blue" }, n).await?;
    }
    let red = ListOptions { predicate: Arc::new(Labelled("red")), ..env.all(At::MostRecent) };
    let mut found = Vec::new();
    let mut token = None;
    for _ in 0..4 {
        let page = env.storage.list(&limit(red.clone(), 1, token)).await?;
        ensure!(page.remaining.is_none(), "what is left of a selection cannot be known: {:?}", page.remaining);
        found.extend(page.objects.iter().map(|object| show_object(object)));
        token = page.continue_token;
        if token.is_none() {
            break;
        }
    }
    ensure_eq!(found, ["ns/t03=3", "ns/t13=13", "ns/t23=23"], "the red ones");
    ensure!(token.is_none(), "there is no more");
    Ok(())
}

async fn inconsistent(env: Env) -> Result<(), Failure> {
    for name in ["a", "b", "c"] {
        env.create(name, "", 1).await?;
    }
    let first = env.storage.list(&limit(env.all(At::MostRecent), 1, None)).await?;
    env.put("b", "", 2).await?;
    let now = env.put("c", "", 2).await?;
    env.storage.compact(now).await?;
    let old = env.storage.list(&limit(env.all(At::MostRecent), 1, first.continue_token)).await;
    let Err(Error::Expired { continue_token: Some(token), .. }) = old else {
        return Err(Failure(format!("neither expired nor with a token for the rest: {old:?}")));
    };
    let second = env.storage.list(&limit(env.all(At::MostRecent), 1, Some(token))).await?;
    ensure_eq!(shown(&second), "ns/b=2", "the rest as it is now");
    ensure!(second.revision >= now, "at {} instead of {now} or later", second.revision);
    let third = env.storage.list(&limit(env.all(At::MostRecent), 1, second.continue_token)).await?;
    ensure_eq!((shown(&third).as_str(), third.revision), ("ns/c=2", second.revision), "the rest of the rest");
    Ok(())
}

async fn gone(env: Env) -> Result<(), Failure> {
    let first = env.create("a", "", 1).await?;
    let second = env.put("a", "", 2).await?;
    env.storage.compact(second).await?;
    let old = env.storage.list(&env.all(At::Exact(first))).await;
    ensure!(matches!(old, Err(Error::Expired { continue_token: None, .. })), "{old:?}");
    let future = Revision::new(env.storage.revision().await?.get() + 1_000_000);
    for at in [At::Exact(future), At::NotOlderThan(future)] {
        let future = env.storage.list(&env.all(at)).await;
        ensure!(matches!(future, Err(Error::TooLargeRevision { .. })), "{at:?}: {future:?}");
    }
    Ok(())
}

async fn forged(env: Env) -> Result<(), Failure> {
    for token in ["", "%", "eyJ2IjoidjAifQ"] {
        let list = env.storage.list(&limit(env.all(At::MostRecent), 1, Some(token.to_owned()))).await;
        ensure!(matches!(list, Err(Error::InvalidContinue { .. })), "{token:?}: {list:?}");
    }
    Ok(())
}
