//! CPU time and memory of processes, from `/proc`.
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
    // The name in parentheses may hold spaces; the 14th and 15th fields are utime and stime.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err(io::Error::other(format!("/proc/{pid}/stat has another form: {stat}"))),
    }
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

#[cfg(test)]
mod tests {
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
