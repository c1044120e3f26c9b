//! Families of the process, read from `/proc/self` at each scrape.
//!
//! Promises: a value that cannot be read keeps its last one; a scrape never fails for it.
//! Source: Prometheus client conventions (`process_*`), etcd `server/etcdserver/metrics.go` (`os_fd_*`).

use prometheus::{Counter, Gauge, IntGauge};

use super::family::families;

/// Clock ticks a second in `/proc`: Linux fixes it at 100 for user space.
const TICKS_PER_SECOND: f64 = 100.0;

families! {
    /// `process_*`, `os_fd_*`.
    Process {
        resident_memory_bytes: IntGauge = "process_resident_memory_bytes", "Resident memory size in bytes.";
        virtual_memory_bytes: IntGauge = "process_virtual_memory_bytes", "Virtual memory size in bytes.";
        virtual_memory_max_bytes: Gauge = "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes.";
        cpu_seconds_total: Counter = "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.";
        start_time_seconds: Gauge = "process_start_time_seconds", "Start time of the process since unix epoch in seconds.";
        open_fds: IntGauge = "process_open_fds", "Number of open file descriptors.";
        max_fds: IntGauge = "process_max_fds", "Maximum number of open file descriptors.";
        fd_used: IntGauge = "os_fd_used", "The number of used file descriptors.";
        fd_limit: IntGauge = "os_fd_limit", "The file descriptor limit.";
    }
}

impl Process {
    /// Reads them anew. Blocks for some tens of microseconds.
    pub fn refresh(&self) {
        if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
            self.set_from_stat(&stat);
        }
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            self.set_from_status(&status);
        }
        if let Ok(folder) = std::fs::read_dir("/proc/self/fd") {
            let used = i64::try_from(folder.count()).unwrap_or(i64::MAX);
            self.open_fds.set(used);
            self.fd_used.set(used);
        }
        self.set_limits();
    }

    fn set_limits(&self) {
        let limit = |resource| rustix::process::getrlimit(resource).current;
        // No limit is shown as Go's client shows it: the largest number.
        self.virtual_memory_max_bytes.set(limit(rustix::process::Resource::As).unwrap_or(u64::MAX) as f64);
        if let Some(files) = limit(rustix::process::Resource::Nofile) {
            let files = i64::try_from(files).unwrap_or(i64::MAX);
            self.max_fds.set(files);
            self.fd_limit.set(files);
        }
    }

    fn set_from_stat(&self, stat: &str) {
        // The second field is the command's name in parentheses, which may hold spaces: count from behind it.
        let Some((_, rest)) = stat.rsplit_once(") ") else { return };
        let fields: Vec<f64> = rest.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        let [user, system, start] = [11, 12, 19].map(|at| fields.get(at).copied().unwrap_or(0.0));
        let spent = (user + system) / TICKS_PER_SECOND - self.cpu_seconds_total.get();
        if spent > 0.0 {
            self.cpu_seconds_total.inc_by(spent);
        }
        if let Some(booted) = booted_at() {
            self.start_time_seconds.set(booted + start / TICKS_PER_SECOND);
        }
    }

    fn set_from_status(&self, status: &str) {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: i64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kibibytes * 1024)
        };
        if let Some(resident) = bytes("VmRSS:") {
            self.resident_memory_bytes.set(resident);
        }
        if let Some(size) = bytes("VmSize:") {
            self.virtual_memory_bytes.set(size);
        }
    }
}

/// When the machine was started, in seconds since the epoch.
fn booted_at() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|seconds| seconds.trim().parse().ok())
}
