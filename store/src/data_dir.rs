//! The data directory: whose it is, and that one process uses it.
//!
//! ```text
//! <data-dir>/member/LOCK       held while the process lives
//!                   IDENTITY   cluster, member, name, token and the incarnation of this directory (JSON)
//!                   log/       the raft log, unless --wal-dir moves it
//!                   state/     the applied state
//!                   snap/      a snapshot while it is received
//! ```
//! Promises: another member's or cluster's directory, an etcd directory, and a log that has gone missing are refused with
//! the reason. What is on disk wins over the bootstrap flags; a difference is logged.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Config, Invalid};
use crate::member::{cluster_id, member_id};

/// The form of IDENTITY that this binary writes.
const FORMAT: u32 = 1;

/// Why a data directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The settings do not fit a first start.
    #[error(transparent)]
    Bootstrap(#[from] Invalid),
    /// It is not this member's, or not whole.
    #[error("data directory {path} is refused: {reason}; {remedy}")]
    Refused {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to try.
        remedy: &'static str,
    },
}

/// Who a data directory belongs to. Written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Identity {
    /// Of this file.
    pub format: u32,
    /// The cluster's id.
    pub cluster: u64,
    /// The member's id.
    pub member: u64,
    /// Random, chosen when the directory was made: a copied or emptied disk is found by it.
    pub incarnation: u64,
    /// `--name`.
    pub name: String,
    /// `--initial-cluster-token`.
    pub token: String,
}

/// An opened data directory.
pub struct DataDir {
    /// Who it belongs to.
    pub identity: Identity,
    /// Whether it was made just now.
    pub fresh: bool,
    /// The raft log's folder.
    pub log: PathBuf,
    /// The state's folder.
    pub state: PathBuf,
    /// The folder for snapshots being received.
    pub snap: PathBuf,
    _lock: File,
}

/// Ids of the initial cluster's members, by name.
#[must_use]
pub fn initial_ids(config: &Config) -> Vec<(String, u64, Vec<String>)> {
    let members = config.initial_cluster.members();
    let ids = members.map(|(name, urls)| {
        let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
        (name.to_owned(), member_id(&urls, &config.initial_cluster_token), urls)
    });
    ids.collect()
}

impl DataDir {
    /// Opens the directory that `config` names, or makes it.
    ///
    /// # Errors
    /// [`Error`]; nothing on disk has changed but, at most, empty folders.
    pub fn open(config: &Config, incarnation: u64) -> Result<DataDir, Error> {
        let root = &config.data_dir;
        let member = root.join("member");
        let refused = |reason: String, remedy| Error::Refused { path: root.clone(), reason, remedy };
        if member.join("wal").exists() || member.join("snap").join("db").exists() {
            let remedy = "start with an empty directory; importing etcd's data will be a command of its own";
            return Err(refused("it holds an etcd member".to_owned(), remedy));
        }
        make(&member)?;
        let lock = lock(&member).map_err(|error| match error {
            Some(error) => error,
            None => refused(
                "another process uses it".to_owned(),
                "stop that process, or give this one a --data-dir of its own",
            ),
        })?;
        let log = config.wal_dir.clone().unwrap_or_else(|| member.join("log"));
        let (state, snap) = (member.join("state"), member.join("snap"));
        let known = read_identity(&member.join("IDENTITY"), root)?;
        let fresh = known.is_none();
        let identity = match known {
            Some(identity) => {
                check(&identity, config, root)?;
                // The log is made before the state: a state without one has lost it.
                if has_files(&state) && !has_files(&log) {
                    let remedy =
                        "give the --wal-dir that this member was started with; without its log it must be replaced";
                    return Err(refused(format!("its raft log is missing from {}", log.display()), remedy));
                }
                identity
            }
            None if has_files(&log) || has_files(&state) => {
                let remedy = "restore the file, or replace this member";
                return Err(refused("it holds a log or a state but no IDENTITY".to_owned(), remedy));
            }
            None => {
                // Only now: a directory that has a member ignores the initial flags, as etcd does.
                config.validate_bootstrap()?;
                let identity = new_identity(config, incarnation);
                claim(&member.join("IDENTITY"), &identity)?;
                identity
            }
        };
        make(&log)?;
        make(&snap)?;
        Ok(DataDir { identity, fresh, log, state, snap, _lock: lock })
    }
}

/// Writes who a directory belongs to, before anything else is in it.
fn claim(path: &Path, identity: &Identity) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(identity).expect("numbers and strings have a JSON form");
    let path = path.to_owned();
    crate::raft::replace_file(&path, &text).map_err(|source| Error::Io { operation: "write", path, source })
}

fn make(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::Io { operation: "create", path: path.to_owned(), source })
}

fn has_files(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// `Err(None)`: another process holds it.
fn lock(member: &Path) -> Result<File, Option<Error>> {
    let path = member.join("LOCK");
    let io = |source| Some(Error::Io { operation: "lock", path: path.clone(), source });
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(None),
        Err(fs::TryLockError::Error(source)) => Err(io(source)),
    }
}

fn read_identity(path: &Path, root: &Path) -> Result<Option<Identity>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { operation: "read", path: path.to_owned(), source }),
    };
    let refused = |reason, remedy| Error::Refused { path: root.to_owned(), reason, remedy };
    let identity: Identity = serde_json::from_slice(&text).map_err(|error| {
        refused(format!("its IDENTITY is damaged ({error})"), "restore the file from a backup, or replace this member")
    })?;
    if identity.format > FORMAT {
        let reason = format!("its IDENTITY has form {}, this binary knows {FORMAT}", identity.format);
        return Err(refused(reason, "start the newer binary that wrote it"));
    }
    Ok(Some(identity))
}

fn new_identity(config: &Config, incarnation: u64) -> Identity {
    let ids = initial_ids(config);
    let cluster = cluster_id(&ids.iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    let own = ids.iter().find(|(name, ..)| *name == config.name).map(|(_, id, _)| *id);
    let urls: Vec<String> = config.initial_advertise_peer_urls.iter().map(ToString::to_string).collect();
    let member = own.unwrap_or_else(|| member_id(&urls, &config.initial_cluster_token));
    let (name, token) = (config.name.clone(), config.initial_cluster_token.clone());
    Identity { format: FORMAT, cluster, member, incarnation, name, token }
}

/// Whether flags and directory can mean the same member. `validate` has made sure that they agree among themselves.
fn check(identity: &Identity, config: &Config, root: &Path) -> Result<(), Error> {
    let default = Config::default();
    let refused = |reason: String| {
        let remedy =
            "check --data-dir, --name and --initial-cluster-token; to found a new cluster use an empty directory";
        Error::Refused { path: root.to_owned(), reason, remedy }
    };
    if config.name != identity.name && config.name != default.name {
        return Err(refused(format!("it belongs to member {:?}, not to {:?}", identity.name, config.name)));
    }
    if config.initial_cluster_token != identity.token && config.initial_cluster_token != default.initial_cluster_token {
        let (disk, flag) = (&identity.token, &config.initial_cluster_token);
        return Err(refused(format!("it belongs to a cluster with the token {disk:?}, not {flag:?}")));
    }
    let ids = initial_ids(config);
    let bootstrapped = config.initial_cluster.len() > 1;
    if bootstrapped && !ids.iter().any(|(_, id, _)| *id == identity.member) {
        let member = identity.member;
        return Err(refused(format!("it belongs to member {member:x}, which is not in the initial cluster")));
    }
    let cluster = cluster_id(&ids.iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    if cluster != identity.cluster {
        tracing::info!(
            target: "store",
            cluster = %format_args!("{:x}", identity.cluster),
            "the data directory's cluster wins over the initial-cluster flags"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        Config { data_dir: folder.join("data"), ..Config::default() }
    }

    fn made(config: &Config) -> Identity {
        let dir = DataDir::open(config, 7).expect("an empty folder is taken");
        fs::write(dir.log.join("segment"), "x").expect("writable");
        fs::create_dir_all(dir.state.join("gen")).expect("writable");
        dir.identity.clone()
    }

    #[test]
    fn a_directory_keeps_its_identity() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = config(folder.path());
        let identity = made(&config);
        let again = DataDir::open(&config, 8).expect("its own directory");
        assert!(!again.fresh);
        assert_eq!((&again.identity, again.identity.incarnation), (&identity, 7));
    }

    #[test]
    fn what_is_not_this_members_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let own = config(folder.path());
        made(&own);
        let refused = |config: &Config| match DataDir::open(config, 9) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        };
        assert!(refused(&Config { name: "n2".into(), ..own.clone() }).contains("belongs to member \"default\""));
        let token = Config { initial_cluster_token: "other".into(), ..own.clone() };
        assert!(refused(&token).contains("token \"etcd-cluster\""));
        let held = DataDir::open(&own, 9).expect("its own directory");
        assert!(refused(&own).contains("another process uses it"));
        fs::remove_file(held.log.join("segment")).expect("removable");
        drop(held);
        assert!(refused(&own).contains("raft log is missing"));
        let etcd = config(&folder.path().join("etcd"));
        fs::create_dir_all(etcd.data_dir.join("member/wal")).expect("writable");
        assert!(refused(&etcd).contains("holds an etcd member"));
    }
}
