//! A disk in memory that forgets what was not synced.
//!
//! Two states are kept: what a running process sees, and what a power cut leaves. [`MemDisk::power_cut`] takes the
//! durable one and adds a seeded random choice of what was under way: for each unsynced write any subset of its 512-byte
//! sectors, one of them perhaps only in part; for names any subset of the unsynced changes that does not depend on a lost one.
//! Whatever was opened before a cut is dead after it, the disk's own handle included. Faults are set from outside: power off at the n-th operation, no space,
//! failing writes or syncs, syncs that are held until released, bytes flipped, files cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{BLOCK_BYTES, Disk, File};

/// What survives or not as a unit, unless it is torn.
const SECTOR_BYTES: usize = 512;

/// What has been asked of a [`MemDisk`] since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that change something: writes, syncs, creations, renames, removals.
    pub changes: u64,
    /// File syncs.
    pub syncs: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

/// A disk in memory, as one life of a process sees it; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemDisk {
    shared: Arc<Shared>,
    /// The life: after a power cut or a kill only what was returned there works.
    boot: u64,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
    /// Rises with each power cut; what was opened before is dead.
    boots: u64,
    counts: Counts,
    no_sync: bool,
    power_off_at: Option<u64>,
    space_bytes: Option<u64>,
    failing_writes: bool,
    failing_syncs: bool,
    /// How many syncs may still pass; `None`: all.
    syncs_left: Option<u64>,
}

#[derive(Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug)]
enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
}

impl MemDisk {
    /// A disk that ignores syncs (`--unsafe-no-fsync`) where `fsync` is `false`.
    #[must_use]
    pub fn new(fsync: bool) -> MemDisk {
        let disk = MemDisk::default();
        disk.lock().no_sync = !fsync;
        disk
    }

    /// What has been asked of it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// From `changes` changing calls on, counted as [`Counts::changes`], every call fails, as if power had gone.
    pub fn power_off_at(&self, changes: u64) {
        self.lock().power_off_at = Some(changes);
    }

    /// Power goes and comes back: unsynced changes survive by chance, faults are over. Returns the disk as it is then.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> MemDisk {
        let mut random = StdRng::seed_from_u64(seed);
        let mut inner = self.lock();
        inner.boots += 1;
        inner.power_off_at = None;
        inner.failing_writes = false;
        inner.failing_syncs = false;
        inner.syncs_left = None;
        inner.settle_names(&mut random);
        for content in &mut inner.files {
            content.settle(&mut random);
        }
        self.shared.released.notify_all();
        MemDisk { shared: Arc::clone(&self.shared), boot: inner.boots }
    }

    /// The process ends, power stays: what was written is seen again. Returns the disk as the next process sees it.
    #[must_use]
    pub fn kill(&self) -> MemDisk {
        let mut inner = self.lock();
        inner.boots += 1;
        inner.power_off_at = None;
        inner.syncs_left = None;
        self.shared.released.notify_all();
        MemDisk { shared: Arc::clone(&self.shared), boot: inner.boots }
    }

    /// Creations that would make all files together larger than this fail; `None` takes the bound away.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.lock().space_bytes = bytes;
    }

    /// Writes fail with EIO, or no longer.
    pub fn set_failing_writes(&self, failing: bool) {
        self.lock().failing_writes = failing;
    }

    /// Syncs fail with EIO, or no longer. What a failed sync covered may be lost although it is still seen.
    pub fn set_failing_syncs(&self, failing: bool) {
        self.lock().failing_syncs = failing;
    }

    /// Syncs block until allowed one by one, or let go: a slow disk under a test's control.
    pub fn hold_syncs(&self, held: bool) {
        self.lock().syncs_left = held.then_some(0);
        self.shared.released.notify_all();
    }

    /// Lets one held sync pass.
    pub fn allow_sync(&self) {
        let mut inner = self.lock();
        inner.syncs_left = inner.syncs_left.map(|left| left + 1);
        self.shared.released.notify_all();
    }

    /// Flips one bit of what is there, for good.
    ///
    /// # Panics
    /// If there is no such byte.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        let at = usize::try_from(offset).expect("fits memory");
        self.damage(path, |bytes| bytes[at] ^= 1 << (bit % 8));
    }

    /// Cuts a file to `bytes`, for good.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn cut(&self, path: &Path, bytes: u64) {
        let length = usize::try_from(bytes).expect("fits memory");
        self.damage(path, |content| content.truncate(length));
    }

    fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut inner = self.lock();
        let file = *inner.names.get(path).expect("the file to damage is there");
        let content = &mut inner.files[file];
        content.durable.clone_from(&content.seen);
        content.unsynced.clear();
        change(&mut content.seen);
        change(&mut content.durable);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, for a call of a process that must still live.
    fn alive(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.lock();
        if inner.boots != self.boot {
            return Err(io::Error::other("the power was cut"));
        }
        match inner.power_off_at {
            Some(at) if inner.counts.changes >= at => Err(io::Error::other("the power is off")),
            _ => Ok(inner),
        }
    }

    /// The lock, for a call that changes something.
    fn change(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.alive()?;
        inner.counts.changes += 1;
        Ok(inner)
    }
}

impl Disk for MemDisk {
    fn syncs(&self) -> bool {
        !self.lock().no_sync
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.alive()?;
        let inside = inner.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let inner = self.alive()?;
        let file = inner.find(path)?;
        Ok(Arc::new(MemFile { disk: self.clone(), file }))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn File>> {
        let mut inner = self.change()?;
        if inner.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let used: u64 = inner.names.values().map(|file| inner.files[*file].seen.len() as u64).sum();
        if inner.space_bytes.is_some_and(|space| used + bytes > space) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = inner.files.len();
        let length = usize::try_from(bytes).expect("fits memory");
        inner.files.push(Content { seen: vec![0; length], ..Content::default() });
        inner.names.insert(path.to_path_buf(), file);
        inner.unsynced_names.push(NameChange::Create(path.to_path_buf(), file));
        Ok(Arc::new(MemFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.change()?;
        let file = inner.find(from)?;
        assert!(!inner.names.contains_key(to), "a rename to a free name");
        inner.names.remove(from);
        inner.names.insert(to.to_path_buf(), file);
        inner.unsynced_names.push(NameChange::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.change()?;
        inner.find(path)?;
        inner.names.remove(path);
        inner.unsynced_names.push(NameChange::Unlink(path.to_path_buf()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut inner = self.change()?;
        if !inner.no_sync {
            inner.unsynced_names.clear();
            inner.durable_names = inner.names.clone();
        }
        Ok(())
    }
}

/// A handle of [`MemDisk`].
#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    file: usize,
}

impl File for MemFile {
    fn size(&self) -> io::Result<u64> {
        let inner = self.disk.alive()?;
        Ok(inner.files[self.file].seen.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Bytes> {
        let mut inner = self.disk.alive()?;
        let seen = &inner.files[self.file].seen;
        let from = usize::try_from(offset).expect("fits memory").min(seen.len());
        let read = Bytes::copy_from_slice(&seen[from..(from + bytes).min(seen.len())]);
        inner.counts.read_bytes += read.len() as u64;
        Ok(read)
    }

    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        assert!(blocks.len().is_multiple_of(BLOCK_BYTES), "a write of whole blocks");
        assert!(offset.is_multiple_of(BLOCK_BYTES as u64), "a write at a block");
        assert_eq!(blocks.as_ptr().align_offset(BLOCK_BYTES), 0, "a write from aligned memory");
        let mut inner = self.disk.change()?;
        if inner.failing_writes {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        inner.counts.written_bytes += blocks.len() as u64;
        let content = &mut inner.files[self.file];
        overwrite(&mut content.seen, offset, blocks);
        content.unsynced.push((offset, blocks.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.change()?;
        inner.counts.syncs += 1;
        while inner.syncs_left == Some(0) && inner.boots == self.disk.boot {
            inner = self.disk.shared.released.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        drop(inner);
        let mut inner = self.disk.alive()?;
        inner.syncs_left = inner.syncs_left.map(|left| left.saturating_sub(1));
        if inner.failing_syncs {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        if !inner.no_sync {
            inner.files[self.file].make_durable();
        }
        Ok(())
    }
}

impl Inner {
    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Lets each unsynced change of names happen or not; one that touches a name of a lost change is lost too.
    fn settle_names(&mut self, random: &mut StdRng) {
        let mut names = std::mem::take(&mut self.durable_names);
        let mut lost: BTreeSet<PathBuf> = BTreeSet::new();
        for change in self.unsynced_names.drain(..) {
            let touched: Vec<&PathBuf> = match &change {
                NameChange::Create(path, _) | NameChange::Unlink(path) => vec![path],
                NameChange::Rename(from, to) => vec![from, to],
            };
            if touched.iter().any(|path| lost.contains(*path)) || random.random_bool(0.4) {
                lost.extend(touched.into_iter().cloned());
                continue;
            }
            match change {
                NameChange::Create(path, file) => {
                    names.insert(path, file);
                }
                NameChange::Unlink(path) => {
                    names.remove(&path);
                }
                NameChange::Rename(from, to) => {
                    if let Some(file) = names.remove(&from) {
                        names.insert(to, file);
                    }
                }
            }
        }
        self.names = names.clone();
        self.durable_names = names;
    }
}

impl Content {
    /// Everything written is durable. Only what was written since is copied: files are much larger.
    fn make_durable(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        for (offset, bytes) in self.unsynced.drain(..) {
            overwrite(&mut self.durable, offset, &bytes);
        }
    }

    /// Lets each sector of each unsynced write happen or not, and some in part.
    fn settle(&mut self, random: &mut StdRng) {
        // The size counts as metadata: it may have been made durable early.
        if self.durable.len() < self.seen.len() && random.random_bool(0.5) {
            self.durable.resize(self.seen.len(), 0);
        }
        let kept = *[0.0, 0.2, 0.5, 0.9, 1.0].get(random.random_range(0..5_usize)).expect("in range");
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let at = offset + (number * SECTOR_BYTES) as u64;
                if random.random_bool(kept) {
                    overwrite(&mut self.durable, at, sector);
                } else if random.random_bool(0.1) {
                    overwrite(&mut self.durable, at, &sector[..random.random_range(0..sector.len())]);
                }
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

fn overwrite(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let from = usize::try_from(offset).expect("fits memory");
    let end = from + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[from..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::super::Buffer;
    use super::*;

    fn block(byte: u8) -> Buffer {
        let mut buffer = Buffer::zeroed(BLOCK_BYTES);
        buffer.as_mut_slice().fill(byte);
        buffer
    }

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_loses_some_of_the_rest() {
        let (mut lost, mut torn) = (0, 0);
        for seed in 0..200 {
            let disk = MemDisk::new(true);
            let (dir, path) = (Path::new("/d"), Path::new("/d/f"));
            let file = disk.create(path, 8192).unwrap();
            file.write_at(block(1).as_slice(), 0).unwrap();
            file.sync().unwrap();
            disk.sync_dir(dir).unwrap();
            file.write_at(block(2).as_slice(), 4096).unwrap();
            let disk = disk.power_cut(seed);
            assert!(file.read_at(0, 1).is_err(), "a handle of before the cut is dead");
            let read = disk.open(path).unwrap().read_at(0, 8192).unwrap();
            assert!(read[..4096].iter().all(|byte| *byte == 1));
            let survived = read[4096..].iter().filter(|byte| **byte == 2).count();
            lost += usize::from(survived == 0);
            torn += usize::from(!survived.is_multiple_of(SECTOR_BYTES));
        }
        assert!(lost > 5 && torn > 5, "lost {lost}, torn {torn}");
    }

    #[test]
    fn without_sync_a_power_cut_loses_what_a_sync_should_have_kept() {
        let mut lost = 0;
        for seed in 0..50 {
            let disk = MemDisk::new(false);
            let file = disk.create(Path::new("/d/f"), 4096).unwrap();
            file.write_at(block(1).as_slice(), 0).unwrap();
            file.sync().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            let disk = disk.power_cut(seed);
            let kept = disk.open(Path::new("/d/f")).and_then(|file| file.read_at(0, 4096));
            lost += usize::from(!kept.is_ok_and(|read| read.len() == 4096 && read.iter().all(|byte| *byte == 1)));
        }
        assert!(lost > 25);
    }

    #[test]
    fn names_are_durable_only_after_their_folder_is_synced() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..100 {
            let disk = MemDisk::new(true);
            disk.create(Path::new("/d/a"), 1).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            disk.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
            let disk = disk.power_cut(seed);
            let names = disk.list(Path::new("/d")).unwrap();
            assert_eq!(names.len(), 1, "a rename never loses the file");
            if names[0] == "b" { kept += 1 } else { lost += 1 }
        }
        assert!(kept > 20 && lost > 20, "kept {kept}, lost {lost}");
    }
}
