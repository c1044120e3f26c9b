//! F-61 and F-62: bytes of a member's log change while it is down: a bit flips in the middle, or the end of the last record
//! is torn.
//!
//! The member may start and be right, or refuse; what it must never do is serve something wrong. One that refuses gets its
//! file back and is started: for its peers it was down for a while. Only where the data are in plain folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Damage, Error, Fault, Ground, figures};
use crate::cluster::process::{Cluster, Error as ClusterError, State};
use crate::history::Figures;

/// Where a target keeps its log: ours, etcd's.
const LOGS: [&str; 2] = ["member/log", "member/wal"];
/// Bytes of a torn write that are lost.
const TORN_BYTES: usize = 7;

struct Damaged {
    name: String,
    file: PathBuf,
    whole: Vec<u8>,
    at: usize,
    refused: bool,
}

pub(super) struct Corrupt {
    damage: Damage,
    done: Vec<Damaged>,
}

impl Corrupt {
    pub(super) fn new(damage: Damage) -> Corrupt {
        Corrupt { damage, done: Vec::new() }
    }
}

/// The file of the log that was written last.
fn newest_log(data: &Path) -> io::Result<PathBuf> {
    let mut newest = None;
    for folder in LOGS.map(|log| data.join(log)).iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            let spare = path.extension().is_some_and(|extension| extension == "tmp" || extension == "spare");
            if metadata.is_file() && metadata.len() > 0 && !spare {
                newest = newest.max(Some((metadata.modified()?, path)));
            }
        }
    }
    newest.map(|(_, path)| path).ok_or_else(|| io::Error::other("there is no log file"))
}

/// Changes bytes; where. Logs are preallocated with zeros, so that a record's end is the last byte that is none.
fn spoil(bytes: &mut [u8], damage: Damage) -> Option<usize> {
    let last = bytes.iter().rposition(|byte| *byte != 0)?;
    match damage {
        Damage::Flip => {
            let at = last / 2;
            bytes[at] ^= 0x10;
            Some(at)
        }
        Damage::Torn => {
            let from = last.saturating_sub(TORN_BYTES - 1);
            bytes[from..=last].fill(0);
            Some(from)
        }
    }
}

#[tonic::async_trait]
impl Fault for Corrupt {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        if ground.cluster.disks().is_some() {
            let why = "the members' disks are seen by them alone".to_owned();
            return Err(Error::Unavailable { fault: "corruption", why });
        }
        for name in on {
            ground.kill(name).await?;
            let failed = |source| Error::Io { what: format!("change a log file of {name}"), source };
            let file = newest_log(ground.cluster.member(name)?.data_dir()).map_err(failed)?;
            let whole = fs::read(&file).map_err(failed)?;
            let mut spoilt = whole.clone();
            let at =
                spoil(&mut spoilt, self.damage).ok_or_else(|| Error::NoEffect(format!("{name} has no records")))?;
            fs::write(&file, &spoilt).map_err(failed)?;
            self.done.push(Damaged { name: name.clone(), file, whole, at, refused: false });
        }
        for damaged in &mut self.done {
            match ground.start(&damaged.name).await {
                Ok(()) => {}
                Err(Error::Cluster(ClusterError::EndedEarly { status, .. })) => {
                    damaged.refused = true;
                    ground.ended(&damaged.name, &status);
                }
                Err(error) => return Err(error),
            }
        }
        let offset = self.done.first().map_or(0, |damaged| damaged.at as u64);
        Ok(figures([("files", self.done.len() as u64), ("offset", offset)]))
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        let refused = self.done.iter().filter(|damaged| damaged.refused).count() as u64;
        match self.done.len() as u64 {
            0 => Err(Error::NoEffect("no file was changed".to_owned())),
            changed => Ok(figures([("changed", changed), ("refused", refused)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let mut restored = 0;
        for damaged in self.done.drain(..) {
            if is_down(&ground.cluster, &damaged.name)? {
                let failed = |source| Error::Io { what: format!("give {} its log back", damaged.name), source };
                fs::write(&damaged.file, &damaged.whole).map_err(failed)?;
                restored += 1;
                ground.start(&damaged.name).await?;
            }
        }
        Ok(figures([("restored", restored)]))
    }
}

fn is_down(cluster: &Cluster, name: &str) -> Result<bool, Error> {
    Ok(cluster.member(name)?.state() == State::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_stays_within_what_was_written() {
        let log = [[7u8; 100], [0; 100]].concat();
        let mut torn = log.clone();
        assert_eq!(spoil(&mut torn, Damage::Torn), Some(93));
        assert_eq!((torn[92], torn[93], torn[99]), (7, 0, 0));
        let mut flipped = log.clone();
        let at = spoil(&mut flipped, Damage::Flip).unwrap();
        assert!(at < 100 && (flipped[at] ^ log[at]).count_ones() == 1);
        assert_eq!(spoil(&mut [0; 9], Damage::Torn), None);
    }

    #[test]
    fn the_newest_log_is_found_in_either_layout() {
        let folder = tempfile::tempdir().unwrap();
        newest_log(folder.path()).unwrap_err();
        let wal = folder.path().join("member/wal");
        fs::create_dir_all(&wal).unwrap();
        fs::write(wal.join("1.tmp"), "x").unwrap();
        fs::write(wal.join("0.wal"), "x").unwrap();
        assert_eq!(newest_log(folder.path()).unwrap(), wal.join("0.wal"));
    }
}
