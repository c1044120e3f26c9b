//! A history in memory, for tests: a model of the engine that never forgets, behind the [`Source`] door.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fairlead_proto::etcd::mvccpb;
use prost::Message;

use super::event::{Event, Kind, RevisionEvents};
use super::source::{Source, SourceError};

/// The model. Revisions begin at 2, as in a new store.
#[derive(Default)]
pub(crate) struct Fake {
    state: Mutex<State>,
    /// How often a value before was read.
    pub(crate) previous_reads: AtomicUsize,
}

#[derive(Default)]
struct State {
    history: Vec<RevisionEvents>,
    compact_revision: i64,
    live: BTreeMap<Bytes, mvccpb::KeyValue>,
    /// (key, mod revision) → what it was.
    versions: BTreeMap<(Bytes, i64), mvccpb::KeyValue>,
    /// Key → its last change.
    last: BTreeMap<Bytes, i64>,
}

impl Fake {
    /// Commits one revision: each key gets a value, or loses it with `None`. Deletes of what is not there are left out; a
    /// revision that changes nothing is a put of the first key.
    pub(crate) fn commit(&self, changes: &[(Bytes, Option<Bytes>)]) -> RevisionEvents {
        let mut guard = self.state.lock().unwrap();
        let state = &mut *guard;
        let revision = state.history.last().map_or(2, |last| last.revision + 1);
        let mut seen = std::collections::BTreeSet::new();
        let mut events = Vec::new();
        for (n, (key, value)) in changes.iter().enumerate() {
            if !seen.insert(key) {
                continue;
            }
            let old = state.live.get(key).cloned();
            let value = if n == 0 && old.is_none() { Some(value.clone().unwrap_or_default()) } else { value.clone() };
            let (kind, kv) = match (&value, &old) {
                (None, None) => continue,
                (None, Some(_)) => {
                    state.live.remove(key);
                    let kv = mvccpb::KeyValue { key: key.clone(), mod_revision: revision, ..Default::default() };
                    (Kind::Delete, kv)
                }
                (Some(value), _) => {
                    let kv = mvccpb::KeyValue {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: old.as_ref().map_or(revision, |old| old.create_revision),
                        mod_revision: revision,
                        version: old.as_ref().map_or(1, |old| old.version + 1),
                        lease: 0,
                    };
                    state.live.insert(key.clone(), kv.clone());
                    state.versions.insert((key.clone(), revision), kv.clone());
                    (Kind::Put { created: old.is_none() }, kv)
                }
            };
            let wire = i32::from(kind == Kind::Delete);
            let encoded = mvccpb::Event { r#type: wire, kv: Some(kv), prev_kv: None }.encode_to_vec().into();
            let previous = state.last.insert(key.clone(), revision).map(|main| (main, 0));
            events.push(Event { key: key.clone(), kind, encoded, previous });
        }
        let committed = RevisionEvents { revision, events };
        state.history.push(committed.clone());
        committed
    }

    /// A put alone.
    pub(crate) fn put(&self, key: &'static str, value: &'static str) -> RevisionEvents {
        self.commit(&[(key.into(), Some(value.into()))])
    }

    /// What is below `revision` is gone.
    pub(crate) fn compact(&self, revision: i64) {
        self.state.lock().unwrap().compact_revision = revision;
    }

    /// Everything ever committed from `revision` on.
    pub(crate) fn all_from(&self, revision: i64) -> Vec<RevisionEvents> {
        let from = usize::try_from(revision - 2).unwrap_or(0);
        self.state.lock().unwrap().history.get(from..).unwrap_or_default().to_vec()
    }

    /// The value of `key` before `revision`.
    pub(crate) fn value_before(&self, key: &Bytes, revision: i64) -> Option<mvccpb::KeyValue> {
        let state = self.state.lock().unwrap();
        let (_, kv) = state.versions.range((key.clone(), 0)..(key.clone(), revision)).next_back()?;
        let deleted = state.history.iter().filter(|r| r.revision > kv.mod_revision && r.revision < revision);
        let deleted = deleted.flat_map(|r| &r.events).any(|event| event.key == *key);
        (!deleted).then(|| kv.clone())
    }
}

impl Source for Fake {
    fn revision(&self) -> i64 {
        self.state.lock().unwrap().history.last().map_or(1, |last| last.revision)
    }

    fn compact_revision(&self) -> i64 {
        self.state.lock().unwrap().compact_revision
    }

    fn events(&self, from: i64, revisions_max: usize, bytes_max: usize) -> Result<Vec<RevisionEvents>, SourceError> {
        if from < self.compact_revision() {
            return Err(SourceError::Compacted);
        }
        let mut bytes = 0;
        let mut found = self.all_from(from);
        let size = |one: &RevisionEvents| one.events.iter().map(|event| event.encoded.len()).sum::<usize>();
        let fits = found.iter().take_while(|one| {
            let first = bytes == 0;
            bytes += size(one);
            first || bytes <= bytes_max
        });
        let fits = fits.count().min(revisions_max);
        found.truncate(fits);
        Ok(found)
    }

    fn previous(&self, key: &[u8], previous: (i64, i64)) -> Result<Option<Bytes>, SourceError> {
        self.previous_reads.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock().unwrap();
        let version = state.versions.get(&(Bytes::copy_from_slice(key), previous.0));
        Ok(version.map(|kv| kv.encode_to_vec().into()))
    }
}
