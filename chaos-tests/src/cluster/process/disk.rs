//! A disk of its own for each member: a small ext4 in a file, mounted where only the members can see it.
//!
//! A holder process keeps a private mount namespace; members are started into it. When the holder is gone (its pipe closes
//! with this process, however that ends) and the members are, the kernel unmounts everything: nothing is left in anybody's
//! mount table. Needs root, `unshare`, `nsenter`, `mkfs.ext4`, `perl` and a free loop device for each member; [`Disks::mount`]
//! says so otherwise.
//!
//! A power cut is ext4's own: its shutdown ioctl without a flush of the journal, after which nothing that was not synced is
//! ever seen again (linux `fs/ext4/ioctl.c`, `EXT4_IOC_SHUTDOWN`).

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::Error;

/// Signals reach the members and not the holder; it ends with its pipe.
const HOLD: &str = "trap '' HUP INT TERM; echo ready; read -r _";
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const CUT: &str =
    r#"open(D, "<", $ARGV[0]) or die $!; my $flags = pack("L", 2); ioctl(D, 0x8004587d, $flags) or die $!"#;
/// The file that fills a disk.
const FILLER: &str = "filler";
/// What [`Disks::fill`] leaves.
const LEFT_KIB: u64 = 64;

/// The mounted disks of a cluster. Dropping it lets the holder go.
#[derive(Debug)]
pub struct Disks {
    holder: Child,
    _pipe: ChildStdin,
    dir: PathBuf,
}

impl Disks {
    /// Makes and mounts a disk of `mib` MiB for each name, below `dir`.
    ///
    /// # Errors
    /// When this machine or user cannot.
    pub fn mount(dir: &Path, names: &[String], mib: u32) -> Result<Disks, Error> {
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn { program: "unshare".to_owned(), source })?;
        let pipe = holder.stdin.take().expect("asked for as a pipe");
        let stdout = holder.stdout.take().expect("asked for as a pipe");
        let mut said = String::new();
        let read = BufReader::new(stdout).read_line(&mut said);
        let disks = Disks { holder, _pipe: pipe, dir: dir.to_owned() };
        if read.is_err() || said.trim() != "ready" {
            return Err(Error::Disk {
                what: "a private mount namespace".to_owned(),
                said: "unshare refused".to_owned(),
            });
        }
        for name in names {
            let (image, mount) = (disks.image(name), disks.mount_point(name));
            let failed = |source| Error::Files { path: image.clone(), source };
            fs::create_dir_all(&mount).map_err(failed)?;
            fs::File::create(&image).and_then(|file| file.set_len(u64::from(mib) << 20)).map_err(failed)?;
            disks.run(&["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", &text(&image)])?;
            disks.mount_again(name)?;
        }
        Ok(disks)
    }

    /// A path on a disk as this process can open it, through the holder's eyes.
    pub fn from_outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Where a member's disk is mounted, in the members' eyes.
    pub fn mount_point(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.disk"))
    }

    /// The start of a command line that is run where the disks are; the process keeps its pid.
    pub(super) fn inside(&self) -> Vec<OsString> {
        let pid = self.holder.id().to_string();
        ["nsenter", "--target", &pid, "--mount", "--"].map(OsString::from).to_vec()
    }

    /// Cuts a disk's power: what was not synced is gone, and from now on every access fails until [`power_on`](Self::power_on).
    /// Returns the name of a file that had been written, and not synced, a moment before.
    ///
    /// # Errors
    /// When the disk cannot be shut down.
    pub fn power_off(&self, name: &str) -> Result<PathBuf, Error> {
        let mount = self.mount_point(name);
        let canary = mount.join("canary");
        self.run(&["/bin/sh", "-c", "echo unsynced > \"$1\"", "sh", &text(&canary)])?;
        self.run(&["perl", "-e", CUT, &text(&mount)])?;
        Ok(canary)
    }

    /// Mounts a disk again after [`power_off`](Self::power_off), once no process uses it. Returns whether the canary is gone,
    /// as it must be after a real power cut.
    ///
    /// # Errors
    /// When it is still in use, or the file system cannot be mounted.
    pub fn power_on(&self, name: &str, canary: &Path) -> Result<bool, Error> {
        self.run(&["umount", &text(&self.mount_point(name))])?;
        self.mount_again(name)?;
        let empty = self.run(&["/bin/sh", "-c", "[ ! -s \"$1\" ]", "sh", &text(canary)]).is_ok();
        self.run(&["rm", "-f", &text(canary)])?;
        Ok(empty)
    }

    /// Fills a disk to the last few blocks. Returns the bytes that were free.
    ///
    /// # Errors
    /// When it cannot be filled.
    pub fn fill(&self, name: &str) -> Result<u64, Error> {
        let free = self.free_kib(name)?;
        let filler = self.mount_point(name).join(FILLER);
        let take = free.saturating_sub(LEFT_KIB).max(1);
        self.run(&["fallocate", "--length", &format!("{take}KiB"), &text(&filler)])?;
        Ok(free << 10)
    }

    /// Gives back what [`fill`](Self::fill) took.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn free(&self, name: &str) -> Result<(), Error> {
        self.run(&["rm", "-f", &text(&self.mount_point(name).join(FILLER))]).map(drop)
    }

    /// Free space for others than root, in KiB.
    ///
    /// # Errors
    /// When `df` cannot tell.
    pub fn free_kib(&self, name: &str) -> Result<u64, Error> {
        let said = self.run(&["df", "--output=avail", "--block-size=1K", &text(&self.mount_point(name))])?;
        let free = said.lines().nth(1).and_then(|line| line.trim().parse().ok());
        free.ok_or_else(|| Error::Disk { what: format!("df of {name}"), said })
    }

    fn mount_again(&self, name: &str) -> Result<(), Error> {
        self.run(&["mount", "-o", "loop", &text(&self.image(name)), &text(&self.mount_point(name))]).map(drop)
    }

    fn image(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.ext4"))
    }

    /// Runs a command where the disks are; what it said.
    fn run(&self, command: &[&str]) -> Result<String, Error> {
        let inside = self.inside();
        let output = Command::new(&inside[0]).args(&inside[1..]).args(command).stdin(Stdio::null()).output();
        let output = output.map_err(|source| Error::Spawn { program: "nsenter".to_owned(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Disk { what: command.join(" "), said })
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        // The members are gone by now; with the holder goes the last user of the mounts.
        let ended: io::Result<_> = self.holder.kill().and_then(|()| self.holder.wait());
        if let Err(error) = ended {
            tracing::warn!(%error, "could not end the holder of the members' disks");
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_loses_what_was_not_synced_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let disks = match Disks::mount(folder.path(), &["n1".to_owned()], 32) {
            Ok(disks) => disks,
            // Without root there is nothing to show here; `doctor` tells the user.
            Err(error) => return eprintln!("no disk here: {error}"),
        };
        let kept = disks.mount_point("n1").join("kept");
        disks.run(&["/bin/sh", "-c", "echo kept > \"$1\" && sync", "sh", &text(&kept)]).unwrap();
        let canary = disks.power_off("n1").unwrap();
        assert!(disks.power_on("n1", &canary).unwrap(), "the unsynced file has survived");
        assert_eq!(disks.run(&["cat", &text(&kept)]).unwrap(), "kept\n");

        disks.fill("n1").unwrap();
        let more = disks.mount_point("n1").join("more");
        let write = ["dd", "if=/dev/zero", &format!("of={}", more.display()), "bs=1M", "count=4"];
        disks.run(&write).unwrap_err();
        disks.free("n1").unwrap();
        disks.run(&write).unwrap();
        assert!(fs::read_dir(disks.mount_point("n1")).unwrap().next().is_none(), "the mount is seen outside");
    }
}
