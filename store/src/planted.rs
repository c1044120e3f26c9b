//! Bugs that tests switch on, one at a time, to show that they are found: only in builds with the feature, and in no release.
//!
//! Each is a mistake that a store has made, or that openraft leaves to us to make; the catalogue's number is what switches it
//! on. The code asks `is` at the place where it would be made, which without the feature is a constant.
//!
//! A process is given its bug by [`from_environment`]; a simulated cluster by [`on_this_thread`], which others do not see.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// M-01: the log is written and never synced.
    SyncSkipped,
    /// M-02: a sync that fails is taken for one that succeeded.
    SyncErrorIgnored,
    /// M-03: reads are served by whoever takes itself for the leader.
    ReadUnconfirmed,
    /// M-04: progress is told past what was delivered.
    ProgressTooFar,
    /// M-05: watchers miss an event now and then.
    EventDropped,
    /// M-06: watchers are not told of what a snapshot has brought.
    WatchersNotRebased,
    /// M-07: leases are ended by whoever once led.
    ExpiryUnconfirmed,
    /// M-11: a crash can come between what is applied and how far that is.
    AppliedApart,
    /// M-12: nobody is asked before an election.
    PreVoteOff,
    /// M-13: a vote is given before it is durable.
    VoteNotSynced,
    /// M-17: an append that no follower answered counts as stored there.
    AppendAssumed,
    /// M-18: a compaction takes its own revision's events along.
    CompactedTooFar,
    /// M-19: the events of a revision are delivered one by one.
    RevisionSplit,
}

impl Bug {
    /// All of them, by their numbers in the catalogue.
    pub const ALL: [(&str, Bug); 13] = [
        ("M-01", Bug::SyncSkipped),
        ("M-02", Bug::SyncErrorIgnored),
        ("M-03", Bug::ReadUnconfirmed),
        ("M-04", Bug::ProgressTooFar),
        ("M-05", Bug::EventDropped),
        ("M-06", Bug::WatchersNotRebased),
        ("M-07", Bug::ExpiryUnconfirmed),
        ("M-11", Bug::AppliedApart),
        ("M-12", Bug::PreVoteOff),
        ("M-13", Bug::VoteNotSynced),
        ("M-17", Bug::AppendAssumed),
        ("M-18", Bug::CompactedTooFar),
        ("M-19", Bug::RevisionSplit),
    ];
}

#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub(crate) use on::is;
#[cfg(feature = "planted")]
pub use on::{ENVIRONMENT, Unknown, from_environment, on_this_thread};

#[cfg(feature = "planted")]
mod on {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::Bug;

    /// The variable with the number of the bug of a process.
    pub const ENVIRONMENT: &str = "FAIRLEAD_PLANTED";

    static OF_PROCESS: OnceLock<Bug> = OnceLock::new();

    thread_local! {
        static OF_THREAD: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// The environment names a bug that there is not.
    #[derive(Debug, thiserror::Error)]
    #[error("{ENVIRONMENT}: there is no planted bug {0:?}; they are M-01 to M-07, M-11 to M-13 and M-17 to M-19")]
    pub struct Unknown(String);

    /// Switches on the bug that the environment names, for the whole process and for good; which.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn from_environment() -> Result<Option<&'static str>, Unknown> {
        let Ok(wanted) = std::env::var(ENVIRONMENT) else { return Ok(None) };
        let (name, bug) = Bug::ALL.iter().find(|(name, _)| *name == wanted).ok_or(Unknown(wanted))?;
        OF_PROCESS.get_or_init(|| *bug);
        Ok(Some(name))
    }

    /// Switches on a bug for what runs on this thread, or none.
    pub fn on_this_thread(bug: Option<Bug>) {
        OF_THREAD.set(bug);
    }

    /// Whether this bug is switched on here.
    pub(crate) fn is(bug: Bug) -> bool {
        OF_THREAD.get() == Some(bug) || OF_PROCESS.get() == Some(&bug)
    }
}
