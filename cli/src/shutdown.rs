//! How the process is asked to end: SIGTERM and SIGINT cancel a token, a second one ends the process at once, and so does
//! the time allowed for an orderly end.
//!
//! A thread of its own listens, so that a runtime that hangs can still be told to end.
//! The exit status afterwards is 128 + the signal's number (143, 130), which is what a shell or a container runtime shows
//! for etcd, whose process dies of the re-raised signal. Ours exits with the number instead: raising a signal with its
//! default action needs unsafe code. A systemd unit therefore wants `SuccessExitStatus=143`.
//! Source: etcd `pkg/osutil/interrupt_unix.go`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A server that has not ended within this time after the first signal is left to its crash safety.
const SHUTDOWN_MILLIS_MAX: Duration = Duration::from_millis(1_400);

/// The request to end, once it has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    token: CancellationToken,
    /// The exit status that the first signal asks for; 0 while none has come.
    status: Arc<AtomicU8>,
}

impl Shutdown {
    /// Starts listening, in a thread that lives as long as the process.
    ///
    /// # Errors
    /// When the thread or a handler cannot be set up.
    pub(crate) fn listen() -> io::Result<Shutdown> {
        let shutdown = Shutdown::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let guard = runtime.enter();
        let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(guard);
        let told = shutdown.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(told.wait(signals)))?;
        Ok(shutdown)
    }

    async fn wait(self, mut signals: (Signal, Signal)) {
        let (name, status) = next(&mut signals).await;
        tracing::info!(signal = name, "received signal; shutting down");
        self.status.store(status, Ordering::Relaxed);
        self.token.cancel();
        tokio::select! {
            (name, _) = next(&mut signals) => tracing::warn!(signal = name, "second signal; exiting at once"),
            () = tokio::time::sleep(SHUTDOWN_MILLIS_MAX) => tracing::error!("not drained in time; exiting, as a crash would"),
        }
        std::process::exit(i32::from(status));
    }

    /// Cancelled by the first signal.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The status to exit with after an orderly end.
    pub(crate) fn exit_status(&self) -> u8 {
        self.status.load(Ordering::Relaxed)
    }
}

/// The next signal's name and the exit status it asks for.
async fn next((terminate, interrupt): &mut (Signal, Signal)) -> (&'static str, u8) {
    tokio::select! {
        _ = terminate.recv() => ("terminated", 143),
        _ = interrupt.recv() => ("interrupt", 130),
    }
}
