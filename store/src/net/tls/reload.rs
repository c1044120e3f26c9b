//! Something built from files, built again when one of them has changed.
//!
//! A file counts as changed when its inode, length, modification or change time differs from what was seen *before* it
//! was read, so a write in between is caught the next time. What fails to build is logged once and the last good value
//! stays; it is tried again with the next change.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::Error;

/// What of a file tells that it changed; `None` for one that cannot be seen.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

/// What a build gives.
pub(super) struct Built<T> {
    pub(super) value: T,
    /// When it must be built again although no file has changed.
    pub(super) renew_at: Option<SystemTime>,
}

struct Loaded<T> {
    value: Arc<T>,
    renew_at: Option<SystemTime>,
    stamps: Vec<Stamp>,
}

/// The newest good value.
pub(super) struct Reloading<T> {
    files: Vec<PathBuf>,
    build: Box<dyn Fn() -> Result<Built<T>, Error> + Send + Sync>,
    loaded: Mutex<Loaded<T>>,
}

impl<T: Send + Sync + 'static> Reloading<T> {
    /// Builds for the first time.
    ///
    /// # Errors
    /// Those of the build.
    pub(super) fn new(
        files: Vec<PathBuf>,
        build: impl Fn() -> Result<Built<T>, Error> + Send + Sync + 'static,
    ) -> Result<Reloading<T>, Error> {
        let stamps = stamps(&files);
        let Built { value, renew_at } = build()?;
        let loaded = Mutex::new(Loaded { value: Arc::new(value), renew_at, stamps });
        Ok(Reloading { files, build: Box::new(build), loaded })
    }

    /// The value of the files as they are now. Looks at the file system on a blocking thread.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<T> {
        let this = Arc::clone(self);
        match tokio::task::spawn_blocking(move || this.refreshed()).await {
            Ok(value) => value,
            // The runtime is ending, or the build panicked: what was good goes on.
            Err(_) => self.last(),
        }
    }

    /// The last good value, without looking.
    fn last(&self) -> Arc<T> {
        Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).value)
    }

    fn refreshed(&self) -> Arc<T> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = stamps(&self.files);
        let now = SystemTime::now();
        let due = loaded.renew_at.is_some_and(|at| at <= now);
        if seen != loaded.stamps || due {
            match (self.build)() {
                Ok(Built { value, renew_at }) => {
                    tracing::info!(files = ?self.files, "TLS files re-read");
                    *loaded = Loaded { value: Arc::new(value), renew_at, stamps: seen };
                }
                Err(error) => {
                    tracing::warn!(error = %error, "changed TLS files cannot be used; the last good ones stay in force");
                    loaded.stamps = seen;
                    if due {
                        loaded.renew_at = None; // said once; the next change of a file tries again
                    }
                }
            }
        }
        Arc::clone(&loaded.value)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_and_a_bad_one_keeps_the_last_good_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "1").unwrap();
        let builds = Arc::new(AtomicUsize::new(0));
        let (file, count) = (path.clone(), Arc::clone(&builds));
        let build = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let text = std::fs::read_to_string(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
            let value = text.parse::<u32>().map_err(|error| Error::content(&file, error, "a number"))?;
            Ok(Built { value, renew_at: None })
        };
        let reloading = Arc::new(Reloading::new(vec![path.clone()], build).unwrap());
        assert_eq!(*reloading.current().await, 1);
        assert_eq!(builds.load(Ordering::Relaxed), 1, "unchanged files are not read again");
        std::fs::write(&path, "bad").unwrap();
        assert_eq!((*reloading.current().await, *reloading.current().await), (1, 1));
        assert_eq!(builds.load(Ordering::Relaxed), 2, "a bad change is tried once");
        std::fs::write(&path, "23").unwrap();
        assert_eq!(*reloading.current().await, 23);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(*reloading.current().await, 23);
    }

    #[tokio::test]
    async fn what_is_due_is_built_again_without_a_change() {
        let builds = AtomicUsize::new(0);
        let build = move || {
            let value = builds.fetch_add(1, Ordering::Relaxed);
            Ok(Built { value, renew_at: (value == 0).then_some(SystemTime::UNIX_EPOCH) })
        };
        let reloading = Arc::new(Reloading::new(Vec::new(), build).unwrap());
        assert_eq!(*reloading.current().await, 1);
        assert_eq!(*reloading.current().await, 1);
    }
}
