//! Whether a run has left anything behind: processes, mounts, its folder.

use std::fs;
use std::path::Path;

use crate::fault::ledger::Process;

/// What is left of a run that has ended, in words.
pub(super) fn left(processes: &[Process], dir: &Path, dir_stays: bool) -> Vec<String> {
    let mut left: Vec<String> = processes
        .iter()
        .filter(|process| process.is_there())
        .map(|process| format!("process {}", process.pid))
        .collect();
    if !dir_stays && dir.exists() {
        left.push(format!("folder {}", dir.display()));
    }
    // Loop devices and mounts name their file or folder.
    for table in ["/proc/mounts", "/proc/swaps"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        let name = dir.display().to_string();
        left.extend(text.lines().filter(|line| line.contains(&name)).map(|line| format!("mount {line}")));
    }
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let backing = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if backing.contains(&dir.display().to_string()) {
            left.push(format!("loop device {}", entry.file_name().display()));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_a_process_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let me = Process::of(std::process::id()).unwrap();
        assert_eq!(left(&[me], folder.path(), false).len(), 2);
        assert!(left(&[], folder.path(), true).is_empty());
    }
}
