//! Everything that can stand in a record, but operations' and watches' own details.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::Outcome;
use super::request::{Request, unset};
use super::watch::Watch;

/// Named figures of a fault: what was asked, done, seen. The unit is in the name (`delay_ms`).
pub type Figures = BTreeMap<String, i64>;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The run goes over to another phase.
    Phase(Phase),
    /// A client asks.
    Invoke(Invoke),
    /// A client is told.
    Return(Return),
    /// Something about a watch.
    Watch(Watch),
    /// Something about a fault.
    Fault(Fault),
    /// Something about a member.
    Member(Member),
    /// A member's hash of its keys.
    HashKv(HashKv),
    /// A member has panicked, by its log.
    Panic(Panic),
    /// An entry of a member's committed log, dumped at the end.
    Entry(Entry),
    /// The harness has failed at something: the run proves less than it should.
    Doubt(String),
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Traffic without faults.
    WarmUp,
    /// Traffic with faults: nothing wrong may be seen.
    Safety,
    /// Every fault is being undone.
    Heal,
    /// Traffic without faults: everything must work again.
    Liveness,
    /// Traffic has stopped; final reads, hashes and dumps.
    End,
}

/// An operation begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invoke {
    /// Its id, unique in a history.
    pub op: u64,
    /// Who asks: one operation at a time, and none after an unknown result.
    pub client: u64,
    /// Which member is asked.
    pub member: u64,
    /// What.
    pub request: Request,
}

/// An operation ends, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Return {
    /// Which.
    pub op: u64,
    /// How.
    pub outcome: Outcome,
}

/// A step in the life of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which of the schedule.
    pub id: u64,
    /// What happened to it.
    pub step: FaultStep,
}

/// What happened to a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultStep {
    /// It stands in the schedule.
    Planned {
        /// Its id in the catalogue, such as `F-56`.
        kind: String,
        /// On whom, as far as that is known before; the rest is in the figures of `applied`.
        #[serde(default, skip_serializing_if = "unset")]
        members: Vec<u64>,
        /// How much.
        #[serde(default, skip_serializing_if = "unset")]
        figures: Figures,
    },
    /// It is in force.
    Applied {
        /// On whom.
        #[serde(default, skip_serializing_if = "unset")]
        members: Vec<u64>,
        /// How much.
        #[serde(default, skip_serializing_if = "unset")]
        figures: Figures,
    },
    /// Its effect was seen.
    Witnessed {
        /// What was counted or measured.
        #[serde(default, skip_serializing_if = "unset")]
        figures: Figures,
    },
    /// It could not be applied, or nothing of it was seen.
    Missed {
        /// Why.
        why: String,
    },
    /// It is undone.
    Healed {
        /// What was seen in undoing it.
        #[serde(default, skip_serializing_if = "unset")]
        figures: Figures,
    },
}

/// A step in the life of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which.
    pub id: u64,
    /// What happened to it.
    pub step: MemberStep,
}

/// What happened to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MemberStep {
    /// Its process runs.
    Started,
    /// It serves.
    Ready,
    /// Its process has ended.
    Ended {
        /// Whether it was told to.
        expected: bool,
        /// Exit status or signal.
        status: String,
    },
    /// It leads.
    Leader {
        /// Since this term.
        term: u64,
    },
    /// How many snapshots it has installed since its start.
    Installed {
        /// The counter.
        snapshots: u64,
    },
    /// What it says of itself.
    Status {
        /// The last applied index.
        applied: u64,
        /// The store's revision.
        revision: i64,
        /// The term.
        term: u64,
    },
}

/// A member's HashKV at a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashKv {
    /// Who answers.
    pub member: u64,
    /// Of which revision.
    pub revision: i64,
    /// Above which compacted revision.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}

/// A panic found in a member's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panic {
    /// Whose.
    pub member: u64,
    /// Whether the member was told to die so.
    #[serde(default, skip_serializing_if = "unset")]
    pub expected: bool,
    /// The line of the log.
    pub text: String,
}

/// An entry of a member's committed log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Whose log.
    pub member: u64,
    /// Its place.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The store's revision after it, where the dump knows it.
    #[serde(default, skip_serializing_if = "unset")]
    pub revision: Option<i64>,
    /// What it says, in order.
    #[serde(default, skip_serializing_if = "unset")]
    pub changes: Vec<Change>,
}

/// One command of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// A client's, or that of the lock and election services.
    Apply(Request),
    /// The leader's word that a lease is over; without effect in any term but its own.
    Expire {
        /// The lease.
        lease: i64,
        /// The term in which the proposer led.
        term: u64,
    },
    /// A client's that was refused when it was applied, for want of space.
    Refused(Request),
    /// Anything that changes neither keys nor leases: a blank entry, a membership, a checkpoint.
    Other(String),
}
