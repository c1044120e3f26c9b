//! The undo ledger: what has to be undone, on disk before it is done.
//!
//! One file a run, JSON lines: an entry with its undo, and the number again once it is undone. A run that ends removes its
//! file. What a killed run has left is undone by the next one and by `fairlead chaos doctor --undo`: processes are known by
//! pid and start, so nothing that was not ours is ever touched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

pub use super::proc::Process;

/// How to undo something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Kill a process that was started for the run.
    Kill(Process),
    /// Let a process go on that was stopped.
    Resume(Process),
    /// End a tracer in good order, so that it lets go of what it traces.
    Detach(Process),
    /// Remove a folder of the run.
    Folder(PathBuf),
}

impl Undo {
    /// Does it; whether there was anything to do.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn undo(&self) -> io::Result<bool> {
        match self {
            Undo::Kill(process) => Ok(process.signal(Signal::KILL)),
            Undo::Resume(process) => Ok(process.is_stopped() && process.signal(Signal::CONT)),
            Undo::Detach(process) => Ok(process.signal(Signal::TERM)),
            Undo::Folder(path) => match fs::remove_dir_all(path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Row {
    Run { runner: Process },
    Todo { entry: u64, undo: Undo },
    Done { entry: u64 },
}

/// A run's ledger.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
    entries: AtomicU64,
}

impl Ledger {
    /// Opens a new ledger in `folder`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(folder: &Path) -> io::Result<Ledger> {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(folder)?;
        let runner = Process::of(std::process::id()).ok_or_else(|| io::Error::other("this process is not in /proc"))?;
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{}-{run}.undo", runner.pid, runner.started));
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        let ledger = Ledger { path, file: Mutex::new(file), entries: AtomicU64::new(0) };
        ledger.write(&Row::Run { runner })?;
        Ok(ledger)
    }

    /// Enters what will have to be undone; its number.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be done.
    pub fn enter(&self, undo: Undo) -> io::Result<u64> {
        let entry = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        self.write(&Row::Todo { entry, undo })?;
        Ok(entry)
    }

    /// It is undone.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn done(&self, entry: u64) -> io::Result<()> {
        self.write(&Row::Done { entry })
    }

    /// Undoes what is left, and removes the file.
    ///
    /// # Errors
    /// When something cannot be undone; the file stays then.
    pub fn close(self) -> io::Result<Vec<Undo>> {
        undo_file(&self.path)
    }

    fn write(&self, row: &Row) -> io::Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        // One write, so that a killed run leaves whole lines.
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // A run that is broken off has not closed it.
        if self.path.exists()
            && let Err(error) = undo_file(&self.path)
        {
            tracing::warn!(ledger = %self.path.display(), %error, "not everything could be undone");
        }
    }
}

/// Undoes what runs that are no longer there have left in `folder`; what there was to undo.
///
/// # Errors
/// When the folder cannot be read, or something cannot be undone.
pub fn undo_abandoned(folder: &Path) -> io::Result<Vec<Undo>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut undone = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_ledger = path.extension().is_some_and(|extension| extension == "undo");
        if is_ledger && !read(&path)?.0.is_some_and(Process::is_there) {
            undone.extend(undo_file(&path)?);
        }
    }
    Ok(undone)
}

/// The last entered is undone first.
fn undo_file(path: &Path) -> io::Result<Vec<Undo>> {
    let (_, open) = read(path)?;
    let mut undone = Vec::new();
    for (_, undo) in open.into_iter().rev() {
        if undo.undo()? {
            undone.push(undo);
        }
    }
    fs::remove_file(path)?;
    Ok(undone)
}

/// Whose a ledger is, and what is not undone yet.
type Left = (Option<Process>, Vec<(u64, Undo)>);

/// Reads a ledger. A last line that is cut off was never acted on.
fn read(path: &Path) -> io::Result<Left> {
    let (mut whose, mut open) = (None, Vec::new());
    for line in BufReader::new(File::open(path)?).lines() {
        match serde_json::from_str(&line?) {
            Ok(Row::Run { runner }) => whose = Some(runner),
            Ok(Row::Todo { entry, undo }) => open.push((entry, undo)),
            Ok(Row::Done { entry }) => open.retain(|(known, _)| *known != entry),
            Err(_) => break,
        }
    }
    Ok((whose, open))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_an_abandoned_run_has_left_is_undone_and_what_is_done_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("left");
        fs::create_dir(&left).unwrap();
        let (mut ours, mut released) =
            (Command::new("sleep").arg("60").spawn().unwrap(), Command::new("sleep").arg("60").spawn().unwrap());
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.enter(Undo::Folder(left.clone())).unwrap();
        ledger.enter(Undo::Kill(Process::of(ours.id()).unwrap())).unwrap();
        let entry = ledger.enter(Undo::Kill(Process::of(released.id()).unwrap())).unwrap();
        ledger.done(entry).unwrap();

        assert_eq!(undo_abandoned(folder.path()).unwrap(), [], "a run that is there undoes its own");
        // As if its runner had died: another process stands in the first line.
        let text = fs::read_to_string(&ledger.path).unwrap();
        let me = std::process::id();
        let abandoned = text.replacen(&format!("\"pid\":{me},"), "\"pid\":1,", 1) + "{\"todo\":{\"entry\":9";
        fs::write(&ledger.path, abandoned).unwrap();
        assert_eq!(undo_abandoned(folder.path()).unwrap().len(), 2);
        assert!(!left.exists() && !ledger.path.exists());
        assert!(!ours.wait().unwrap().success());
        assert!(released.try_wait().unwrap().is_none(), "what was undone was undone again");
        released.kill().unwrap();
        released.wait().unwrap();
    }
}
