//! The bodies of a call: what passes is counted, and a message above the limit is refused as Go's library refuses it.
//!
//! A gRPC body is frames of one flag byte, four bytes of length and a message. Promises: a message above the limit is
//! refused when its frame's head is here, before its bytes are gathered.
//! Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::deadline::Deadline;
use super::layer::{Call, Counters};
use super::status::{DEADLINE_EXCEEDED, message_too_large};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of a frame's head.
const HEAD_BYTES: usize = 5;

/// Follows the frames in a stream of bytes that is cut anywhere.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; HEAD_BYTES],
    head_filled: usize,
    message_left: usize,
}

impl Frames {
    /// Messages that begin in `bytes`.
    ///
    /// # Errors
    /// The length of one that is above `bytes_max`.
    fn feed(&mut self, mut bytes: &[u8], bytes_max: usize) -> Result<u64, usize> {
        let mut begun = 0;
        while !bytes.is_empty() {
            if self.message_left > 0 {
                let taken = self.message_left.min(bytes.len());
                self.message_left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            self.head[self.head_filled] = bytes[0];
            self.head_filled += 1;
            bytes = &bytes[1..];
            if self.head_filled == HEAD_BYTES {
                let length = u32::from_be_bytes([self.head[1], self.head[2], self.head[3], self.head[4]]) as usize;
                if length > bytes_max {
                    return Err(length);
                }
                self.head_filled = 0;
                self.message_left = length;
                begun += 1;
            }
        }
        Ok(begun)
    }
}

/// What a client sends.
pub(super) struct Asked {
    body: Body,
    frames: Frames,
    counters: Counters,
    bytes_max: usize,
}

impl Asked {
    pub(super) fn new(body: Body, counters: Counters, bytes_max: usize) -> Asked {
        Asked { body, frames: Frames::default(), counters, bytes_max }
    }
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref() {
            self.counters.received_bytes.inc_by(data.len() as u64);
            let bytes_max = self.bytes_max;
            match self.frames.feed(data, bytes_max) {
                Ok(begun) => self.counters.received.inc_by(begun),
                Err(length) => return Poll::Ready(Some(Err(message_too_large(length, bytes_max).into()))),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a client is sent. The call ends with the code in the trailers, or at the client's deadline.
pub(super) struct Answered {
    body: Body,
    frames: Frames,
    call: Call,
    counters: Counters,
    deadline: Option<Deadline>,
}

impl Answered {
    pub(super) fn new(body: Body, call: Call, deadline: Option<Instant>) -> Answered {
        let counters = call.counters();
        Answered { body, frames: Frames::default(), call, counters, deadline: deadline.map(Deadline::new) }
    }

    /// Whether the client's time is over; asked again when it is.
    fn is_late(&mut self, is_pending: bool, cx: &mut Context<'_>) -> bool {
        self.deadline.as_mut().is_some_and(|deadline| match is_pending {
            true => deadline.poll(cx).is_ready(),
            false => deadline.has_passed(),
        })
    }

    /// Drops what makes the answer, and ends the call.
    fn end_late(&mut self) -> Frame<Bytes> {
        (self.body, self.deadline) = (Body::empty(), None);
        self.call.end(DEADLINE_EXCEEDED.code);
        let mut trailers = HeaderMap::new();
        Status::from(DEADLINE_EXCEEDED).add_header(&mut trailers).expect("the text is plain");
        Frame::trailers(trailers)
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // An answer that is whole is given, however late.
        let is_whole =
            self.body.is_end_stream() || matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_trailers());
        if !is_whole && self.is_late(polled.is_pending(), cx) {
            return Poll::Ready(Some(Ok(self.end_late())));
        }
        let frame = ready!(polled);
        match &frame {
            None => self.call.end(Code::Ok),
            Some(Err(_)) => self.call.end(Code::Internal),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.counters.sent_bytes.inc_by(data.len() as u64);
                    // Nothing is too large to send: etcd has no limit there.
                    let begun = self.frames.feed(data, usize::MAX).unwrap_or(0);
                    self.counters.sent.inc_by(begun);
                }
                if let Some(code) = frame.trailers_ref().and_then(code_in) {
                    self.call.end(code);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The gRPC code in headers or trailers, where there is one.
pub(super) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0];
        frame.extend(u32::try_from(length).unwrap().to_be_bytes());
        frame.resize(HEAD_BYTES + length, 7);
        frame
    }

    #[test]
    fn messages_are_counted_wherever_the_bytes_are_cut() {
        let bytes = [frame(0), frame(3), frame(1), frame(300)].concat();
        for piece in [1, 2, 3, 5, 7, bytes.len()] {
            let mut frames = Frames::default();
            let begun: u64 = bytes.chunks(piece).map(|piece| frames.feed(piece, 1000).unwrap()).sum();
            assert_eq!(begun, 4, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_message_above_the_limit_is_refused_at_its_head() {
        let mut frames = Frames::default();
        assert_eq!(frames.feed(&frame(10), 10), Ok(1));
        assert_eq!(frames.feed(&frame(11)[..HEAD_BYTES], 10), Err(11));
    }
}
