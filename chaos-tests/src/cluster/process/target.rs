//! What is under test: our binary or a real etcd.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// A program that takes etcd's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Fairlead, run as `fairlead store`.
    Fairlead(PathBuf),
    /// A real etcd.
    Etcd(PathBuf),
}

impl Target {
    /// Our binary: `FAIRLEAD_BIN`, or beside the running executable (where `cargo build` puts it).
    ///
    /// # Errors
    /// When there is none.
    pub fn fairlead() -> Result<Target, Error> {
        let mut candidates: Vec<PathBuf> = env::var_os("FAIRLEAD_BIN").map(PathBuf::from).into_iter().collect();
        if candidates.is_empty() {
            // A test runs from `target/<profile>/deps`, a binary from `target/<profile>`.
            let running = env::current_exe().unwrap_or_default();
            candidates.extend(running.ancestors().skip(1).take(2).map(|folder| folder.join("fairlead")));
        }
        find("fairlead", "FAIRLEAD_BIN", candidates).map(Target::Fairlead)
    }

    /// A real etcd: `FAIRLEAD_ETCD_BIN`, or `etcd` in `PATH`.
    ///
    /// # Errors
    /// When there is none.
    pub fn etcd() -> Result<Target, Error> {
        let mut candidates: Vec<PathBuf> = env::var_os("FAIRLEAD_ETCD_BIN").map(PathBuf::from).into_iter().collect();
        if candidates.is_empty() {
            let path = env::var_os("PATH").unwrap_or_default();
            candidates.extend(env::split_paths(&path).map(|folder| folder.join("etcd")));
        }
        find("etcd", "FAIRLEAD_ETCD_BIN", candidates).map(Target::Etcd)
    }

    /// A short name for messages and folders.
    pub fn name(&self) -> &'static str {
        match self {
            Target::Fairlead(_) => "fairlead",
            Target::Etcd(_) => "etcd",
        }
    }

    /// The executable.
    pub fn program(&self) -> &Path {
        match self {
            Target::Fairlead(path) | Target::Etcd(path) => path,
        }
    }

    /// The start of a command line, behind a wrapper that ends by executing it; etcd's flags follow. No `ETCD_*` of ours
    /// reaches it.
    pub(crate) fn command(&self, wrapper: &[OsString]) -> Command {
        let mut words = wrapper.iter().map(OsString::as_os_str).chain([self.program().as_os_str()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCD_")) {
            command.env_remove(name);
        }
        if let Target::Fairlead(_) = self {
            command.arg("store");
        }
        command
    }
}

fn find(program: &'static str, variable: &'static str, candidates: Vec<PathBuf>) -> Result<PathBuf, Error> {
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found.clone()),
        None => {
            let looked = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
            Err(Error::ProgramMissing { program, variable, looked })
        }
    }
}
