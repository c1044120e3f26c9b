//! The recorded history of a run: what clients asked and were told, what watches delivered, what was done to the members.
//!
//! ```text
//! {"schema":1,"seed":7,"target":"fairlead","version":"0.1.0","argv":["chaos","run","smoke"],"members":[1,2,3],"limits":{…}}
//! {"at":1200,"invoke":{"op":1,"client":4,"member":2,"request":{"put":{"key":"a","value":"v1"}}}}
//! {"at":2900,"return":{"op":1,"outcome":{"ok":{"revision":2,"term":1,"answer":{"put":{}}}}}}
//! ```
//! One JSON object a line: the header, then records, each with `at` (nanoseconds of one monotonic clock) and one event named
//! by its key. Promises: an old file reads as it was written (the schema has a number, unknown fields are refused); a
//! history that is built has matching invocations and returns, sequential clients, and no client that goes on after an
//! unknown result. Does not: judge ([`crate::check`]), know a clock, keep values longer than [`TEXT_BYTES_MAX`].

mod answer;
mod event;
mod file;
mod request;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use answer::{
    Answer, Answered, Code, Deleted, Failure, Granted, Held, KeptAlive, Outcome, PutDone, Ranged, TtlLeft, TxnDone,
};
pub use event::{
    Change, Entry, Event, Fault, FaultStep, Figures, HashKv, Invoke, Member, MemberStep, Panic, Phase, Return,
};
pub use file::{LINE_BYTES_MAX, ReadError, SCHEMA, WriteError, Writer};
pub(crate) use request::covers;
pub use request::{
    Campaign, Compact, Compare, Delete, Grant, KeepAlive, KeyValue, Lock, Put, Range, Relation, Request, Resign,
    Revoke, Target, TimeToLive, Txn, Unlock,
};
pub use watch::{Batch, Canceled, CloseCause, Closed, Created, Open, Progress, Watch, WatchEvent, WatchStep};

/// Bytes of a key or a value as they stand in a history; longer ones are recorded by [`text`] as a digest.
pub const TEXT_BYTES_MAX: usize = 256;

/// A line of the file: the header is line 1.
pub type Line = u32;

/// What a history opens with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the form, [`SCHEMA`].
    pub schema: u32,
    /// What the schedule and the traffic were drawn from.
    pub seed: u64,
    /// What was under test: `fairlead`, `etcd`, `simulation`.
    pub target: String,
    /// Its version.
    pub version: String,
    /// The command that made this run.
    pub argv: Vec<String>,
    /// Members at the start.
    pub members: Vec<u64>,
    /// What the checkers measure times and rates against.
    #[serde(default)]
    pub limits: Limits,
    /// The whole plan, by which a run is repeated without its seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<serde_json::Value>,
}

/// Times and floors that a run is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The upper bound of an election timeout, milliseconds.
    pub election_ms: u64,
    /// After the heal, all members have applied the same within this, milliseconds.
    pub converge_ms: u64,
    /// When writes have stopped, every open watch has delivered everything within this, milliseconds.
    pub watch_ms: u64,
    /// A lease that nobody renews is gone this long after its TTL and an election, milliseconds.
    pub lease_slack_ms: u64,
    /// A watch that is cut off is told within this, milliseconds (three keep-alives of the connection).
    pub half_open_ms: u64,
    /// Successful operations a second, in warm-up and in liveness, below which a run proves nothing; 0 for none.
    pub rate_floor: u64,
    /// A member that was cut off and comes back costs the others no longer time without a success than this,
    /// milliseconds; 0 where that is not judged, as on a machine that is shared.
    pub return_gap_ms: u64,
    /// Of 100 watches, how many must have had an event for a run to prove anything; 0 for none.
    pub watch_floor_percent: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            election_ms: 2_000,
            converge_ms: 30_000,
            watch_ms: 10_000,
            lease_slack_ms: 3_000,
            half_open_ms: 30_000,
            rate_floor: 0,
            return_gap_ms: 0,
            watch_floor_percent: 0,
        }
    }
}

/// One event and when it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Nanoseconds since the start of the run, on the run's one monotonic clock.
    pub at: u64,
    /// Where it stands in its file.
    pub line: Line,
    /// What happened.
    pub event: Event,
}

/// A whole run, well-formed, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    header: Header,
    records: Vec<Record>,
    /// Ascending by line.
    by_line: Vec<(Line, usize)>,
}

/// A history that contradicts itself: the recorder is at fault, not the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Malformed {
    /// Where.
    pub line: Line,
    /// What is wrong.
    pub what: String,
}

impl History {
    /// A history of records in any order; they are sorted by time, those of one instant by their line.
    ///
    /// # Errors
    /// When a return has no invocation, an id comes twice, or a client does two things at once.
    pub fn new(header: Header, mut records: Vec<Record>) -> Result<History, Malformed> {
        records.sort_by_key(|record| (record.at, record.line));
        well_formed(&records)?;
        let mut by_line: Vec<(Line, usize)> =
            records.iter().enumerate().map(|(at, record)| (record.line, at)).collect();
        by_line.sort_unstable();
        Ok(History { header, records, by_line })
    }

    /// A history of events with their times; lines are numbered as a writer would.
    ///
    /// # Errors
    /// As [`History::new`].
    pub fn from_events(header: Header, events: Vec<(u64, Event)>) -> Result<History, Malformed> {
        let numbered = (2..).zip(events).map(|(line, (at, event))| Record { at, line, event });
        History::new(header, numbered.collect())
    }

    /// What the run was.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Everything that happened, in the order of time.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The record on a line of the file.
    #[must_use]
    pub fn line(&self, line: Line) -> Option<&Record> {
        let place = self.by_line.binary_search_by_key(&line, |(line, _)| *line).ok()?;
        self.records.get(self.by_line[place].1)
    }
}

/// A key or a value as it goes into a history: itself when it is short text, else its length and digest, so that equal
/// bytes stay equal and different ones different.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= TEXT_BYTES_MAX => text.to_owned(),
        _ => format!("#{}:{:032x}", bytes.len(), fnv1a_128(bytes)),
    }
}

/// FNV-1a of 128 bits (RFC 9923): no adversary writes these values.
fn fnv1a_128(bytes: &[u8]) -> u128 {
    let offset = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    bytes.iter().fold(offset, |hash: u128, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

/// What a client is doing.
enum Client {
    Idle,
    Asking(u64),
    Unknown,
}

fn well_formed(records: &[Record]) -> Result<(), Malformed> {
    let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
    let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
    let mut returned: BTreeSet<u64> = BTreeSet::new();
    let mut watches: BTreeSet<u64> = BTreeSet::new();
    for record in records {
        let wrong = |what: String| Err(Malformed { line: record.line, what });
        match &record.event {
            Event::Invoke(invoke) => {
                if asked.insert(invoke.op, invoke.client).is_some() {
                    return wrong(format!("operation {} is invoked twice", invoke.op));
                }
                match clients.insert(invoke.client, Client::Asking(invoke.op)) {
                    None | Some(Client::Idle) => {}
                    Some(Client::Asking(op)) => {
                        return wrong(format!("client {} asks while its operation {op} is open", invoke.client));
                    }
                    Some(Client::Unknown) => {
                        return wrong(format!(
                            "client {} goes on after an unknown result: it needs a new id",
                            invoke.client
                        ));
                    }
                }
            }
            Event::Return(back) => {
                let Some(client) = asked.get(&back.op) else {
                    return wrong(format!("operation {} returns but was not invoked before", back.op));
                };
                if !returned.insert(back.op) {
                    return wrong(format!("operation {} returns twice", back.op));
                }
                let after = if matches!(back.outcome, Outcome::Unknown(_)) { Client::Unknown } else { Client::Idle };
                clients.insert(*client, after);
            }
            Event::Watch(watch) => match &watch.step {
                WatchStep::Open(_) if !watches.insert(watch.watch) => {
                    return wrong(format!("watch {} is opened twice", watch.watch));
                }
                WatchStep::Open(_) => {}
                _ if !watches.contains(&watch.watch) => {
                    return wrong(format!("watch {} is heard of before it is opened", watch.watch));
                }
                _ => {}
            },
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod history_test;
