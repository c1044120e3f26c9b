//! How the process is asked to end: SIGTERM and SIGINT cancel a token, a second one ends the process at once.
//!
//! The exit status afterwards is 128 + the signal's number (143, 130), which is what a shell or a container runtime shows
//! for etcd, whose process dies of the re-raised signal. Ours exits with the number instead: raising a signal with its
//! default action needs unsafe code. A systemd unit therefore wants `SuccessExitStatus=143`.
//! Source: etcd `pkg/osutil/interrupt_unix.go`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A server that has not ended within this time after the first signal is left to its crash safety.
pub(crate) const SHUTDOWN_MILLIS_MAX: Duration = Duration::from_millis(1_400);

/// The request to end, once it has come.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    token: CancellationToken,
    /// The exit status that the first signal asks for; 0 while none has come.
    status: Arc<AtomicU8>,
}

impl Shutdown {
    /// Starts listening, in a task that lives as long as the runtime.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub(crate) fn listen() -> io::Result<Shutdown> {
        let shutdown = Shutdown { token: CancellationToken::new(), status: Arc::default() };
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let (name, status) = tokio::select! {
                    Some(()) = terminate.recv() => ("terminated", 143),
                    Some(()) = interrupt.recv() => ("interrupt", 130),
                    else => return,
                };
                if told.token.is_cancelled() {
                    tracing::warn!(signal = name, "second signal; exiting at once");
                    std::process::exit(i32::from(status));
                }
                tracing::info!(signal = name, "received signal; shutting down");
                told.status.store(status, Ordering::Relaxed);
                told.token.cancel();
            }
        });
        Ok(shutdown)
    }

    /// Cancelled by the first signal.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The status to exit with after an orderly end.
    pub(crate) fn exit_status(&self) -> u8 {
        self.status.load(Ordering::Relaxed)
    }

    /// Resolves when the time to end in order is over; never before a signal.
    pub(crate) async fn overdue(&self) {
        self.token.cancelled().await;
        tokio::time::sleep(SHUTDOWN_MILLIS_MAX).await;
    }
}
