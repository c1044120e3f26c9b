//! Watches: nothing lost, nothing twice, in order, as the selector sees it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::{At, Error, Event, Revision, Scope, Watch, WatchFrom, WatchOptions};
use super::thing::{resource_version, show};
use super::{Case, Env, Failure, Labelled, ensure, ensure_eq};

/// How long a watch that has nothing to say is listened to.
const SILENCE: Duration = Duration::from_millis(300);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("a watch from a revision delivers what came after it, in order", from_revision),
        Case::new("a deleted object is delivered as it was last, at the revision of its deletion", deletion),
        Case::new("a selector makes what enters added and what leaves deleted", selector),
        Case::new("a watch of a namespace or an object sees nothing else", scopes),
        Case::new("a watch without a revision begins with the state", state_first),
        Case::new("initial events end with a bookmark that is new enough", initial_events),
        Case::new("a watch from the future is silent until then", future),
        Case::new("a watch from a revision that is gone says so, or has missed nothing", compacted),
        Case::new("list, then watch: every change once", list_then_watch),
        Case::new("all watchers see the same", same_for_all),
    ]
}

impl Env {
    fn everything(&self, from: WatchFrom) -> WatchOptions {
        WatchOptions::new(self.collection.everything(), from)
    }

    async fn watch(&self, options: WatchOptions) -> Result<Box<dyn Watch>, Failure> {
        Ok(self.storage.watch(options).await?)
    }
}

async fn take(watch: &mut Box<dyn Watch>, count: usize) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(watch.next().await?);
    }
    Ok(events)
}

async fn takes(watch: &mut Box<dyn Watch>, expected: &[&str]) -> Result<Vec<Revision>, Failure> {
    let events = take(watch, expected.len()).await?;
    ensure_eq!(events.iter().map(show).collect::<Vec<_>>(), expected, "events");
    Ok(events.iter().map(Event::revision).collect())
}

async fn is_silent(watch: &mut Box<dyn Watch>) -> Result<(), Failure> {
    match timeout(SILENCE, watch.next()).await {
        Err(_) => Ok(()),
        Ok(event) => Err(Failure(format!("more than was written: {event:?}"))),
    }
}

async fn from_revision(env: Env) -> Result<(), Failure> {
    let mut revisions = vec![env.create("a", "", 1).await?];
    let mut early = env.watch(env.everything(WatchFrom::After(revisions[0]))).await?;
    for n in 2..=4 {
        revisions.push(env.put("a", "", n).await?);
    }
    revisions.push(env.create("b", "", 1).await?);
    revisions.push(env.delete("a").await?);
    let expected = ["MODIFIED ns/a=2", "MODIFIED ns/a=3", "MODIFIED ns/a=4", "ADDED ns/b=1", "DELETED ns/a=4"];
    ensure_eq!(takes(&mut early, &expected).await?, revisions[1..], "revisions");
    let mut late = env.watch(env.everything(WatchFrom::After(revisions[0]))).await?;
    ensure_eq!(takes(&mut late, &expected).await?, revisions[1..], "revisions for a latecomer");
    let mut later = env.watch(env.everything(WatchFrom::After(revisions[3]))).await?;
    ensure_eq!(takes(&mut later, &expected[3..]).await?, revisions[4..], "revisions for a later one");
    is_silent(&mut early).await?;
    is_silent(&mut later).await
}

async fn deletion(env: Env) -> Result<(), Failure> {
    let first = env.create("a", "", 1).await?;
    env.put("a", "", 2).await?;
    let gone = env.delete("a").await?;
    env.create("a", "", 3).await?;
    let mut watch = env.watch(env.everything(WatchFrom::After(first))).await?;
    let events = take(&mut watch, 3).await?;
    let Event::Deleted(object) = &events[1] else { return Err(Failure(format!("{events:?}"))) };
    ensure_eq!((show(&events[1]).as_str(), object.revision), ("DELETED ns/a=2", gone), "the deletion");
    ensure_eq!(resource_version(object), gone.to_string(), "resourceVersion of what is gone");
    ensure_eq!(show(&events[2]), "ADDED ns/a=3", "the next life");
    Ok(())
}

async fn selector(env: Env) -> Result<(), Failure> {
    let start = env.create("a", "blue", 1).await?;
    let red = WatchOptions { predicate: Arc::new(Labelled("red")), ..env.everything(WatchFrom::After(start)) };
    let mut live = env.watch(red.clone()).await?;
    env.put("a", "blue", 2).await?;
    env.put("a", "red", 3).await?;
    env.put("a", "red", 4).await?;
    let left = env.put("a", "blue", 5).await?;
    env.put("a", "blue", 6).await?;
    env.put("a", "red", 7).await?;
    env.delete("a").await?;
    env.create("b", "blue", 1).await?;
    env.delete("b").await?;
    let last = env.create("c", "red", 1).await?;
    let expected =
        ["ADDED ns/a=3", "MODIFIED ns/a=4", "DELETED ns/a=4", "ADDED ns/a=7", "DELETED ns/a=7", "ADDED ns/c=1"];
    for watch in [&mut live, &mut env.watch(red).await?] {
        let events = take(watch, expected.len()).await?;
        ensure_eq!(events.iter().map(show).collect::<Vec<_>>(), expected, "the red ones");
        let Event::Deleted(object) = &events[2] else { return Err(Failure(format!("{:?}", events[2]))) };
        ensure_eq!(object.revision, left, "the revision at which it left");
        ensure_eq!(resource_version(object), left.to_string(), "its resourceVersion when it left");
        ensure_eq!(events[5].revision(), last, "the last one");
    }
    Ok(())
}

async fn scopes(env: Env) -> Result<(), Failure> {
    let start = env.create("a", "", 1).await?;
    let object = Scope::Object(env.key("b")?);
    let mut one = env.watch(WatchOptions::new(object, WatchFrom::After(start))).await?;
    let mut namespace = env.watch(WatchOptions::new(env.collection.namespace("ns")?, WatchFrom::After(start))).await?;
    let mut other = env.watch(WatchOptions::new(env.collection.namespace("n")?, WatchFrom::After(start))).await?;
    env.create("b", "", 1).await?;
    env.create("bb", "", 1).await?;
    env.put("b", "", 2).await?;
    takes(&mut one, &["ADDED ns/b=1", "MODIFIED ns/b=2"]).await?;
    takes(&mut namespace, &["ADDED ns/b=1", "ADDED ns/bb=1", "MODIFIED ns/b=2"]).await?;
    is_silent(&mut one).await?;
    is_silent(&mut other).await
}

async fn state_first(env: Env) -> Result<(), Failure> {
    env.create("b", "", 1).await?;
    env.create("a", "", 1).await?;
    let last = env.put("b", "", 2).await?;
    env.any_from(last).await?;
    for from in [WatchFrom::Any, WatchFrom::MostRecent] {
        let mut watch = env.watch(env.everything(from)).await?;
        takes(&mut watch, &["ADDED ns/a=1", "ADDED ns/b=2"]).await?;
        is_silent(&mut watch).await?;
    }
    let mut watch = env.watch(env.everything(WatchFrom::MostRecent)).await?;
    env.put("a", "", 2).await?;
    takes(&mut watch, &["ADDED ns/a=1", "ADDED ns/b=2", "MODIFIED ns/a=2"]).await?;
    Ok(())
}

async fn initial_events(env: Env) -> Result<(), Failure> {
    env.create("a", "red", 1).await?;
    env.create("b", "blue", 1).await?;
    let last = env.put("a", "red", 2).await?;
    for from in [WatchFrom::MostRecent, WatchFrom::After(last)] {
        let options = WatchOptions { bookmarks: true, initial_events: true, ..env.everything(from) };
        let mut watch = env.watch(options.clone()).await?;
        let mut events = Vec::new();
        // The state may be older than the bookmark; then what came between follows it.
        while events.last().is_none_or(|event: &Event| !matches!(event, Event::Bookmark { .. })) {
            events.push(watch.next().await?);
        }
        let end = events.pop().map(|event| (show(&event), event.revision()));
        ensure!(matches!(&end, Some((end, revision)) if end == "END" && *revision >= last), "{from:?}: {end:?}");
        let state: std::collections::BTreeMap<_, _> = events
            .iter()
            .filter_map(|event| match event {
                Event::Added(object) | Event::Modified(object) => Some((object.key.clone(), object.revision)),
                _ => None,
            })
            .collect();
        ensure_eq!(state.get(&env.key("a")?), Some(&last), "{from:?}: state of a");
        ensure_eq!(state.len(), 2, "{from:?}: objects");
    }
    let red = WatchOptions { predicate: Arc::new(Labelled("red")), ..env.everything(WatchFrom::MostRecent) };
    let mut watch = env.watch(WatchOptions { bookmarks: true, initial_events: true, ..red }).await?;
    takes(&mut watch, &["ADDED ns/a=2", "END"]).await?;
    env.put("b", "red", 2).await?;
    takes(&mut watch, &["ADDED ns/b=2"]).await?;
    Ok(())
}

async fn future(env: Env) -> Result<(), Failure> {
    let start = env.create("a", "", 1).await?;
    let mut watch = env.watch(env.everything(WatchFrom::After(start.next().next()))).await?;
    is_silent(&mut watch).await?;
    let mut revision = start;
    for n in 2..=6 {
        revision = env.put("a", "", n).await?;
    }
    // Other cases' stores are shared, but nobody else writes now.
    ensure_eq!(revision.get(), start.get() + 5, "somebody else writes");
    takes(&mut watch, &["MODIFIED ns/a=4", "MODIFIED ns/a=5", "MODIFIED ns/a=6"]).await?;
    Ok(())
}

async fn compacted(env: Env) -> Result<(), Failure> {
    let first = env.create("a", "", 1).await?;
    env.put("a", "", 2).await?;
    env.put("a", "", 3).await?;
    let last = env.put("a", "", 4).await?;
    // A cache that has not read so far yet would have to list again.
    env.any_from(last).await?;
    env.storage.compact(last).await?;
    let expected = ["MODIFIED ns/a=2", "MODIFIED ns/a=3", "MODIFIED ns/a=4"];
    match env.storage.watch(env.everything(WatchFrom::After(first))).await {
        Err(Error::Expired { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(mut watch) => match watch.next().await {
            Err(Error::Expired { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(event) => {
                let mut events = vec![event];
                events.extend(take(&mut watch, 2).await?);
                ensure_eq!(events.iter().map(show).collect::<Vec<_>>(), expected, "neither expired nor complete");
            }
        },
    }
    let mut watch = env.watch(env.everything(WatchFrom::After(last))).await?;
    env.put("a", "", 5).await?;
    takes(&mut watch, &["MODIFIED ns/a=5"]).await?;
    Ok(())
}

async fn list_then_watch(env: Env) -> Result<(), Failure> {
    const WRITES: u64 = 60;
    env.create("a", "", 0).await?;
    let writer = {
        let env = env.clone();
        tokio::spawn(async move {
            for n in 1..=WRITES {
                env.put("a", "", n).await?;
            }
            Ok::<_, Failure>(())
        })
    };
    for at in [At::MostRecent, At::Any, At::MostRecent] {
        let list = env.storage.list(&env.all(at)).await?;
        let mut next = list.objects.first().map_or(0, |object| super::thing::number(object));
        let mut watch = env.watch(env.everything(WatchFrom::After(list.revision))).await?;
        while next < WRITES {
            let event = watch.next().await?;
            // "Any" may be from before the object was there.
            let expected = if list.objects.is_empty() && next == 0 {
                "ADDED ns/a=0"
            } else {
                &format!("MODIFIED ns/a={}", next + 1)
            };
            if list.objects.is_empty() && show(&event) == "ADDED ns/a=0" {
                continue;
            }
            ensure_eq!(show(&event), expected, "after a list at {} with {next}", list.revision);
            next += 1;
        }
    }
    writer.await.map_err(|error| Failure(error.to_string()))?
}

async fn same_for_all(env: Env) -> Result<(), Failure> {
    let start = env.create("x", "", 0).await?;
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(env.watch(env.everything(WatchFrom::After(start))).await?);
    }
    for n in 0..10 {
        env.create(&format!("t{n}"), "", n).await?;
        env.delete(&format!("t{}", n)).await?;
    }
    let mut first = None;
    for watch in &mut watches {
        let events: Vec<_> = take(watch, 20).await?.iter().map(|event| (show(event), event.revision())).collect();
        ensure!(events.is_sorted_by_key(|(_, revision)| *revision), "{events:?}");
        ensure_eq!(*first.get_or_insert_with(|| events.clone()), events, "another watcher");
    }
    Ok(())
}
