//! A snapshot as a durable file: either the whole of it is there under its name after a crash, or nothing is.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::{Error, Header, Summary, write};
use crate::engine::Snapshot;

/// Writes `snapshot` to `path`, and returns once it is durable under that name. An older file there is replaced at the end.
///
/// Until then the bytes are in `path` + `.part`, which a crash may leave behind and the next call overwrites.
///
/// # Errors
/// As [`write()`], and [`Error::File`]; the partial file is then removed, and an older one at `path` is as it was.
pub fn create(snapshot: &dyn Snapshot, header: &Header, path: &Path) -> Result<Summary, Error> {
    let part = part_of(path);
    let done = write_part(snapshot, header, &part).and_then(|summary| publish(&part, path).map(|()| summary));
    if done.is_err()
        && let Err(error) = fs::remove_file(&part)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %part.display(), %error, "cannot remove a partial snapshot");
    }
    done
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn write_part(snapshot: &dyn Snapshot, header: &Header, part: &Path) -> Result<Summary, Error> {
    let file = File::create(part).map_err(failed("create", part))?;
    let mut out = BufWriter::new(file);
    let summary = write(snapshot, header, &mut out).map_err(|error| match error {
        Error::Write(source) => failed("write", part)(source),
        other => other,
    })?;
    out.get_ref().sync_all().map_err(failed("sync", part))?;
    Ok(summary)
}

fn publish(part: &Path, path: &Path) -> Result<(), Error> {
    fail::fail_point!("snapshot_file::before_rename");
    fs::rename(part, path).map_err(failed("rename", part))?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder of", path))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let file = path.display().to_string();
    move |source| Error::File { operation, file, source }
}
