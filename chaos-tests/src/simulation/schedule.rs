//! What is done to the members of a simulation, and when: drawn from the seed, written into the history, replayable from it.

use serde::{Deserialize, Serialize};

use crate::model::random::Random;

/// Faults begin this far apart, milliseconds.
const GAP_MS: (u64, u64) = (150, 1_500);
/// How long most last.
const LASTS_MS: (u64, u64) = (60, 2_600);
/// Half of them no longer than this: about an election.
const SHORT_MS_MAX: u64 = 700;
/// Changes of a disk until it fails.
const CHANGES: (u64, u64) = (1, 60);

/// On whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// Who led when it was last looked at.
    Leader,
    /// Somebody else, by turns.
    Follower(u8),
}

/// What.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    /// Its process ends, and is started again.
    Kill,
    /// Its disk forgets what was not synced.
    PowerCut,
    /// The same for all members at one instant.
    PowerCutOfAll,
    /// Its disk fails at a change to come, and power goes when it has noticed.
    DiskFails {
        /// How many changes still pass.
        after: u64,
    },
    /// Syncs of two disks fail; then all lose power.
    SyncsFail,
    /// Neither hears from it nor is heard.
    Partition,
    /// It hears nobody.
    Deaf,
    /// Nobody hears it.
    Mute,
    /// It and one other do not hear each other; the third hears both.
    HalfPartition,
    /// Everything to and from it takes up to this much longer, milliseconds.
    Delay {
        /// At most.
        ms: u64,
    },
    /// It stands still while its clock goes on.
    Pause,
    /// It and its clock stand still.
    ClockStop,
    /// Its connections are reset.
    Reset,
    /// Leadership is moved to it.
    Transfer,
    /// It is away, and what it misses is compacted.
    Lag,
}

impl Blow {
    /// Its id in the catalogue.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Blow::Kill => "F-01",
            Blow::PowerCut | Blow::PowerCutOfAll => "F-50",
            Blow::DiskFails { .. } => "F-62",
            Blow::SyncsFail => "F-55",
            Blow::Partition => "F-20",
            Blow::Deaf | Blow::Mute => "F-21",
            Blow::HalfPartition => "F-22",
            Blow::Delay { .. } => "F-28",
            Blow::Pause => "F-03",
            Blow::ClockStop => "F-44",
            Blow::Reset => "F-24",
            Blow::Transfer => "F-70",
            Blow::Lag => "F-73",
        }
    }
}

/// A fault of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strike {
    /// Its number, from 1.
    pub number: u64,
    /// When, in milliseconds of the safety phase.
    pub at_ms: u64,
    /// For how long.
    pub for_ms: u64,
    /// On whom.
    pub on: Whom,
    /// What.
    pub blow: Blow,
}

/// A schedule for a safety phase of `safety_ms`.
#[must_use]
pub fn draw(seed: u64, safety_ms: u64) -> Vec<Strike> {
    let mut random = Random::new(seed);
    let mut at_ms = random.between(50, 400);
    let mut strikes = Vec::new();
    while at_ms + LASTS_MS.0 < safety_ms {
        let on = if random.chance(450) { Whom::Leader } else { Whom::Follower(random.below(2) as u8) };
        let blow = blow(&mut random);
        let most = if random.chance(500) { SHORT_MS_MAX } else { LASTS_MS.1 };
        let lasts = match blow {
            Blow::Lag => random.between(1_200, 2_600),
            Blow::SyncsFail => random.between(100, 400),
            // Shorter and longer than an election.
            _ => random.between(LASTS_MS.0, most),
        };
        let for_ms = lasts.min(safety_ms - at_ms);
        strikes.push(Strike { number: strikes.len() as u64 + 1, at_ms, for_ms, on, blow });
        // Most overlap the one before; some leave time to recover.
        at_ms += random.between(GAP_MS.0, GAP_MS.1);
    }
    strikes
}

fn blow(random: &mut Random) -> Blow {
    match random.below(22) {
        0..2 => Blow::Kill,
        2..4 => Blow::PowerCut,
        4 => Blow::PowerCutOfAll,
        5..7 => Blow::DiskFails { after: random.between(CHANGES.0, CHANGES.1) },
        7 => Blow::SyncsFail,
        8..11 => Blow::Partition,
        11 => Blow::Deaf,
        12 => Blow::Mute,
        13 => Blow::HalfPartition,
        14..16 => Blow::Delay { ms: random.between(5, 300) },
        16 => Blow::Pause,
        17 => Blow::ClockStop,
        18 => Blow::Reset,
        19 => Blow::Transfer,
        _ => Blow::Lag,
    }
}
