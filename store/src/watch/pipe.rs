//! The bounded way from the hub to one stream.
//!
//! ```text
//!   hub: offer ── full ─▶ slow := true ─▶ offer again ── full ─▶ the watcher is a victim
//!   stream: take ─▶ slow and at most half full? ─▶ the hub resumes the stream's victims
//! ```
//! Promises: after a failed offer the stream is resumed once it has taken enough, by the take itself; nobody polls. The
//! second offer closes the gap in which the stream takes its last output just before `slow` is set: had that happened,
//! the offer would succeed. The hub offers under its lock, so that offers to one pipe never race each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use tokio::sync::mpsc;

use super::batch::Addressed;
use super::config::Config;

/// The hub's end.
#[derive(Debug)]
pub(super) struct Pipe {
    sender: mpsc::Sender<Addressed>,
    gauge: Arc<Gauge>,
}

/// The stream's end.
#[derive(Debug)]
pub(super) struct Outlet {
    receiver: mpsc::Receiver<Addressed>,
    gauge: Arc<Gauge>,
}

#[derive(Debug)]
struct Gauge {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Set while the stream may have victims.
    slow: AtomicBool,
}

/// A pipe's two ends.
pub(super) fn pipe(config: &Config) -> (Pipe, Outlet) {
    let (sender, receiver) = mpsc::channel(config.stream_responses_max);
    let gauge = Gauge { bytes: AtomicUsize::new(0), bytes_max: config.stream_bytes_max, slow: AtomicBool::new(false) };
    let gauge = Arc::new(gauge);
    (Pipe { sender, gauge: Arc::clone(&gauge) }, Outlet { receiver, gauge })
}

impl Pipe {
    /// Hands over, or gives back where the stream is full and has been marked slow.
    pub(super) fn offer(&self, output: Addressed) -> Result<(), Addressed> {
        self.offer_once(output).or_else(|output| {
            self.mark_slow();
            self.offer_once(output)
        })
    }

    /// Hands over where there is room, and says whether there was. Leaves the stream unmarked.
    pub(super) fn offer_or_drop(&self, output: Addressed) -> bool {
        self.offer_once(output).is_ok()
    }

    /// Whether nothing can be handed over; if so the stream has been marked slow.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_full() && {
            self.mark_slow();
            self.is_full()
        }
    }

    /// Outputs that wait.
    pub(super) fn len(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Forgets the mark: the caller goes through all victims now.
    pub(super) fn unmark_slow(&self) {
        self.gauge.slow.store(false, Ordering::SeqCst);
    }

    fn is_full(&self) -> bool {
        self.sender.capacity() == 0 || self.gauge.bytes.load(Ordering::SeqCst) >= self.gauge.bytes_max
    }

    fn mark_slow(&self) {
        self.gauge.slow.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    fn offer_once(&self, output: Addressed) -> Result<(), Addressed> {
        let bytes = output.bytes();
        if self.gauge.bytes.load(Ordering::SeqCst) >= self.gauge.bytes_max {
            return Err(output);
        }
        self.gauge.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.sender.try_send(output).map_err(|refused| {
            self.gauge.bytes.fetch_sub(bytes, Ordering::SeqCst);
            refused.into_inner()
        })
    }
}

impl Outlet {
    /// The next output, and whether the stream's victims must be resumed now. `None` when the hub has dropped its end.
    ///
    /// # Cancel safety
    /// Cancelling loses nothing.
    pub(super) async fn take(&mut self) -> Option<(Addressed, bool)> {
        let output = self.receiver.recv().await?;
        Some(self.taken(output))
    }

    /// The next output that is there already.
    #[cfg(test)]
    pub(super) fn try_take(&mut self) -> Option<(Addressed, bool)> {
        let output = self.receiver.try_recv().ok()?;
        Some(self.taken(output))
    }

    fn taken(&self, output: Addressed) -> (Addressed, bool) {
        let before = self.gauge.bytes.fetch_sub(output.bytes(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let bytes_low = before - output.bytes() <= self.gauge.bytes_max / 2;
        let low = bytes_low && self.receiver.len() <= self.receiver.max_capacity() / 2;
        (output, low && self.gauge.slow.load(Ordering::SeqCst))
    }
}
