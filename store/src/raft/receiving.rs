//! A snapshot that is being received, and its families: one that is dropped before it was installed has failed.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::snapshot::Staging;
use crate::metrics::{Disk, Network};

/// A snapshot on its way in.
pub(super) struct Incoming {
    pub(super) staging: Staging,
    pub(super) receiving: Receiving,
    pub(super) _turn: OwnedSemaphorePermit,
}

impl Incoming {
    pub(super) async fn write(&mut self, piece: Bytes) -> std::io::Result<()> {
        self.staging.write(piece).await
    }
}

/// What is counted of it.
pub(super) struct Receiving {
    network: Network,
    from: String,
    started: Instant,
    installed: bool,
}

impl Receiving {
    pub(super) fn new(network: &Network, from: u64) -> Receiving {
        let from = format!("{from:x}");
        network.snapshot_receive_inflights_total.with_label_values(&[&from]).inc();
        Receiving { network: network.clone(), from, started: Instant::now(), installed: false }
    }

    /// The sender, as labels and logs have it.
    pub(super) fn label(&self) -> &str {
        &self.from
    }

    /// The snapshot is this member's state.
    pub(super) fn succeeded(mut self, disk: &Disk) {
        self.installed = true;
        let seconds = self.started.elapsed().as_secs_f64();
        self.network.snapshot_receive_total_duration_seconds.with_label_values(&[&self.from]).observe(seconds);
        disk.snap_db_save_total_duration_seconds.observe(seconds);
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let ended = match self.installed {
            true => &self.network.snapshot_receive_success,
            false => &self.network.snapshot_receive_failures,
        };
        ended.with_label_values(&[&self.from]).inc();
        self.network.snapshot_receive_inflights_total.with_label_values(&[&self.from]).dec();
    }
}
