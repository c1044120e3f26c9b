//! What plans have in common: crowds, flags, limits, and short ways to write a schedule.

use crate::fault::Spec;
use crate::history::Limits;
use crate::nemesis::{Planned, Role};
use crate::run::Plan;
use crate::traffic::etcd::{Crowd, Kind};

/// What a plan depends on beside its scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The seed.
    pub seed: u64,
    /// Whether the target is ours, which has flags that etcd has not.
    pub ours: bool,
}

/// A client's patience with faults around, milliseconds (etcd's robustness tests: 200, on machines of their own).
const REQUEST_MS: u64 = 400;
/// Successful operations a second below which a run proves nothing: the catalogue's 100, where this machine is not shared.
const RATE_FLOOR: u64 = 40;
/// What a member misses until it needs a snapshot, and by how many writers. etcd below 3.6 keeps 5,000 entries behind one;
/// ours as many as it is told and a batch of purged ones, and packs what several clients write into one entry.
const LAG_ETCD: Spec = Spec::Lag { entries: 6_500, writers: 24 };
const LAG_OURS: Spec = Spec::Lag { entries: 2_600, writers: 3 };

/// `clients` of a kind, each with a pause.
pub(super) fn crowd(kind: Kind, clients: u32, pause_ms: u64) -> Crowd {
    Crowd { kind, clients, pause_ms }
}

/// Everybody: registers, transactions, lists, leases, locks, elections, watches, compactions, an API server.
pub(super) fn everybody(setting: &Setting) -> Vec<Crowd> {
    vec![
        crowd(Kind::Register, 6, 25),
        // A known fault of etcd that would hide all others.
        crowd(if setting.ours { Kind::OldTxn } else { Kind::Txn }, 3, 25),
        crowd(Kind::Append, 3, 25),
        crowd(Kind::Kube, 3, 30),
        crowd(Kind::Lease, 4, 50),
        crowd(Kind::Lock, 3, 60),
        crowd(Kind::Election, 2, 60),
        crowd(Kind::Watch, 5, 50),
        crowd(Kind::Compact, 1, 400),
    ]
}

/// Registers, transactions and watches: what most scenarios need.
pub(super) fn some() -> Vec<Crowd> {
    vec![crowd(Kind::Register, 6, 20), crowd(Kind::Txn, 3, 25), crowd(Kind::Append, 2, 25), crowd(Kind::Watch, 4, 40)]
}

/// A plan of three members with `crowds`, to be refined.
pub(super) fn plan(name: &str, setting: &Setting, crowds: Vec<Crowd>, schedule: Vec<Planned>) -> Plan {
    let end = schedule.iter().map(|planned| planned.at_ms + planned.for_ms).max().unwrap_or(0);
    Plan {
        scenario: name.to_owned(),
        seed: setting.seed,
        members: 3,
        flags: Vec::new(),
        disk_mib: None,
        clocks: false,
        request_ms: REQUEST_MS,
        crowds,
        warm_up_ms: 2_000,
        schedule,
        safety_ms: end + 1_000,
        liveness_ms: 3_000,
        limits: Limits { rate_floor: RATE_FLOOR, ..Limits::default() },
    }
}

/// A schedule from (at, for, on, fault), numbered.
pub(super) fn schedule(rows: impl IntoIterator<Item = (u64, u64, Role, Spec)>) -> Vec<Planned> {
    let planned = |(number, (at_ms, for_ms, on, fault))| Planned { number, at_ms, for_ms, on, fault };
    (1..).zip(rows).map(planned).collect()
}

/// Snapshots after few entries, so that a member that was away needs one.
pub(super) fn snapshots_often(setting: &Setting) -> Vec<String> {
    let mut flags = vec!["--snapshot-count=100".to_owned()];
    if setting.ours {
        flags.push("--snapshot-catchup-entries=10".to_owned());
    }
    flags
}

/// A member misses so much that it needs a snapshot.
pub(super) fn lag(setting: &Setting) -> Spec {
    if setting.ours { LAG_OURS } else { LAG_ETCD }
}
