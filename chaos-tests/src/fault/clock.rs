//! F-40: a member's wall clock jumps; its monotonic clock does not.
//!
//! By libfaketime, which members of a run with clock faults are started with; each reads its offset from a file of its own.
//! A program that does not use the C library's clock (any Go program) is not reached, and the fault says so.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, Fault, Ground, figures};
use crate::history::Figures;

/// Where Debian, Fedora and Arch put it.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The library, where there is one.
pub(crate) fn library() -> Option<&'static Path> {
    LIBRARIES.iter().map(Path::new).find(|library| library.is_file())
}

/// Environment of members whose clocks can jump; `{name}` is filled in by the harness for each.
pub(crate) fn environment(dir: &Path) -> Vec<(String, String)> {
    let Some(library) = library() else { return Vec::new() };
    let file = dir.join("{name}.clock").display().to_string();
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

pub(super) struct ClockJump {
    seconds: i64,
    files: Vec<PathBuf>,
}

impl ClockJump {
    pub(super) fn new(seconds: i64) -> ClockJump {
        ClockJump { seconds, files: Vec::new() }
    }

    fn set(&self, seconds: i64) -> Result<(), Error> {
        for file in &self.files {
            let failed = |source| Error::Io { what: format!("set the clock file {}", file.display()), source };
            fs::write(file, format!("{seconds:+}")).map_err(failed)?;
        }
        Ok(())
    }
}

/// Whether a process has the library in its memory.
fn reached(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("libfaketime"))
}

#[tonic::async_trait]
impl Fault for ClockJump {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let unavailable = |why: String| Err(Error::Unavailable { fault: "a clock jump", why });
        if library().is_none() {
            return unavailable("there is no libfaketime".to_owned());
        }
        for name in on {
            let member = ground.cluster.member(name)?;
            if !member.pid().is_some_and(reached) {
                return unavailable(format!(
                    "{name} does not use the C library's clock, or the run has no clock faults"
                ));
            }
            self.files.push(ground.cluster.dir().join(format!("{name}.clock")));
        }
        self.set(self.seconds)?;
        Ok(Figures::from([("seconds".to_owned(), self.seconds)]))
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        // That the library obeys the file is what `doctor` shows; that it is loaded was seen.
        match self.files.len() as u64 {
            0 => Err(Error::NoEffect("no clock was changed".to_owned())),
            changed => Ok(figures([("changed", changed)])),
        }
    }

    async fn heal(&mut self, _: &Ground) -> Result<Figures, Error> {
        self.set(0)?;
        Ok(Figures::new())
    }
}
