//! The watch cache by tables: objects are letters, their values numbers.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::storage::{Attributes, Collection, Object};

const BOUNDS: Bounds = Bounds { events_max: 100, bytes_max: 1 << 20 };

fn key(name: &str) -> Key {
    Collection::new("/registry", "things").object(Some("ns"), name).unwrap()
}

fn everything() -> Scope {
    Collection::new("/registry", "things").everything()
}

fn object(name: &str, revision: u64) -> Decoded {
    let (key, revision) = (key(name), Revision::new(revision));
    Ok(Arc::new(Object { key, revision, encoded: Bytes::from_static(b"{}"), attributes: Attributes::default() }))
}

fn put(name: &str, revision: u64) -> Incoming {
    let current = Some(object(name, revision));
    Incoming { key: key(name), revision: Revision::new(revision), current, previous: None, is_previous_lost: false }
}

fn delete(name: &str, revision: u64) -> Incoming {
    Incoming { current: None, ..put(name, revision) }
}

/// Listed at 10 with a and b, watched from `from` on.
fn listed(from: u64) -> WatchCache {
    let mut cache = WatchCache::new(BOUNDS);
    let objects = [("a", 3), ("b", 8)].map(|(name, revision)| (key(name), object(name, revision)));
    cache.replace(objects.into(), Revision::new(10), Revision::new(from));
    cache
}

fn state(cache: &WatchCache) -> String {
    let name = |key: &Key| key.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    cache.keys().map(|(key, revision)| format!("{}@{revision}", name(key))).collect::<Vec<_>>().join(" ")
}

fn after(cache: &WatchCache, revision: u64) -> Option<Vec<u64>> {
    let changes = cache.after(Revision::new(revision), &everything())?;
    Some(changes.iter().map(|change| change.revision.get()).collect())
}

#[test]
fn changes_after_the_list_move_the_state_and_know_what_was_before() {
    let mut cache = listed(11);
    let changes = cache.apply(vec![put("a", 11), put("c", 12), delete("b", 12), delete("c", 14)]);
    assert_eq!((state(&cache).as_str(), cache.revision().get()), ("a@11", 14));
    let before = |at: usize| match &changes[at].previous {
        Some(Ok(object)) => object.revision.get(),
        _ => 0,
    };
    assert_eq!((0..4).map(before).collect::<Vec<_>>(), [3, 0, 8, 12]);
    assert_eq!(after(&cache, 10), Some(vec![11, 12, 12, 14]));
    assert_eq!(after(&cache, 12), Some(vec![14]));
}

#[test]
fn changes_before_the_list_are_history_only_and_only_once_all_have_come() {
    let mut cache = listed(5);
    assert!(cache.apply(vec![put("b", 6), put("x", 7), delete("x", 9)]).is_empty());
    assert_eq!((state(&cache).as_str(), cache.revision().get()), ("a@3 b@8", 10));
    assert_eq!(after(&cache, 4), None, "more may still come");
    assert_eq!(after(&cache, 10), Some(vec![]));
    let mut proved = cache;
    assert_eq!(proved.apply(vec![put("c", 13)]).len(), 1);
    assert_eq!(after(&proved, 4), Some(vec![6, 7, 9, 13]));

    let mut cache = listed(5);
    cache.apply(vec![put("b", 6)]);
    cache.progress(Revision::new(9));
    assert_eq!(after(&cache, 4), None, "the store has not said that it is past the list");
    cache.progress(Revision::new(10));
    assert_eq!(after(&cache, 4), Some(vec![6]));
}

#[test]
fn a_change_whose_previous_state_is_lost_begins_history_anew() {
    let mut cache = listed(5);
    cache.apply(vec![put("b", 6), Incoming { is_previous_lost: true, ..put("a", 7) }, put("b", 8)]);
    cache.progress(Revision::new(10));
    assert_eq!(after(&cache, 6), None);
    assert_eq!(after(&cache, 7), Some(vec![8]));
}

#[test]
fn what_is_told_again_changes_nothing() {
    let mut cache = listed(11);
    cache.apply(vec![put("a", 12), put("c", 12)]);
    assert!(cache.apply(vec![put("a", 12), put("c", 12)]).is_empty());
    assert_eq!(after(&cache, 10), Some(vec![12, 12]));
    assert_eq!(cache.apply(vec![put("c", 12), put("c", 13)]).len(), 1);
}

#[test]
fn bytes_follow_the_objects() {
    let mut cache = listed(11);
    let one = cache.bytes() / 2;
    cache.apply(vec![put("a", 11), put("a", 12), put("c", 13)]);
    assert_eq!((cache.len(), cache.bytes()), (3, 3 * one));
    cache.apply(vec![delete("a", 14), delete("nobody", 15), delete("b", 16), delete("c", 17)]);
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
    assert_eq!(cache.revision().get(), 17);
}

#[test]
fn a_scope_is_listed_in_key_order_and_nothing_beside_it() {
    let collection = Collection::new("/registry", "things");
    let mut cache = WatchCache::new(BOUNDS);
    let objects = [("b", "x"), ("a", "y"), ("ab", "z"), ("a", "x")].map(|(namespace, name)| {
        (collection.object(Some(namespace), name).unwrap(), object(&format!("{namespace}.{name}"), 1))
    });
    cache.replace(objects.into(), Revision::new(2), Revision::new(3));
    let names = |scope: &Scope| {
        let name = |object: Decoded| object.unwrap().key.as_str().rsplit('/').next().unwrap().to_owned();
        cache.list(scope).into_iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&collection.everything()), "a.x a.y ab.z b.x");
    assert_eq!(names(&collection.namespace("a").unwrap()), "a.x a.y");
    assert_eq!(names(&Scope::Object(collection.object(Some("ab"), "z").unwrap())), "ab.z");
}

#[test]
fn only_lost_changes_cost_a_list() {
    let compacted = |revision| Some(Revision::new(revision));
    let watch = |revision| Recovery::Watch(Revision::new(revision));
    // (watched from, then changes up to, compacted) → what to do
    for (from, upto, at, expected) in [
        (5, 0, compacted(7), watch(8)),
        (5, 0, compacted(9), watch(10)),
        (5, 0, compacted(10), watch(11)),
        (5, 0, None, watch(11)),
        (5, 0, compacted(11), Recovery::List),
        (11, 0, compacted(10), watch(11)),
        (11, 0, compacted(12), Recovery::List),
        (5, 15, compacted(12), watch(16)),
        (5, 15, compacted(15), watch(16)),
        (5, 15, compacted(16), Recovery::List),
        (5, 15, None, Recovery::List),
    ] {
        let mut cache = listed(from);
        if upto > 0 {
            cache.apply(vec![put("a", upto)]);
        }
        assert_eq!(cache.recover(at), expected, "from {from}, up to {upto}, compacted {at:?}");
    }
    // History goes on from where it can.
    let mut cache = listed(5);
    cache.apply(vec![put("b", 6)]);
    cache.recover(compacted(7));
    cache.apply(vec![put("b", 8), put("c", 11)]);
    assert_eq!(after(&cache, 6), None);
    assert_eq!(after(&cache, 7), Some(vec![8, 11]));
}
