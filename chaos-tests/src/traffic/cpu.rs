//! CPU time, memory and bytes written of processes, from `/proc`.
//!
//! Absolute times on shared machines mean little; CPU per operation, ours beside etcd's in one run, does.

use std::fs;
use std::io;

/// Clock ticks a second in `/proc/<pid>/stat`: fixed in Linux's ABI for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process with all its threads, in seconds.
///
/// # Errors
/// When there is no such process.
pub fn seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    stat_seconds(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has another form: {stat}")))
}

fn stat_seconds(stat: &str) -> Option<f64> {
    // The name in parentheses may hold spaces and parentheses; the 14th and 15th fields are utime and stime.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// Resident memory of a process, in bytes.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no VmRSS")))
}

/// Bytes that a process has caused to be written to storage so far.
///
/// # Errors
/// When there is no such process, or it is not ours to look at.
pub fn written_bytes(pid: u32) -> io::Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|bytes| bytes.parse().ok());
    bytes.ok_or_else(|| io::Error::other(format!("/proc/{pid}/io has no write_bytes")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_name_may_hold_anything() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 5 0 0 0 150 50 9 9 20 0 3 0 100 0 0";
        assert_eq!(super::stat_seconds(stat), Some(2.0));
        assert_eq!(super::stat_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn what_a_process_writes_is_counted() {
        // How much depends on the file system; that there is a count does not.
        super::written_bytes(std::process::id()).expect("we run");
    }

    #[test]
    fn this_process_has_memory_and_uses_time() {
        let pid = std::process::id();
        assert!(super::resident_bytes(pid).expect("we run") > 100_000);
        let before = super::seconds(pid).expect("we run");
        let mut n = 0u64;
        while super::seconds(pid).expect("we run") < before + 0.02 {
            n = n.wrapping_mul(31).wrapping_add(7);
        }
        assert!(super::seconds(pid).expect("we run") > before, "{n}");
    }
}
