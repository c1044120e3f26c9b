//! strace on a running member: holds or fails its syncs, and counts what it did.
//!
//! Attached for the time of a fault and detached by SIGTERM before anything else is done to the member. Needs strace and the
//! right to trace (root, or `kernel.yama.ptrace_scope` 0). Source: strace(1), `inject=`.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::ledger::{Process, Undo};
use super::{Error, Ground};

/// How long strace may take to attach to all threads, or to let go.
const ATTACH_WITHIN: Duration = Duration::from_secs(10);
/// Neither can be subscribed to.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An attached strace.
pub(super) struct Tracer {
    member: String,
    strace: Child,
    process: Process,
    output: PathBuf,
    entry: u64,
}

impl Tracer {
    /// Attaches to a member; `inject` is what happens to fsync and fdatasync.
    pub(super) async fn attach(ground: &Ground, name: &str, inject: &str) -> Result<Tracer, Error> {
        let member = ground.cluster.member(name)?;
        let unavailable = |why: String| Error::Unavailable { fault: "tracing", why };
        let pid = member.pid().ok_or_else(|| Error::NoEffect(format!("{name} has no process")))?;
        let output = ground.cluster.dir().join(format!("{name}.strace"));
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e"])
            .arg(format!("inject=fsync,fdatasync:{inject}"))
            .arg("-o")
            .arg(&output)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| unavailable(format!("strace: {error}")))?;
        let process = Process::of(strace.id()).ok_or_else(|| unavailable("strace ended at once".to_owned()))?;
        let entry = ground.enter(Undo::Detach(process))?;
        let until = Instant::now() + ATTACH_WITHIN;
        while !all_threads_traced_by(pid, strace.id()) {
            if let Ok(Some(status)) = strace.try_wait() {
                let tracer = Tracer { member: name.to_owned(), strace, process, output, entry };
                // A member may be gone before all of its threads are traced: it has met the first call that failed.
                if tracer.injected() > 0 {
                    return Ok(tracer);
                }
                ground.undone(entry)?;
                return Err(unavailable(format!("strace cannot attach ({status}): it needs root or ptrace_scope 0")));
            }
            if Instant::now() > until {
                return Err(Error::Late { step: "attaching strace", seconds: ATTACH_WITHIN.as_secs() });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(Tracer { member: name.to_owned(), strace, process, output, entry })
    }

    /// Calls that it has held or failed.
    pub(super) fn injected(&self) -> u64 {
        let lines = fs::read_to_string(&self.output).unwrap_or_default();
        lines.lines().filter(|line| line.contains("(DELAYED)") || line.contains("(INJECTED)")).count() as u64
    }

    /// Lets go of the member.
    pub(super) async fn detach(mut self, ground: &Ground) -> Result<(), Error> {
        self.process.signal(Signal::TERM);
        let until = Instant::now() + ATTACH_WITHIN;
        loop {
            match self.strace.try_wait() {
                Ok(Some(_)) => break,
                Ok(None) if Instant::now() < until => sleep(LOOK_EVERY).await,
                // A tracer that is killed lets go, too, but may leave a call half injected.
                _ => {
                    tracing::warn!(member = self.member, "strace did not let go, it is killed");
                    let killed = self.strace.kill().and_then(|()| self.strace.wait());
                    killed.map_err(|source| Error::Io { what: "kill strace".to_owned(), source })?;
                    break;
                }
            }
        }
        ground.undone(self.entry)
    }
}

/// Whether every thread of a process has this tracer (`TracerPid` of proc(5)).
fn all_threads_traced_by(pid: u32, tracer: u32) -> bool {
    let wanted = format!("TracerPid:\t{tracer}");
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        // A thread that has ended meanwhile needs no tracer.
        let status = fs::read_to_string(thread.path().join("status"));
        status.map_or(true, |status| status.lines().any(|line| line == wanted))
    })
}
