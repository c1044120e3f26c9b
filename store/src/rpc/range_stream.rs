//! RangeStream: a range in chunks, all of one revision, none of them large.
//!
//! Promises: merged, the chunks are the answer to the same Range; header, `more` and `count` come with the last one; the
//! next chunk is read when the client has taken the one before, on a view of its own, so that a slow client pins no
//! snapshot. A compaction that overtakes the stream ends it with Compacted.
//! Source: etcd `server/etcdserver/v3_server.go` (`rangeStream`).

use bytes::Bytes;
use fairlead_proto::etcd::mvccpb;
use fairlead_proto::served::etcdserverpb as pb;
use futures::Stream;
use prost::Message;
use tonic::Status;

use super::Context;

/// Keys of the first chunk.
const FIRST_CHUNK_KEYS: i64 = 10;

/// What is still to be sent.
pub(super) struct Chunks {
    ctx: Context,
    /// The rest of the range: `key`, and after the first chunk `revision`, move on.
    rest: pb::RangeRequest,
    /// Keys that the client still wants.
    wanted: i64,
    chunk_keys: i64,
    /// The store's revision when the stream began, and the full count at the pinned one.
    began: Option<(i64, i64)>,
    done: bool,
}

impl Chunks {
    /// Of a request that `validate::range_stream` let pass, after its barrier.
    pub(super) fn new(ctx: Context, request: pb::RangeRequest) -> Chunks {
        let wanted = if request.limit > 0 { request.limit } else { i64::MAX };
        Chunks { ctx, rest: request, wanted, chunk_keys: FIRST_CHUNK_KEYS, began: None, done: false }
    }

    /// Reads chunk by chunk, as it is polled.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<pb::RangeStreamResponse, Status>> {
        futures::stream::try_unfold(self, |mut chunks| async move {
            if chunks.done {
                return Ok(None);
            }
            let response = chunks.next().await?;
            let item = pb::RangeStreamResponse { range_response: Some(response) };
            Ok(Some((item, chunks)))
        })
    }

    async fn next(&mut self) -> Result<pb::RangeResponse, Status> {
        let request = pb::RangeRequest { limit: self.chunk_keys.min(self.wanted), ..self.rest.clone() };
        let keys_max = self.ctx.limits.read_inline_keys_max;
        let large = self.began.is_none() || request.limit > keys_max;
        let (revision, ranged) = self.ctx.read(large, move |view| (view.revision(), view.range(&request))).await?;
        let ranged = ranged?;
        let (began, count) = *self.began.get_or_insert((revision, ranged.count));
        if self.rest.revision <= 0 {
            self.rest.revision = began;
        }
        self.wanted -= i64::try_from(ranged.kvs.len()).unwrap_or(i64::MAX);
        self.done = !ranged.more || self.wanted == 0 || self.rest.count_only;
        let mut response = pb::RangeResponse { kvs: ranged.kvs, ..Default::default() };
        if self.done {
            response.header = Some(self.ctx.header(began));
            response.more = ranged.more && !self.rest.count_only;
            response.count = count;
        } else {
            self.rest.key = after(&response)?;
            self.adapt(response.encoded_len());
        }
        Ok(response)
    }

    /// Aims at chunks of about a largest request's size.
    fn adapt(&mut self, bytes: usize) {
        let target = self.ctx.limits.request_bytes_max;
        if bytes < target / 2 {
            self.chunk_keys = self.chunk_keys.saturating_mul(2);
        } else if bytes > target * 2 {
            self.chunk_keys = (self.chunk_keys / 2).max(1);
        }
    }
}

/// The first key behind those of `response`.
fn after(response: &pb::RangeResponse) -> Result<Bytes, Status> {
    let last = response.kvs.last().ok_or_else(|| Status::internal("a range with more keys held none"))?;
    let last = mvccpb::KeyValue::decode(last.0.clone())
        .map_err(|error| Status::internal(format!("a stored record is malformed: {error}")))?;
    Ok([&last.key[..], b"\0"].concat().into())
}
