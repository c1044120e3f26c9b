//! Real files: O_DIRECT where a probe at start shows that it works, buffered otherwise.
//!
//! Promises: a created file is allocated before `create` returns wherever the file system can allocate, so that a full
//! disk shows there and not in the middle of a write.
//! Does not: fall back later. A write that fails has failed.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

use super::{BLOCK_BYTES, Buffer, Disk, File};

/// The name of the file the probe writes and removes.
const PROBE_NAME: &str = "direct-io-probe";

/// Files of the operating system.
#[derive(Debug)]
pub struct RealDisk {
    direct: bool,
    fsync: bool,
}

impl RealDisk {
    /// Probes O_DIRECT in `dir`, which must exist. `fsync` `false` is `--unsafe-no-fsync`: nothing is ever synced.
    ///
    /// # Errors
    /// What the system says about a plain file there: not writable, no space.
    pub fn new(dir: &Path, fsync: bool) -> io::Result<RealDisk> {
        let path = dir.join(PROBE_NAME);
        remove_if_present(&path)?;
        let direct = probe(&path, OFlags::DIRECT).is_ok();
        let usable =
            if direct { Ok(()) } else { remove_if_present(&path).and_then(|()| probe(&path, OFlags::empty())) };
        remove_if_present(&path)?;
        usable?;
        tracing::info!(direct, fsync, dir = %dir.display(), "raft log disk probed");
        Ok(RealDisk { direct, fsync })
    }

    /// Plain buffered files, without a probe.
    #[must_use]
    pub fn buffered(fsync: bool) -> RealDisk {
        RealDisk { direct: false, fsync }
    }

    /// Whether O_DIRECT is used.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    fn open_with(&self, path: &Path, options: &mut fs::OpenOptions) -> io::Result<RealFile> {
        options.read(true).write(true).custom_flags(custom_flags(self.direct));
        Ok(RealFile { file: options.open(path)?, direct: self.direct, fsync: self.fsync })
    }
}

impl Disk for RealDisk {
    fn syncs(&self) -> bool {
        self.fsync
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_with(path, &mut fs::OpenOptions::new())?))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn File>> {
        let file = self.open_with(path, fs::OpenOptions::new().create_new(true))?;
        match allocate(&file.file, bytes) {
            Ok(()) => Ok(Arc::new(file)),
            Err(e) => {
                remove_if_present(path)?;
                Err(e)
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.fsync { fs::File::open(dir)?.sync_all() } else { Ok(()) }
    }
}

/// A file of [`RealDisk`].
#[derive(Debug)]
struct RealFile {
    file: fs::File,
    direct: bool,
    fsync: bool,
}

impl File for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Bytes> {
        // Aligned in both modes: one path, and a page is read as a whole anyway.
        let block = BLOCK_BYTES as u64;
        let from = offset - offset % block;
        let skip = usize::try_from(offset - from).expect("less than a block");
        let mut buffer = Buffer::zeroed((skip + bytes).next_multiple_of(BLOCK_BYTES));
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer.as_mut_slice()[filled..], from + filled as u64) {
                Ok(0) => break,
                // Short in the middle of a block can only be the file's end: O_DIRECT could not go on from there either.
                Ok(n) if n % BLOCK_BYTES != 0 && self.direct => {
                    filled += n;
                    break;
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let end = filled.min(skip + bytes);
        Ok(Bytes::from_owner(buffer).slice(skip.min(end)..end))
    }

    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        debug_assert!(blocks.len().is_multiple_of(BLOCK_BYTES) && offset.is_multiple_of(BLOCK_BYTES as u64));
        self.file.write_all_at(blocks, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.fsync { self.file.sync_data() } else { Ok(()) }
    }
}

fn custom_flags(direct: bool) -> i32 {
    let flags = if direct { OFlags::DIRECT } else { OFlags::empty() };
    flags.bits().cast_signed()
}

/// Writes a block and reads it back.
fn probe(path: &Path, flags: OFlags) -> io::Result<()> {
    let direct = flags.contains(OFlags::DIRECT);
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).custom_flags(custom_flags(direct));
    let file = RealFile { file: options.open(path)?, direct, fsync: true };
    let mut block = Buffer::zeroed(BLOCK_BYTES);
    block.as_mut_slice().fill(0xA5);
    file.write_at(block.as_slice(), 0)?;
    file.sync()?;
    let read = file.read_at(1, BLOCK_BYTES)?;
    if read.len() == BLOCK_BYTES - 1 && read.iter().all(|byte| *byte == 0xA5) {
        Ok(())
    } else {
        Err(io::Error::other("the probe read back other bytes than it wrote"))
    }
}

fn allocate(file: &fs::File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // The file system cannot allocate ahead: a sparse file works, but a full disk will then fail a write.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(bytes),
        other => Ok(other?),
    }
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
