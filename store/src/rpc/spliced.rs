//! Large answers, sent in the pieces in which they were read and never gathered in one buffer.
//!
//! tonic encodes a message into one growing buffer, so that ten thousand keys of 1 KiB would be copied twice more and the
//! buffer's pages be new ones each time. A service that has its message in wire form answers an empty one and lays the
//! pieces beside it; [`restore`], below tonic, puts them in its place. Promises: on the wire there is no difference.
//! Does not: compress.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use fairlead_proto::served::etcdserverpb as pb;
use http::HeaderMap;
use http_body::Frame;
use prost::Message;
use tonic::{Response, Status};

use crate::mvcc;

/// Bytes of a message's head: its flag and its length.
const HEAD_BYTES: usize = 5;

/// A whole message in wire form, with its head.
#[derive(Clone, Debug)]
struct Pieces(VecDeque<Bytes>);

/// The answer to a range.
///
/// # Errors
/// Where it is longer than a message can be.
pub(super) fn range(header: pb::ResponseHeader, ranged: mvcc::Spliced) -> Result<Response<pb::RangeResponse>, Status> {
    // A message's fields come in the order of their numbers: header, records, `more` and `count`.
    let before = pb::RangeResponse { header: Some(header), ..Default::default() };
    let after = pb::RangeResponse { more: ranged.more, count: ranged.count, ..Default::default() }.encode_to_vec();
    let bytes = before.encoded_len() + ranged.pieces.iter().map(Bytes::len).sum::<usize>() + after.len();
    let length = u32::try_from(bytes).map_err(|_| {
        Status::resource_exhausted(format!("an answer of {bytes} bytes does not fit a message; set a limit"))
    })?;
    let mut head = BytesMut::with_capacity(HEAD_BYTES + before.encoded_len());
    head.put_u8(0);
    head.put_u32(length);
    head.put_slice(&before.encode_to_vec());
    let mut pieces = VecDeque::with_capacity(ranged.pieces.len() + 2);
    pieces.push_back(head.freeze());
    pieces.extend(ranged.pieces);
    pieces.push_back(after.into());
    let mut response = Response::new(pb::RangeResponse::default());
    response.extensions_mut().insert(Pieces(pieces));
    Ok(response)
}

/// Gives a response the body that was laid beside it, where there is one.
pub(super) fn restore(mut response: http::Response<Body>) -> http::Response<Body> {
    match response.extensions_mut().remove::<Pieces>() {
        Some(pieces) => response.map(|_| Body::new(Sent { pieces: Some(pieces.0) })),
        None => response,
    }
}

/// The answer as a client reads it.
#[cfg(test)]
pub(super) fn gathered(response: Response<pb::RangeResponse>) -> pb::RangeResponse {
    match response.extensions().get::<Pieces>() {
        None => response.into_inner(),
        Some(Pieces(pieces)) => {
            let message: Vec<u8> = pieces.iter().flatten().copied().collect();
            pb::RangeResponse::decode(&message[HEAD_BYTES..]).expect("a whole message")
        }
    }
}

/// A message, and that the call went well.
struct Sent {
    /// `None` once all has been sent.
    pieces: Option<VecDeque<Bytes>>,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(pieces) = &mut self.pieces else { return Poll::Ready(None) };
        while let Some(piece) = pieces.pop_front() {
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        self.pieces = None;
        let mut trailers = HeaderMap::new();
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn header() -> pb::ResponseHeader {
        pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 }
    }

    #[tokio::test]
    async fn a_response_carries_the_message_that_was_laid_beside_it_and_ends_well() {
        let kvs: Vec<_> = [vec![1], vec![], vec![2; 300]].map(|kv| fairlead_proto::encoded::KeyValue(kv.into())).into();
        let whole = pb::RangeResponse { header: Some(header()), kvs: kvs.clone(), more: true, count: 9 };
        let field = pb::RangeResponse { kvs, ..Default::default() }.encode_to_vec();
        let pieces = vec![Bytes::new(), Bytes::copy_from_slice(&field[..5]), Bytes::copy_from_slice(&field[5..])];
        let response = range(header(), mvcc::Spliced { pieces, more: true, count: 9 }).unwrap();
        let (_, message, extensions) = response.into_parts();
        assert_eq!(message, pb::RangeResponse::default());

        let mut from_tonic = http::Response::new(Body::from("to be replaced"));
        *from_tonic.extensions_mut() = extensions;
        let sent = restore(from_tonic).into_body().collect().await.unwrap();
        assert_eq!(sent.trailers().unwrap()[Status::GRPC_STATUS], "0");
        let sent = sent.to_bytes();
        let expected = whole.encode_to_vec();
        assert_eq!(sent[..HEAD_BYTES], [&[0][..], &u32::try_from(expected.len()).unwrap().to_be_bytes()].concat());
        assert_eq!(sent[HEAD_BYTES..], expected);
    }

    #[tokio::test]
    async fn another_response_is_left_as_it_is() {
        let sent = restore(http::Response::new(Body::from("as it was"))).into_body().collect().await.unwrap();
        assert_eq!(sent.to_bytes(), "as it was");
    }
}
