//! A snapshot file as a stream of blobs, and its digest as the last one.
//!
//! Promises: what has been sent is hashed, and a file that does not end with the digest of what comes before is an error
//! at the client, not a backup. One blob is in memory at a time. The file is gone when the stream is.
//! Source: etcd `server/etcdserver/api/v3rpc/maintenance.go` (32 KiB blobs, `remaining_bytes` counting down to 0).

use std::io;

use fairlead_proto::served::etcdserverpb as pb;
use futures::{Stream, stream};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::time::Instant;
use tonic::Status;

use super::{CLUSTER_VERSION, Context};

/// Bytes of a blob.
const BLOB_BYTES: u64 = 32 * 1024;

/// Bytes read from the file at once.
const READ_BYTES: usize = 1024 * 1024;

/// Bytes of the digest at the file's end.
const DIGEST_BYTES: u64 = 32;

/// Makes snapshot files for clients.
pub trait Snapshots: Send + Sync + 'static {
    /// The state as of now in a file of its own (`store::snapshot_file`'s form), at its start, already unlinked: dropping
    /// it frees the space. Blocks.
    ///
    /// # Errors
    /// Where the state cannot be read or the file not be written.
    fn create(&self) -> io::Result<std::fs::File>;
}

struct Sending {
    ctx: Context,
    file: BufReader<File>,
    /// Bytes before the digest that are still to be sent.
    remaining: u64,
    digest: Sha256,
    begun: Instant,
    done: bool,
}

/// Makes a file and streams it.
pub(super) async fn open(
    ctx: &Context,
) -> Result<impl Stream<Item = Result<pb::SnapshotResponse, Status>> + use<>, Status> {
    let begun = Instant::now();
    let snapshots = ctx.snapshots.clone();
    let created = tokio::task::spawn_blocking(move || {
        let file = snapshots.create()?;
        let size = file.metadata()?.len();
        Ok((file, size))
    });
    let created: io::Result<_> = created.await.map_err(|_| Status::internal("making the snapshot was aborted"))?;
    let (file, size) = created.map_err(|error| failed(&error))?;
    let remaining = size.checked_sub(DIGEST_BYTES).ok_or_else(|| Status::internal("the snapshot file is too short"))?;
    tracing::info!(bytes = size, "sending a snapshot to a client");
    let file = BufReader::with_capacity(READ_BYTES, File::from_std(file));
    let sending = Sending { ctx: ctx.clone(), file, remaining, digest: Sha256::new(), begun, done: false };
    Ok(stream::try_unfold(sending, |mut sending| async move {
        if sending.done {
            return Ok(None);
        }
        let response = if sending.remaining > 0 { sending.blob().await? } else { sending.digest().await? };
        Ok(Some((response, sending)))
    }))
}

impl Sending {
    async fn blob(&mut self) -> Result<pb::SnapshotResponse, Status> {
        let blob = self.read(self.remaining.min(BLOB_BYTES)).await?;
        self.digest.update(&blob);
        self.remaining -= blob.len() as u64;
        Ok(self.response(blob))
    }

    async fn digest(&mut self) -> Result<pb::SnapshotResponse, Status> {
        let stored = self.read(DIGEST_BYTES).await?;
        if stored[..] != self.digest.finalize_reset()[..] {
            return Err(Status::data_loss("the snapshot file changed while it was sent: take another one"));
        }
        self.done = true;
        let took = self.begun.elapsed();
        self.ctx.metrics.disk.backend_snapshot_duration_seconds.observe(took.as_secs_f64());
        tracing::info!(took_ms = took.as_millis() as u64, "sent the snapshot");
        Ok(self.response(stored))
    }

    async fn read(&mut self, bytes: u64) -> Result<Vec<u8>, Status> {
        let mut blob = vec![0; usize::try_from(bytes).expect("a blob is small")];
        self.file.read_exact(&mut blob).await.map_err(|error| failed(&error))?;
        Ok(blob)
    }

    fn response(&self, blob: Vec<u8>) -> pb::SnapshotResponse {
        pb::SnapshotResponse {
            header: None,
            remaining_bytes: self.remaining,
            blob: blob.into(),
            version: CLUSTER_VERSION.into(),
        }
    }
}

fn failed(error: &io::Error) -> Status {
    tracing::warn!(%error, "a snapshot for a client failed");
    Status::internal(format!("the snapshot failed: {error}"))
}
