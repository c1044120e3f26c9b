//! One direction of one proxied connection, under the rule of its link.
//!
//! Reader and writer are joined by a bounded queue of chunks with a due time, so that a delay shifts bytes without lowering
//! the rate. A closed source closes the sink after the last byte; a reset link ends both directions.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::LinkState;
use super::links::Tap;

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

/// Carries bytes from `source` to `sink` until the source closes; the connection was opened at `born`.
pub(crate) async fn pump(source: ReadHalf<'_>, sink: WriteHalf<'_>, link: Tap, born: Instant) -> Result<(), Ended> {
    let (chunks, queue) = mpsc::channel(CHUNKS_IN_FLIGHT_MAX);
    tokio::try_join!(read(source, chunks, link.clone(), born), write(queue, sink, link, born)).map(|_| ())
}

/// Waits until the link is open to a connection opened at `born`; an error if it is reset.
pub(crate) async fn open(link: &mut Tap, born: Instant) -> Result<LinkState, Ended> {
    if link.state.borrow().of_connection(born) == LinkState::Hold {
        link.meter.held();
    }
    let state = link.state.wait_for(|state| state.of_connection(born) != LinkState::Hold).await;
    match state.map(|state| state.of_connection(born)) {
        Ok(LinkState::Reset) | Err(_) => {
            link.meter.reset();
            Err(Ended::Reset)
        }
        Ok(state) => Ok(state),
    }
}

async fn read(
    mut source: ReadHalf<'_>,
    chunks: mpsc::Sender<(Instant, Bytes)>,
    mut link: Tap,
    born: Instant,
) -> Result<(), Ended> {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    // Until when a link with a rate is busy with what came before.
    let mut busy_until = Instant::now();
    loop {
        let state = open(&mut link, born).await?;
        let length = tokio::select! {
            biased;
            _ = link.state.changed() => continue,
            length = source.read(&mut buffer) => length?,
        };
        if length == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let due = match state {
            LinkState::Delay(delay) => now + delay,
            LinkState::Jitter(least, most) => now + rand::random_range(least..=most.max(least)),
            LinkState::Rate(bytes_per_second) => {
                let takes = Duration::from_secs_f64(length as f64 / f64::from(bytes_per_second.max(1)));
                busy_until = busy_until.max(now) + takes;
                busy_until
            }
            _ => now,
        };
        if due > now {
            link.meter.late();
        }
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
    mut link: Tap,
    born: Instant,
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
        open(&mut link, born).await?;
        tokio::select! {
            written = sink.write_all(&chunk) => written?,
            ended = reset(&mut link) => return Err(ended),
        }
        link.meter.passed(chunk.len());
    }
    open(&mut link, born).await?;
    Ok(sink.shutdown().await?)
}

/// Returns once the link is reset.
async fn reset(link: &mut Tap) -> Ended {
    // An error means that the cluster is gone, and its links with it.
    link.state.wait_for(|state| *state == LinkState::Reset).await.map_or(Ended::Reset, |_| Ended::Reset)
}
