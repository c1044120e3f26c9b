//! Looks for panics in what members have written to their standard error.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::fault::Ground;
use crate::history::{Event, Panic, text};

/// What Rust, Go and etcd's logger write when they give up.
const MARKS: [&str; 5] = ["panicked at", "panic: ", "\"level\":\"panic\"", "\"level\":\"fatal\"", "fatal error: "];

/// Panics of a run that are told; a crash loop would fill the history.
const TOLD_MAX: usize = 20;

/// Records every panic; `expected` when disks failed under the members.
pub(super) fn scan(ground: &Ground, expected: bool) -> io::Result<usize> {
    let mut found = 0;
    for member in ground.cluster.members() {
        for line in panics(member.log_path())? {
            found += 1;
            if found <= TOLD_MAX {
                let (member, text) = (ground.number(member.name()), text(line.as_bytes()));
                ground.recorder.record(&Event::Panic(Panic { member, expected, text }));
            }
        }
    }
    Ok(found)
}

fn panics(log: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for line in BufReader::new(File::open(log)?).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if MARKS.iter().any(|mark| line.contains(mark)) {
            found.push(line.chars().take(crate::history::TEXT_BYTES_MAX / 4).collect());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_of_rust_and_go_are_found_and_errors_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("n1.log");
        let lines = [
            "thread 'apply' panicked at store/src/apply.rs:3:",
            "panic: runtime error: index out of range",
            "{\"level\":\"fatal\",\"msg\":\"failed to purge\"}",
            "{\"level\":\"error\",\"msg\":\"a panic was avoided\"}",
        ];
        std::fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(panics(&log).unwrap().len(), 3);
    }
}
