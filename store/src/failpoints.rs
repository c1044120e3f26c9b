//! Failpoints under gofail's terms, so that tools that speak gofail can arm them: only in builds with the feature.
//!
//! The registry is the `fail` crate's, one for the process; [`Failpoints`] keeps what was asked for beside it. Names are
//! etcd's where the point is etcd's. The door over HTTP is `http::failpoints`.
//! Does not: count hits, or let a failpoint return a value (ours are places, not values).
//! Source: gofail `runtime/{runtime,terms,http}.go`.

mod term;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every failpoint of this crate.
pub const NAMES: &[&str] = &[
    "afterCommit",
    "applyBeforeOpenSnapshot",
    "beforeApplyGroup",
    "beforeApplyOneConfChange",
    "beforeApplyOneEntryNormal",
    "beforeCheckpointInLeaseRenew",
    "beforeCommit",
    "beforeSendWatchResponse",
    "beforeSyncWatchers",
    "compactAfterCommitBatch",
    "compactAfterCommitScheduledCompact",
    "compactAfterSetFinishedCompact",
    "compactBeforeCommitBatch",
    "compactBeforeCommitScheduledCompact",
    "compactBeforeSetFinishedCompact",
    "defragBeforeCopy",
    "logBeforeSegmentSwitch",
    "raftAfterApplySnap",
    "raftAfterSave",
    "raftAfterSaveSnap",
    "raftBeforeApplySnap",
    "raftBeforeFollowerSend",
    "raftBeforeLeaderSend",
    "raftBeforePurge",
    "raftBeforeSave",
    "raftBeforeSaveSnap",
    "raftBeforeTruncate",
    "snapshot_file::before_rename",
    "snapshot_file::block_loaded",
    "snapshot_file::block_written",
];

/// Why a failpoint was left as it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none of that name.
    #[error("failpoint: failpoint does not exist: {name}; GET / lists those there are")]
    Unknown {
        /// The name.
        name: String,
    },
    /// It is not armed.
    #[error("failpoint: failpoint is disabled")]
    Disabled,
    /// The terms are not understood, or ask for what cannot be had here.
    #[error("failpoint: could not parse terms {term:?}: {reason}")]
    Term {
        /// The term.
        term: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a list of `name=terms`.
    #[error("failpoint: could not parse {text:?}: it is not name=terms")]
    List {
        /// The part.
        text: String,
    },
}

/// What is armed.
#[derive(Debug, Default)]
pub struct Failpoints {
    armed: Mutex<BTreeMap<&'static str, String>>,
}

impl Failpoints {
    /// Arms `name` with gofail's `terms`, in place of what it had.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Term`].
    pub fn arm(&self, name: &str, terms: &str) -> Result<(), Error> {
        let name = known(name)?;
        let actions = term::to_actions(terms)?;
        fail::cfg(name, &actions).map_err(|reason| Error::Term { term: terms.to_owned(), reason })?;
        tracing::warn!(failpoint = name, terms, "a failpoint is armed");
        self.lock().insert(name, terms.to_owned());
        Ok(())
    }

    /// Arms all of `name=terms;name=terms`.
    ///
    /// # Errors
    /// As [`arm`](Self::arm), and [`Error::List`]; those before the wrong one are armed.
    pub fn arm_all(&self, list: &str) -> Result<(), Error> {
        for part in list.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, terms) = part.split_once('=').ok_or_else(|| Error::List { text: part.to_owned() })?;
            self.arm(name.trim(), terms.trim())?;
        }
        Ok(())
    }

    /// Disarms `name`.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Disabled`].
    pub fn disarm(&self, name: &str) -> Result<(), Error> {
        let name = known(name)?;
        self.lock().remove(name).ok_or(Error::Disabled)?;
        fail::remove(name);
        tracing::warn!(failpoint = name, "a failpoint is disarmed");
        Ok(())
    }

    /// The terms of `name`.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Disabled`].
    pub fn terms(&self, name: &str) -> Result<String, Error> {
        self.lock().get(known(name)?).cloned().ok_or(Error::Disabled)
    }

    /// All names with their terms, empty where they are not armed.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        let armed = self.lock();
        NAMES.iter().map(|name| (*name, armed.get(name).cloned().unwrap_or_default())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(name: &str) -> Result<&'static str, Error> {
    NAMES.iter().find(|known| **known == name).copied().ok_or_else(|| Error::Unknown { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Every Rust file below `folder`.
    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
        files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
    }

    #[test]
    fn the_list_has_every_failpoint_of_the_code_and_no_other() {
        let macro_call = concat!("fail_", "point!(\"");
        let mut found = BTreeSet::new();
        for path in sources(Path::new("src")) {
            let text = fs::read_to_string(path).unwrap();
            found.extend(text.split(macro_call).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
        let listed: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, listed);
        assert!(NAMES.is_sorted(), "gofail lists them in order");
    }

    #[test]
    fn what_is_armed_is_listed_until_it_is_disarmed() {
        // Armed and never reached: the registry is the process's, and other tests run beside this one.
        let failpoints = Failpoints::default();
        let name = "snapshot_file::before_rename";
        assert_eq!(failpoints.terms(name), Err(Error::Disabled));
        failpoints.arm_all("snapshot_file::before_rename=1%off->2*off; ").unwrap();
        assert_eq!(failpoints.terms(name), Ok("1%off->2*off".to_owned()));
        assert!(failpoints.list().contains(&(name, "1%off->2*off".to_owned())));
        assert_eq!(failpoints.list().len(), NAMES.len());
        failpoints.disarm(name).unwrap();
        assert_eq!(failpoints.disarm(name), Err(Error::Disabled));
        assert_eq!(failpoints.arm("nothing", "off"), Err(Error::Unknown { name: "nothing".to_owned() }));
        assert_eq!(failpoints.arm_all("beforeCommit"), Err(Error::List { text: "beforeCommit".to_owned() }));
    }
}
