//! What can be done on this machine, told by trying it.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::clock;
use super::ledger::Process;
use crate::cluster::process::Disks;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The faults that need it.
    pub faults: &'static str,
    /// What was tried.
    pub what: &'static str,
    /// What was seen, or why it cannot be done.
    pub result: Result<String, String>,
}

/// How long a sync is held to see whether it can be.
const HELD: Duration = Duration::from_millis(200);

/// Tries everything; takes a second or two and leaves nothing.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let finding = |faults, what, result| Finding { faults, what, result };
    vec![
        finding("F-01 F-02 F-03", "signals: stop, continue, kill", signals()),
        finding("F-20 to F-30", "fault proxies on loopback", Ok("always: they are in this process".to_owned())),
        finding("F-55 F-56", "strace holds a running process's sync", strace()),
        finding("F-50 F-52", "a disk for each member: power cut and disk full", disk()),
        finding("F-40", "libfaketime moves a wall clock", faketime()),
        finding("F-61 F-62 F-70 to F-74", "files of a stopped member, and etcd's API", Ok("always".to_owned())),
    ]
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn signals() -> Result<String, String> {
    let mut child = Command::new("sleep").arg("10").spawn().map_err(words)?;
    let process = Process::of(child.id()).ok_or("it is not in /proc")?;
    let asked = Instant::now();
    process.signal(Signal::STOP);
    while !process.is_stopped() && asked.elapsed() < HELD {
        std::thread::yield_now();
    }
    let stopped = process.is_stopped();
    process.signal(Signal::CONT);
    process.signal(Signal::KILL);
    child.wait().map_err(words)?;
    if stopped { Ok(format!("stopped within {:?}", asked.elapsed())) } else { Err("it did not stop".to_owned()) }
}

/// Attaches to a shell that then becomes a `sync` of a file.
fn strace() -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(words)?;
    let file = folder.path().join("file");
    std::fs::write(&file, "x").map_err(words)?;
    let script = "read -r _; exec sync \"$0\"";
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .arg(&file)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .map_err(words)?;
    let traced = attach(child.id());
    let asked = Instant::now();
    drop(child.stdin.take());
    child.wait().map_err(words)?;
    let took = asked.elapsed();
    let mut tracer = traced?;
    tracer.wait().map_err(words)?;
    match took >= HELD {
        true => Ok(format!("asked {HELD:?}, seen {took:.0?}")),
        false => Err(format!("a sync took {took:?} although strace was to hold it {HELD:?}")),
    }
}

fn attach(pid: u32) -> Result<std::process::Child, String> {
    let mut tracer = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", "/dev/null", "-e"])
        .arg(format!("inject=fsync,fdatasync:delay_enter={}", HELD.as_micros()))
        .args(["-p", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| format!("strace: {error}; on Debian: apt-get install strace"))?;
    let asked = Instant::now();
    let wanted = format!("TracerPid:\t{}", tracer.id());
    while !std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|it| it.lines().any(|it| it == wanted)) {
        if let Ok(Some(status)) = tracer.try_wait() {
            return Err(format!("strace cannot attach ({status}): run as root, or set kernel.yama.ptrace_scope to 0"));
        }
        if asked.elapsed() > Duration::from_secs(5) {
            tracer.kill().and_then(|()| tracer.wait()).map_err(words)?;
            return Err("strace does not attach".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(tracer)
}

fn disk() -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(words)?;
    let disks = Disks::mount(folder.path(), &["n1".to_owned()], 32).map_err(words)?;
    let canary = disks.power_off("n1").map_err(words)?;
    if !disks.power_on("n1", &canary).map_err(words)? {
        return Err("an unsynced file has survived a power cut".to_owned());
    }
    let free = disks.fill("n1").map_err(words)?;
    let left = disks.free_kib("n1").map_err(words)?;
    disks.free("n1").map_err(words)?;
    Ok(format!("an unsynced file was lost; of {} KiB, {left} were left when full", free >> 10))
}

fn faketime() -> Result<String, String> {
    let library = clock::library().ok_or("there is none; on Debian: apt-get install libfaketime")?;
    let date = |moved: bool| {
        let mut command = Command::new("date");
        if moved {
            command.env("LD_PRELOAD", library).env("FAKETIME", "-3600s");
        }
        let output = command.arg("+%s").output().map_err(words)?;
        String::from_utf8_lossy(&output.stdout).trim().parse::<i64>().map_err(words)
    };
    let moved = date(false)? - date(true)?;
    if (3_590..=3_610).contains(&moved) {
        Ok("moved by an hour".to_owned())
    } else {
        Err(format!("moved by {moved} s"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_always_works_is_found_to_work() {
        let findings = super::examine();
        assert!(findings[0].result.is_ok(), "{findings:?}");
        assert!(findings.iter().all(|it| it.result.as_ref().is_ok_and(|it| !it.is_empty()) || it.result.is_err()));
    }
}
