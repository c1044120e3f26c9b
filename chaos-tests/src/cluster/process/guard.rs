//! The guard: a shell that kills what we started if we die before we could.
//!
//! It reads `add <pid>` and `del <pid>` from a pipe that only this process holds. When the pipe closes for any reason, it kills
//! the pids it still knows and removes the temporary folder. It runs in its own process group, so that Ctrl-C in a terminal
//! does not reach it. (`PR_SET_PDEATHSIG` would need unsafe code between fork and exec, and ends with the spawning *thread*.)

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::Error;

const SCRIPT: &str = r#"
trap '' HUP INT TERM
pids=' '
while read -r op pid; do
  case $op in
    add) pids="$pids$pid " ;;
    del) pids="${pids%% $pid *} ${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ -z "$1" ] || rm -rf -- "$1"
"#;

/// The running guard. Dropping it makes it do its work and waits until it has.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts a guard that also removes `temporary` when it ends, if given.
    pub(crate) fn start(temporary: Option<&Path>) -> Result<Guard, Error> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(temporary.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn { program: "/bin/sh".to_owned(), source })?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Guard { shell, pipe })
    }

    pub(crate) fn add(&self, pid: u32) {
        self.tell("add", pid);
    }

    /// To be called before the pid is reaped, lest it be somebody else's by then.
    pub(crate) fn del(&self, pid: u32) {
        self.tell("del", pid);
    }

    fn tell(&self, op: &str, pid: u32) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pipe) = pipe.as_mut() else { return };
        if let Err(error) = writeln!(pipe, "{op} {pid}") {
            tracing::warn!(pid, %error, "the guard process is gone; members may outlive this process");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Err(error) = self.shell.wait() {
            tracing::warn!(%error, "could not wait for the guard process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
    }

    #[test]
    fn a_closed_pipe_kills_what_is_still_known_and_removes_the_folder() {
        let folder = tempfile::tempdir().unwrap().keep();
        let guard = Guard::start(Some(&folder)).unwrap();
        let (mut known, mut released) = (sleeper(), sleeper());
        guard.add(known.id());
        guard.add(released.id());
        guard.del(released.id());
        drop(guard);
        assert!(!known.wait().unwrap().success());
        assert!(released.try_wait().unwrap().is_none(), "a released pid was killed");
        released.kill().unwrap();
        released.wait().unwrap();
        assert!(!folder.exists());
    }
}
