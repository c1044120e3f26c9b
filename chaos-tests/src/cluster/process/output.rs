//! Reads one run of a member: copies its output to its log, notices that it is ready, reaps it.
//!
//! A thread of its own and not a task: a member must not block on a full pipe because a runtime is busy or gone.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::sync::watch;

/// What etcd logs, and Fairlead too, once requests are answered.
const READY_LINE: &[u8] = b"ready to serve client requests";
/// How much of a log an error message shows.
const TAIL_BYTES_MAX: u64 = 4096;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Starting,
    Ready,
    Ended(ExitStatus),
}

/// A child that is reaped under its lock: whoever holds the lock and finds it alive may signal its pid.
pub(crate) type SharedChild = Arc<Mutex<Child>>;

/// Starts the reader of a run. `ended` is called after the exit and before the pid is reaped.
pub(crate) fn follow(
    member: &str,
    child: SharedChild,
    stderr: ChildStderr,
    log: PathBuf,
    ended: impl FnOnce() + Send + 'static,
) -> io::Result<watch::Receiver<Progress>> {
    let mut file = OpenOptions::new().create(true).append(true).open(&log)?;
    let (progress, receiver) = watch::channel(Progress::Starting);
    thread::Builder::new().name(format!("output {member}")).spawn(move || {
        if let Err(error) = copy(stderr, &mut file, &progress) {
            tracing::error!(log = %log.display(), %error, "could not keep a member's log");
        }
        match reap(&child, ended) {
            Ok(status) => {
                progress.send_replace(Progress::Ended(status));
            }
            Err(error) => tracing::error!(log = %log.display(), %error, "could not wait for a member"),
        }
    })?;
    Ok(receiver)
}

fn copy(stderr: ChildStderr, file: &mut File, progress: &watch::Sender<Progress>) -> io::Result<()> {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        file.write_all(&line)?;
        let ready = line.windows(READY_LINE.len()).any(|window| window == READY_LINE);
        if ready && *progress.borrow() == Progress::Starting {
            progress.send_replace(Progress::Ready);
        }
        line.clear();
    }
    Ok(())
}

fn reap(child: &SharedChild, ended: impl FnOnce()) -> io::Result<ExitStatus> {
    let pid = child.lock().unwrap_or_else(PoisonError::into_inner).id();
    let pid = Pid::from_raw(pid as i32).ok_or_else(|| io::Error::other("a child has pid 0"))?;
    // Waits without reaping, so that the lock is not held while the child lives.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    ended();
    child.lock().unwrap_or_else(PoisonError::into_inner).wait()
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(no log: {error})"))
}
