//! A run spelled out: everything that was chosen, so that it can be done again without the seed.

use serde::{Deserialize, Serialize};

use crate::history::Limits;
use crate::nemesis::Planned;
use crate::traffic::etcd::Crowd;

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// What everything random was drawn from.
    pub seed: u64,
    /// Members of the cluster.
    pub members: usize,
    /// Flags for every member.
    pub flags: Vec<String>,
    /// Each member has a disk of its own of so many MiB, whose power can be cut.
    pub disk_mib: Option<u32>,
    /// Members' clocks can jump.
    pub clocks: bool,
    /// How long a client waits for an answer, milliseconds.
    pub request_ms: u64,
    /// The clients.
    pub crowds: Vec<Crowd>,
    /// Traffic without faults before, milliseconds.
    pub warm_up_ms: u64,
    /// Faults.
    pub schedule: Vec<Planned>,
    /// The safety phase is at least this long, milliseconds.
    pub safety_ms: u64,
    /// Traffic without faults after the heal, milliseconds.
    pub liveness_ms: u64,
    /// What the checkers measure against.
    pub limits: Limits,
}

impl Plan {
    /// Whether a member may panic in it, or end in another way: its disk fails under it.
    pub(crate) fn may_end(&self) -> bool {
        use crate::fault::Spec;
        let ends = |planned: &Planned| {
            matches!(planned.fault, Spec::FailFsync | Spec::DiskFull | Spec::PowerCut | Spec::Corrupt { .. })
        };
        self.schedule.iter().any(ends)
    }

    /// Whether writes may be refused when they are applied, for want of space.
    pub(crate) fn may_run_full(&self) -> bool {
        use crate::fault::Spec;
        self.schedule.iter().any(|planned| matches!(planned.fault, Spec::NoSpace { .. } | Spec::DiskFull))
    }
}
