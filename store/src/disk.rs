//! The reserve of the device: growth is refused before the disk is full, while reads, deletes and compaction still work.
//!
//! Promises: [`Reserve::low`] costs next to nothing; it turns true when less than the reserve is left and false again only
//! when half as much again is, so that it does not flap. Nobody tells a program about free space, so [`run`] asks.
//! Does not: refuse anything (`rpc::admission` does).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::simulated;

/// How often the device is asked.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes kept free where the configuration says nothing: two log segments, a flush of the state and room to compact.
pub const RESERVE_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;

/// At most this part of the device is kept as a reserve, so that a small volume can be used at all.
const RESERVE_DEVICE_PART_MAX: u64 = 20;

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    bytes: u64,
    low: watch::Sender<bool>,
    /// Somebody waits for space now, whatever the device says.
    starving: AtomicBool,
}

/// The reserve on one folder's device, shared. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reserve {
    shared: Arc<Shared>,
}

impl Reserve {
    /// Keeps `bytes` free on the device of `folder`, or a twentieth of it where that is less. 0 keeps nothing.
    #[must_use]
    pub fn new(folder: &Path, bytes: u64) -> Reserve {
        Reserve {
            shared: Arc::new(Shared {
                folder: folder.into(),
                bytes,
                low: watch::Sender::new(false),
                starving: AtomicBool::new(false),
            }),
        }
    }

    /// Whether less than the reserve was free when the device was last asked.
    #[must_use]
    pub fn low(&self) -> bool {
        *self.shared.low.borrow()
    }

    /// A write waits for space (`true`), or goes on: the log knows before the device is asked again.
    pub fn starving(&self, starving: bool) {
        self.shared.starving.store(starving, Ordering::Release);
        if starving {
            self.shared.low.send_if_modified(|was| !std::mem::replace(was, true));
        }
    }

    /// Follows [`Reserve::low`].
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.shared.low.subscribe()
    }

    /// Asks the device. Blocks. Whether it is low, and whether that is news.
    ///
    /// # Errors
    /// Where the device cannot be asked; nothing has changed then.
    pub fn check(&self) -> io::Result<(bool, bool)> {
        let stat = rustix::fs::statvfs(&self.shared.folder)?;
        Ok(self.judge(stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
    }

    pub(crate) fn judge(&self, free: u64, size: u64) -> (bool, bool) {
        let reserve = self.shared.bytes.min(size / RESERVE_DEVICE_PART_MAX);
        let was_low = self.low();
        let starving = self.shared.starving.load(Ordering::Acquire);
        let low = starving || if was_low { free < reserve + reserve / 2 } else { free < reserve };
        self.shared.low.send_if_modified(|was| std::mem::replace(was, low) != low);
        (low, low != was_low)
    }
}

/// Asks the device again and again until `shutdown`, and logs what changes.
pub async fn run(reserve: Reserve, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let asked = reserve.clone();
        match simulated::blocking(move || asked.check()).await {
            Ok(Ok((true, true))) => {
                tracing::error!(folder = %reserve.shared.folder.display(), "the disk is nearly full: what grows is refused until there is room again");
            }
            Ok(Ok((false, true))) => {
                tracing::info!(folder = %reserve.shared.folder.display(), "the disk has room again")
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, folder = %reserve.shared.folder.display(), "cannot ask the disk for its free space")
            }
            Err(error) => tracing::warn!(%error, "asking the disk for its free space was aborted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_comes_below_the_reserve_and_goes_well_above_it() {
        let reserve = Reserve::new(Path::new("/"), 100);
        let judged: Vec<bool> = [150, 100, 99, 100, 149, 150].map(|free| reserve.judge(free, 10_000).0).into();
        assert_eq!(judged, [false, false, true, true, true, false]);
        assert!(!reserve.judge(51, 1_000).0, "a small device keeps a twentieth");
        assert!(reserve.judge(49, 1_000).1, "news");
    }

    #[test]
    fn a_real_device_can_be_asked() {
        let (low, _) = Reserve::new(Path::new("/"), 0).check().unwrap();
        assert!(!low);
    }
}
