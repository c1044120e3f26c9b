//! Snapshots between members: rows straight from the engine into a stream, and from the stream into a staged state.
//!
//! ```text
//! frame 1   vote          frames 2…   pieces of a snapshot file (`snapshot_file`), as they are written
//! ```
//! Promises: memory is bounded by [`SNAPSHOT_CHUNKS_MAX`] pieces of [`SNAPSHOT_CHUNK_BYTES`] on each side; what arrives is
//! verified whole before openraft hears of it; a transfer that makes no progress for [`SNAPSHOT_STALL_MAX`] ends.

use std::future::Future;
use std::io::{self, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fairlead_proto::peer::{Frame, snapshot_client::SnapshotClient};
use openraft::errors::{ReplicationClosed, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::super::snapshot::Exporter;
use super::super::types::{TypeConfig, Vote};
use super::super::wire;
use super::client::Greeted;
use crate::simulated;

/// Bytes of one piece.
const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;
/// Pieces written but not yet sent.
const SNAPSHOT_CHUNKS_MAX: usize = 4;
/// The longest time without a piece taken by the transport, and the longest wait for the install to be confirmed.
const SNAPSHOT_STALL_MAX: Duration = Duration::from_secs(60);

/// Sends the state as of now to a peer, and waits until it is installed there.
pub(super) async fn send(
    client: &mut SnapshotClient<Greeted>,
    target: u64,
    vote: Vote,
    exporter: &Exporter,
    cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    tracing::info!(target: "raft", peer = %format_args!("{target:x}"), "sending a snapshot");
    let (frames, outgoing) = mpsc::channel(simulated::room(SNAPSHOT_CHUNKS_MAX));
    let exporter = exporter.clone();
    let network = exporter.metrics().network.clone();
    let label = format!("{target:x}");
    network.snapshot_send_inflights_total.with_label_values(&[&label]).inc();
    let started = std::time::Instant::now();
    let writer = tokio::spawn(simulated::blocking(move || write(&exporter, &vote, frames)));
    let install = async {
        let reply = client.install(ReceiverStream::new(outgoing)).await.map_err(|status| failed(status.message()))?;
        let vote = wire::decode_vote(reply.into_inner().body).map_err(failed)?;
        writer.await.map_err(failed)?.map_err(failed)?.map_err(failed)?;
        Ok(SnapshotResponse::new(vote))
    };
    let result = tokio::select! {
        biased;
        closed = cancel => Err(StreamingError::Closed(closed)),
        result = install => result,
    };
    network.snapshot_send_inflights_total.with_label_values(&[&label]).dec();
    match &result {
        Ok(_) => {
            network.snapshot_send_success.with_label_values(&[&label]).inc();
            let seconds = started.elapsed().as_secs_f64();
            network.snapshot_send_total_duration_seconds.with_label_values(&[&label]).observe(seconds);
        }
        Err(error) => {
            network.snapshot_send_failures.with_label_values(&[&label]).inc();
            tracing::warn!(target: "raft", peer = %format_args!("{target:x}"), %error, "snapshot was not installed");
        }
    }
    result
}

fn failed(reason: impl ToString) -> StreamingError<TypeConfig> {
    StreamingError::Unreachable(Unreachable::from_string(reason))
}

/// Writes vote and file into the channel. Blocks; ends when the receiver is gone.
fn write(exporter: &Exporter, vote: &Vote, frames: mpsc::Sender<Frame>) -> io::Result<()> {
    let mut pieces = Pieces { frames, piece: BytesMut::new() };
    pieces.send(wire::encode_vote(vote))?;
    exporter.export(&mut pieces)?;
    pieces.flush()
}

/// Cuts what is written into frames.
struct Pieces {
    frames: mpsc::Sender<Frame>,
    piece: BytesMut,
}

impl Pieces {
    fn send(&self, body: Bytes) -> io::Result<()> {
        simulated::send(&self.frames, Frame { body }).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= SNAPSHOT_CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            let body = self.piece.split().freeze();
            self.send(body)?;
        }
        Ok(())
    }
}

/// The next frame of an incoming snapshot, within the stall bound.
pub(super) async fn next_frame(incoming: &mut tonic::Streaming<Frame>) -> Result<Option<Bytes>, tonic::Status> {
    match tokio::time::timeout(SNAPSHOT_STALL_MAX, incoming.message()).await {
        Ok(frame) => Ok(frame?.map(|frame| frame.body)),
        Err(_) => Err(tonic::Status::deadline_exceeded("the snapshot made no progress")),
    }
}
