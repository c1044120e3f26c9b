//! Lines from standard input.
//!
//! A thread, since a read of standard input cannot be called off: it is left behind when the process ends, and holds
//! nothing but the channel.

use std::io::{self, BufRead};
use std::thread;

use tokio::sync::mpsc;

/// Lines typed ahead.
const LINES_BUFFERED_MAX: usize = 64;

/// Starts the reader; the channel ends with the input.
pub(crate) fn lines() -> io::Result<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel(LINES_BUFFERED_MAX);
    thread::Builder::new().name("prompt".to_owned()).spawn(move || {
        for line in io::stdin().lock().lines() {
            let sent = match line {
                Ok(line) => sender.blocking_send(line),
                Err(error) => return tracing::warn!(%error, "could not read standard input"),
            };
            if sent.is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}
