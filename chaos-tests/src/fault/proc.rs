//! What `/proc` tells of a process: whether it is there, the same as before, stopped.
//!
//! A pid is used again; a pid with the time of its start is not. Source: proc(5), `/proc/<pid>/stat`.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for a later one of the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// Clock ticks from the machine's start to its own.
    pub started: u64,
}

impl Process {
    /// The process that has this pid now.
    pub fn of(pid: u32) -> Option<Process> {
        let started = field(pid, 19)?.parse().ok()?;
        Some(Process { pid, started })
    }

    /// Whether it is still there, a zombie aside.
    pub fn is_there(self) -> bool {
        Process::of(self.pid) == Some(self) && field(self.pid, 0).is_some_and(|state| state != "Z" && state != "X")
    }

    /// Whether it is stopped by a signal.
    pub fn is_stopped(self) -> bool {
        self.is_there() && field(self.pid, 0).is_some_and(|state| state == "T")
    }

    /// Sends it a signal, if it is still there; whether it was.
    pub fn signal(self, signal: Signal) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        self.is_there() && pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

/// A field of `/proc/<pid>/stat` behind the name, the state being 0.
fn field(pid: u32, at: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(at).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_known_by_pid_and_start_and_told_when_it_stops_or_ends() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.is_there() && !process.is_stopped());
        assert!(!Process { started: process.started + 1, ..process }.is_there());
        assert!(process.signal(Signal::STOP));
        while !process.is_stopped() {
            std::thread::yield_now();
        }
        assert!(process.signal(Signal::KILL));
        child.wait().unwrap();
        assert!(!process.is_there() && !process.signal(Signal::KILL));
    }
}
