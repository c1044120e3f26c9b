//! One direction of one proxied connection, under the rule of its link.
//!
//! Reader and writer are joined by a bounded queue of chunks with a due time, so that a delay shifts bytes without lowering
//! the rate. A closed source closes the sink after the last byte; a reset link ends both directions.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::LinkState;

/// Bytes read at once.
const CHUNK_BYTES_MAX: usize = 32 * 1024;
/// Chunks between reader and writer: what a delayed link can have in flight.
const CHUNKS_IN_FLIGHT_MAX: usize = 64;

/// Why a direction ended other than by a regular close.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("link reset")]
    Reset,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Carries bytes from `source` to `sink` until the source closes.
pub(crate) async fn pump(
    source: ReadHalf<'_>,
    sink: WriteHalf<'_>,
    link: watch::Receiver<LinkState>,
) -> Result<(), Ended> {
    let (chunks, queue) = mpsc::channel(CHUNKS_IN_FLIGHT_MAX);
    tokio::try_join!(read(source, chunks, link.clone()), write(queue, sink, link)).map(|_| ())
}

/// Waits until the link is open; an error if it is reset.
pub(crate) async fn open(link: &mut watch::Receiver<LinkState>) -> Result<LinkState, Ended> {
    match link.wait_for(|state| *state != LinkState::Hold).await.map(|state| *state) {
        Ok(LinkState::Reset) | Err(_) => Err(Ended::Reset),
        Ok(state) => Ok(state),
    }
}

async fn read(
    mut source: ReadHalf<'_>,
    chunks: mpsc::Sender<(Instant, Bytes)>,
    mut link: watch::Receiver<LinkState>,
) -> Result<(), Ended> {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    loop {
        let state = open(&mut link).await?;
        let length = tokio::select! {
            biased;
            _ = link.changed() => continue,
            length = source.read(&mut buffer) => length?,
        };
        if length == 0 {
            return Ok(());
        }
        let due = match state {
            LinkState::Delay(delay) => Instant::now() + delay,
            _ => Instant::now(),
        };
        let chunk = Bytes::copy_from_slice(&buffer[..length]);
        tokio::select! {
            sent = chunks.send((due, chunk)) => if sent.is_err() { return Ok(()) },
            ended = reset(&mut link) => return Err(ended),
        }
    }
}

async fn write(
    mut queue: mpsc::Receiver<(Instant, Bytes)>,
    mut sink: WriteHalf<'_>,
    mut link: watch::Receiver<LinkState>,
) -> Result<(), Ended> {
    loop {
        let (due, chunk) = tokio::select! {
            next = queue.recv() => match next {
                Some(next) => next,
                None => break,
            },
            ended = reset(&mut link) => return Err(ended),
        };
        if due > Instant::now() {
            sleep_until(due).await;
        }
        open(&mut link).await?;
        tokio::select! {
            written = sink.write_all(&chunk) => written?,
            ended = reset(&mut link) => return Err(ended),
        }
    }
    open(&mut link).await?;
    Ok(sink.shutdown().await?)
}

/// Returns once the link is reset.
async fn reset(link: &mut watch::Receiver<LinkState>) -> Ended {
    // An error means that the cluster is gone, and its links with it.
    link.wait_for(|state| *state == LinkState::Reset).await.map_or(Ended::Reset, |_| Ended::Reset)
}
