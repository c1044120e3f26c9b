//! A fault as it stands in a plan: which, and how much of it.

use serde::{Deserialize, Serialize};

use super::{
    Fault, bandwidth, clock, compaction, corrupt, delay, disk_full, fail_fsync, figures, half_open, kill, lag,
    no_space, one_way, partition, pause, power_cut, reset, ring, slow_fsync, terminate, transfer,
};
use crate::history::Figures;

/// Which fault, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Spec {
    /// kill -9, and a start when its time is over.
    Kill,
    /// SIGTERM and a start, one member after the other.
    Terminate,
    /// SIGSTOP for its time.
    Pause,
    /// The members and the rest do not hear each other.
    Partition,
    /// The members do not hear the others.
    Deaf,
    /// The others do not hear the members.
    Mute,
    /// Of three members, the leader and one follower do not hear each other; of five, each sees another majority.
    Ring,
    /// The connections of the members' clients fall silent; new ones pass.
    HalfOpen,
    /// Everything between the members and the others is late.
    Delay {
        /// By at least this.
        ms: u64,
        /// And up to so much more.
        jitter_ms: u64,
    },
    /// Connections between the members and the others are reset.
    Reset,
    /// Each connection between the members and the others carries no more than this.
    Bandwidth {
        /// Bytes a second.
        bytes_per_second: u32,
    },
    /// Each fsync and fdatasync is held.
    SlowFsync {
        /// For so long.
        delay_ms: u64,
    },
    /// Each fsync and fdatasync fails with EIO.
    FailFsync,
    /// The members' disks are full.
    DiskFull,
    /// The members lose power at once: nothing that was not synced is left.
    PowerCut,
    /// Bytes of a member's log change while it is down.
    Corrupt {
        /// How.
        damage: Damage,
    },
    /// The members' wall clocks jump.
    ClockJump {
        /// By so many seconds.
        seconds: i64,
    },
    /// Leadership is handed on again and again.
    Transfer {
        /// So often.
        every_ms: u64,
    },
    /// The store is compacted to the present again and again.
    Compact {
        /// So often.
        every_ms: u64,
    },
    /// A member is cut off until it needs a snapshot.
    Lag {
        /// Changes that it misses.
        entries: u64,
        /// Clients that write them; a store that packs proposals has fewer entries the more there are.
        writers: u64,
    },
    /// Writes until the store's quota is used up; space is given back afterwards.
    NoSpace {
        /// Bytes to write at most.
        bytes: u64,
    },
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// The end of the last record is zeros: a write that was torn.
    Torn,
    /// One bit in the middle is another.
    Flip,
}

/// What the catalogue's faults are called that can be planned, by their ids.
pub const NAMES: &[(&str, &str)] = &[
    ("F-01", "kill -9"),
    ("F-02", "rolling restart"),
    ("F-03", "pause"),
    ("F-20", "partition"),
    ("F-21", "one-way partition"),
    ("F-22", "ring partition"),
    ("F-24", "connections reset"),
    ("F-25", "silent half-open"),
    ("F-28", "delay"),
    ("F-30", "bandwidth cap"),
    ("F-40", "clock jump"),
    ("F-50", "power cut"),
    ("F-52", "disk full"),
    ("F-55", "fsync fails"),
    ("F-56", "slow fsync"),
    ("F-61", "flipped bit"),
    ("F-62", "torn write"),
    ("F-70", "leader transfers"),
    ("F-72", "compactions"),
    ("F-73", "lag to a snapshot"),
    ("F-74", "no space"),
];

impl Spec {
    /// Its id in the catalogue.
    pub fn id(&self) -> &'static str {
        match self {
            Spec::Kill => "F-01",
            Spec::Terminate => "F-02",
            Spec::Pause => "F-03",
            Spec::Partition => "F-20",
            Spec::Deaf | Spec::Mute => "F-21",
            Spec::Ring => "F-22",
            Spec::Reset => "F-24",
            Spec::HalfOpen => "F-25",
            Spec::Delay { .. } => "F-28",
            Spec::Bandwidth { .. } => "F-30",
            Spec::ClockJump { .. } => "F-40",
            Spec::PowerCut => "F-50",
            Spec::DiskFull => "F-52",
            Spec::FailFsync => "F-55",
            Spec::SlowFsync { .. } => "F-56",
            Spec::Corrupt { damage: Damage::Flip } => "F-61",
            Spec::Corrupt { damage: Damage::Torn } => "F-62",
            Spec::Transfer { .. } => "F-70",
            Spec::Compact { .. } => "F-72",
            Spec::Lag { .. } => "F-73",
            Spec::NoSpace { .. } => "F-74",
        }
    }

    /// How much, as it stands in the history.
    pub fn figures(&self) -> Figures {
        match self {
            Spec::Delay { ms, jitter_ms } => figures([("delay_ms", *ms), ("jitter_ms", *jitter_ms)]),
            Spec::Bandwidth { bytes_per_second } => figures([("bytes_per_second", u64::from(*bytes_per_second))]),
            Spec::SlowFsync { delay_ms } => figures([("delay_ms", *delay_ms)]),
            Spec::ClockJump { seconds } => Figures::from([("seconds".to_owned(), *seconds)]),
            Spec::Transfer { every_ms } | Spec::Compact { every_ms } => figures([("every_ms", *every_ms)]),
            Spec::Lag { entries, .. } => figures([("entries", *entries)]),
            Spec::NoSpace { bytes } => figures([("bytes", *bytes)]),
            _ => Figures::new(),
        }
    }

    /// Whether a member that it acts on may be down, or without its last writes, for its time: such faults must not meet a
    /// majority at once unless a scenario wants that.
    pub fn takes_down(&self) -> bool {
        matches!(
            self,
            Spec::Kill
                | Spec::Terminate
                | Spec::Pause
                | Spec::FailFsync
                | Spec::DiskFull
                | Spec::PowerCut
                | Spec::Corrupt { .. }
                | Spec::Lag { .. }
        )
    }

    /// The fault itself, under its number in the run.
    pub(crate) fn build(&self, number: u64) -> Box<dyn Fault> {
        match self {
            Spec::Kill => Box::new(kill::Kill::default()),
            Spec::Terminate => Box::new(terminate::Terminate::default()),
            Spec::Pause => Box::new(pause::Pause::default()),
            Spec::Partition => Box::new(partition::Partition::new(number)),
            Spec::Deaf => Box::new(one_way::OneWay::deaf(number)),
            Spec::Mute => Box::new(one_way::OneWay::mute(number)),
            Spec::Ring => Box::new(ring::Ring::new(number)),
            Spec::HalfOpen => Box::new(half_open::HalfOpen::new(number)),
            Spec::Delay { ms, jitter_ms } => Box::new(delay::Delay::new(number, *ms, *jitter_ms)),
            Spec::Reset => Box::new(reset::Reset::new(number)),
            Spec::Bandwidth { bytes_per_second } => Box::new(bandwidth::Bandwidth::new(number, *bytes_per_second)),
            Spec::SlowFsync { delay_ms } => Box::new(slow_fsync::SlowFsync::new(*delay_ms)),
            Spec::FailFsync => Box::new(fail_fsync::FailFsync::default()),
            Spec::DiskFull => Box::new(disk_full::DiskFull::default()),
            Spec::PowerCut => Box::new(power_cut::PowerCut::default()),
            Spec::Corrupt { damage } => Box::new(corrupt::Corrupt::new(*damage)),
            Spec::ClockJump { seconds } => Box::new(clock::ClockJump::new(*seconds)),
            Spec::Transfer { every_ms } => Box::new(transfer::Transfer::new(*every_ms)),
            Spec::Compact { every_ms } => Box::new(compaction::Compaction::new(*every_ms)),
            Spec::Lag { entries, writers } => Box::new(lag::Lag::new(number, *entries, *writers)),
            Spec::NoSpace { bytes } => Box::new(no_space::NoSpace::new(*bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_that_can_be_planned_has_a_name() {
        let specs = [
            Spec::Kill,
            Spec::Terminate,
            Spec::Pause,
            Spec::Partition,
            Spec::Deaf,
            Spec::Mute,
            Spec::Ring,
            Spec::HalfOpen,
            Spec::Delay { ms: 1, jitter_ms: 1 },
            Spec::Reset,
            Spec::Bandwidth { bytes_per_second: 1 },
            Spec::SlowFsync { delay_ms: 1 },
            Spec::FailFsync,
            Spec::DiskFull,
            Spec::PowerCut,
            Spec::Corrupt { damage: Damage::Torn },
            Spec::Corrupt { damage: Damage::Flip },
            Spec::ClockJump { seconds: 1 },
            Spec::Transfer { every_ms: 1 },
            Spec::Compact { every_ms: 1 },
            Spec::Lag { entries: 1, writers: 1 },
            Spec::NoSpace { bytes: 1 },
        ];
        for spec in specs {
            assert!(NAMES.iter().any(|(id, _)| *id == spec.id()), "{spec:?}");
        }
    }
}
