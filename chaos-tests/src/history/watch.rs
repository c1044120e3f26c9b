//! What is recorded of a watch, from the client's side.
//!
//! A watch is one `WatchCreateRequest` and what came of it; one that goes on for another after a break says so in
//! [`Open::resumes`]. A progress notification for a whole stream is recorded once for each of its watches.

use serde::{Deserialize, Serialize};

use super::request::{KeyValue, unset};

/// A step in the life of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Its id, unique in a history.
    pub watch: u64,
    /// What happened to it.
    pub step: WatchStep,
}

/// What happened to a watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum WatchStep {
    /// The client asks for it.
    Open(Open),
    /// The server has it.
    Created(Created),
    /// One response with events.
    Events(Batch),
    /// A progress notification.
    Progress(Progress),
    /// The server gives it up.
    Canceled(Canceled),
    /// Its stream has ended.
    Closed(Closed),
}

/// What a client asks to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Who asks.
    pub client: u64,
    /// Who is asked.
    pub member: u64,
    /// The key, or the first of the range.
    pub key: String,
    /// The first key behind the range.
    #[serde(default, skip_serializing_if = "unset")]
    pub end: Option<String>,
    /// The first revision wanted; 0 for the next after now.
    #[serde(default, skip_serializing_if = "unset")]
    pub from: i64,
    /// Whether events hold the key as it was before.
    #[serde(default, skip_serializing_if = "unset")]
    pub previous: bool,
    /// Whether a response may be split.
    #[serde(default, skip_serializing_if = "unset")]
    pub fragment: bool,
    /// Whether it wants progress when nothing happens.
    #[serde(default, skip_serializing_if = "unset")]
    pub progress: bool,
    /// Whether it wants to be told when its member has no leader.
    #[serde(default, skip_serializing_if = "unset")]
    pub require_leader: bool,
    /// Leaves out puts.
    #[serde(default, skip_serializing_if = "unset")]
    pub no_put: bool,
    /// Leaves out deletes.
    #[serde(default, skip_serializing_if = "unset")]
    pub no_delete: bool,
    /// The watch that it goes on for.
    #[serde(default, skip_serializing_if = "unset")]
    pub resumes: Option<u64>,
}

/// The server's word that the watch is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Created {
    /// The header's revision.
    pub revision: i64,
}

/// One response with events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The header's revision.
    pub revision: i64,
    /// Whether the next response goes on with this one.
    #[serde(default, skip_serializing_if = "unset")]
    pub fragment: bool,
    /// In the order they came.
    pub events: Vec<WatchEvent>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum WatchEvent {
    /// A put.
    Put {
        /// The key as it is since.
        kv: KeyValue,
        /// As it was before, when that was asked and it is kept.
        #[serde(default, skip_serializing_if = "unset")]
        previous: Option<KeyValue>,
    },
    /// A delete.
    Delete {
        /// The key.
        key: String,
        /// When.
        #[serde(rename = "mod")]
        mod_revision: i64,
        /// As it was before, when that was asked and it is kept.
        #[serde(default, skip_serializing_if = "unset")]
        previous: Option<KeyValue>,
    },
}

impl WatchEvent {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            WatchEvent::Put { kv, .. } => &kv.key,
            WatchEvent::Delete { key, .. } => key,
        }
    }

    /// When.
    #[must_use]
    pub fn revision(&self) -> i64 {
        match self {
            WatchEvent::Put { kv, .. } => kv.mod_revision,
            WatchEvent::Delete { mod_revision, .. } => *mod_revision,
        }
    }

    /// The key as it was before.
    #[must_use]
    pub fn previous(&self) -> Option<&KeyValue> {
        match self {
            WatchEvent::Put { previous, .. } | WatchEvent::Delete { previous, .. } => previous.as_ref(),
        }
    }
}

/// A progress notification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Everything up to it has been delivered.
    pub revision: i64,
}

/// The end of a watch by the server's word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canceled {
    /// The compacted revision, when that is why; else 0.
    #[serde(default, skip_serializing_if = "unset")]
    pub compact_revision: i64,
    /// The server's words.
    #[serde(default, skip_serializing_if = "unset")]
    pub reason: String,
}

/// The end of a watch's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Who ended it.
    pub by: CloseCause,
    /// The error, for people.
    #[serde(default, skip_serializing_if = "unset")]
    pub reason: String,
}

/// Who ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseCause {
    /// The client, at its own will.
    Client,
    /// The server, with a status.
    Server,
    /// The connection broke, or its keep-alive went unanswered.
    Connection,
}
