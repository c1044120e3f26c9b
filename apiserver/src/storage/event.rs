//! Changes, and what a watcher with a selector sees of them.

use std::sync::{Arc, OnceLock};

use super::backend::RawChange;
use super::{Codec, Error, Key, Object, Predicate, Record, Revision, Undecodable};

/// What a watch delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An object has come into being, or into the selection.
    Added(Arc<Object>),
    /// An object has changed and is still selected.
    Modified(Arc<Object>),
    /// An object is gone, or has left the selection: its last state with the revision of that change.
    Deleted(Arc<Object>),
    /// Everything up to this revision has been delivered.
    Bookmark {
        /// Up to where.
        revision: Revision,
        /// The first bookmark after the initial state.
        initial_events_end: bool,
    },
}

impl Event {
    /// The revision from which a watch can go on once this has been taken.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Event::Added(object) | Event::Modified(object) | Event::Deleted(object) => object.revision,
            Event::Bookmark { revision, .. } => *revision,
        }
    }
}

/// An object, if it can be decoded.
pub type Decoded = Result<Arc<Object>, Arc<Undecodable>>;

/// One key's change at one revision, decoded once for all watchers.
#[derive(Debug)]
pub struct Change {
    /// Which key.
    pub key: Key,
    /// When.
    pub revision: Revision,
    /// What it is now; `None` once deleted.
    pub current: Option<Decoded>,
    /// What it was before.
    pub previous: Option<Decoded>,
    /// The previous object at this change's revision: made for the first watcher that has to see it go.
    departed: OnceLock<Decoded>,
}

impl Change {
    /// From what a decoder has made of both states.
    #[must_use]
    pub fn new(key: Key, revision: Revision, current: Option<Decoded>, previous: Option<Decoded>) -> Self {
        Change { key, revision, current, previous, departed: OnceLock::new() }
    }

    /// From what the store's watch has delivered.
    ///
    /// # Errors
    /// [`Error::Expired`] when the previous state has been compacted away meanwhile.
    pub fn read(codec: &dyn Codec, raw: &RawChange) -> Result<Self, Error> {
        if raw.previous.is_none() && !raw.created {
            return Err(Error::Expired { requested: raw.revision, compacted: None, continue_token: None });
        }
        let previous = raw.previous.as_ref().map(|record| decode(codec, record));
        Ok(Change::new(raw.key.clone(), raw.revision, current(codec, raw), previous))
    }

    /// What a watcher with this selector sees: nothing, an event, or that what it should see cannot be decoded.
    ///
    /// # Errors
    /// [`Error::Undecodable`]: the watch has to end before its revision moves past this change.
    pub fn seen_through(&self, predicate: &dyn Predicate, codec: &dyn Codec) -> Result<Option<Event>, Error> {
        let selected = |object: &Arc<Object>| predicate.matches(&object.attributes);
        // What could not be decoded was never delivered.
        let was = matches!(&self.previous, Some(Ok(object)) if selected(object));
        match &self.current {
            Some(Err(undecodable)) => Err(Error::Undecodable(Arc::clone(undecodable))),
            Some(Ok(object)) if selected(object) => {
                let object = Arc::clone(object);
                Ok(Some(if was { Event::Modified(object) } else { Event::Added(object) }))
            }
            _ if was => Ok(Some(Event::Deleted(self.departed(codec)?))),
            _ => Ok(None),
        }
    }

    /// About how much memory it keeps alive; the previous state counts, since only the change may still hold it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let size = |state: &Option<Decoded>| match state {
            Some(Ok(object)) => object.bytes(),
            Some(Err(undecodable)) => undecodable.key.as_str().len(),
            None => 0,
        };
        size(&self.current) + size(&self.previous) + size_of::<Change>()
    }

    fn departed(&self, codec: &dyn Codec) -> Result<Arc<Object>, Error> {
        let departed = self.departed.get_or_init(|| match &self.previous {
            Some(Ok(object)) => object.at(codec, self.revision).map(Arc::new).map_err(Arc::new),
            Some(Err(undecodable)) => Err(Arc::clone(undecodable)),
            None => unreachable!("only what was there can depart"),
        });
        departed.clone().map_err(Error::Undecodable)
    }
}

/// The state that a raw change has brought.
pub(crate) fn current(codec: &dyn Codec, raw: &RawChange) -> Option<Decoded> {
    let value = raw.value.clone()?;
    Some(decode(codec, &Record { key: raw.key.clone(), revision: raw.revision, value }))
}

/// What the codec makes of a record.
pub(crate) fn decode(codec: &dyn Codec, record: &Record) -> Decoded {
    Object::read(codec, record).map(Arc::new).map_err(Arc::new)
}
