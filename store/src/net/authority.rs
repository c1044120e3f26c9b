//! A repair for old etcdctl: its `:authority` is a whole URL (`http://127.0.0.1:2379`), which is none.
//!
//! The Go client up to 3.4 dials `passthrough:///http://host:port` for status, hashes, snapshots, defragmentation and
//! moves of leadership, and sends that target as the authority. Go's server takes it as any text; ours would end the
//! stream (RFC 9113 §8.3.1). So the bytes that come in are walked frame by frame, and in header blocks an authority that
//! starts with a scheme is replaced by `localhost`. Everything else passes as it is, copied once.
//!
//! Safe for HPACK: the entry that the decoder adds to its dynamic table is shorter than the one that the encoder added,
//! so it evicts no earlier, and indexes count from the newest (RFC 7541 §2.3.3, §4.4). A block that is cut into
//! CONTINUATION frames, or is malformed, is left alone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// What every HTTP/2 connection starts with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Bytes read from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// A header block larger than this is passed on unread; the HTTP library refuses it.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// Index of `:authority` in HPACK's static table.
const AUTHORITY: u64 = 1;

/// What a bad authority is replaced by.
const REPLACEMENT: &[u8] = b"localhost";

/// A connection whose incoming authorities are repaired.
pub(super) struct Repaired<S> {
    inner: S,
    state: State,
    input: BytesMut,
    /// A frame that was looked at, on its way out.
    output: BytesMut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preface,
    FrameHeader,
    /// So many bytes of a frame that nobody looks into.
    Payload(usize),
    /// A header block of so many bytes, with its frame header.
    Headers(usize),
    /// Not HTTP/2.
    Through,
}

impl<S> Repaired<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, state: State::Preface, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Moves what can be moved to `buf`. Whether anything was.
    fn advance(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let before = buf.filled().len();
        while buf.remaining() > 0 {
            if !self.output.is_empty() {
                pass(&mut self.output, usize::MAX, buf);
                continue;
            }
            match self.state {
                State::Through if self.input.is_empty() => break,
                State::Through => {
                    pass(&mut self.input, usize::MAX, buf);
                }
                State::Preface => match starts_with_preface(&self.input) {
                    None => break,
                    Some(false) => self.state = State::Through,
                    Some(true) => {
                        self.output = self.input.split_to(PREFACE.len());
                        self.state = State::FrameHeader;
                    }
                },
                State::FrameHeader => {
                    let Some(header) = self.input.get(..FRAME_HEADER_BYTES) else { break };
                    let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
                    let looked_at = header[3] == HEADERS && header[4] & END_HEADERS != 0 && length <= HEADERS_BYTES_MAX;
                    let whole = FRAME_HEADER_BYTES + length;
                    self.state = if looked_at { State::Headers(whole) } else { State::Payload(whole) };
                }
                State::Payload(0) => self.state = State::FrameHeader,
                State::Payload(_) if self.input.is_empty() => break,
                State::Payload(left) => self.state = State::Payload(left - pass(&mut self.input, left, buf)),
                State::Headers(whole) if self.input.len() < whole => break,
                State::Headers(whole) => {
                    self.output = repair(self.input.split_to(whole));
                    self.state = State::FrameHeader;
                }
            }
        }
        buf.filled().len() > before
    }
}

/// Moves at most `most` bytes; how many.
fn pass(from: &mut BytesMut, most: usize, to: &mut ReadBuf<'_>) -> usize {
    let count = from.len().min(most).min(to.remaining());
    to.put_slice(&from[..count]);
    from.advance(count);
    count
}

/// `None`: too little has come to tell.
fn starts_with_preface(input: &[u8]) -> Option<bool> {
    let known = input.len().min(PREFACE.len());
    match input[..known] == PREFACE[..known] {
        false => Some(false),
        true => (known == PREFACE.len()).then_some(true),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Repaired<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.advance(buf) {
            if buf.remaining() == 0 {
                break;
            }
            this.input.reserve(READ_BYTES);
            let came = ready!(poll_read_buf(Pin::new(&mut this.inner), cx, &mut this.input))?;
            if came == 0 {
                // The end: what is left of a frame can only be passed on.
                this.state = State::Through;
                this.advance(buf);
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Repaired<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// The frame with its authority replaced, or as it was.
fn repair(frame: BytesMut) -> BytesMut {
    let Some((from, to)) = bad_authority(&frame) else { return frame };
    let mut repaired = BytesMut::with_capacity(frame.len() + REPLACEMENT.len());
    repaired.extend_from_slice(&frame[..from]);
    repaired.extend_from_slice(&[REPLACEMENT.len() as u8]);
    repaired.extend_from_slice(REPLACEMENT);
    repaired.extend_from_slice(&frame[to..]);
    let length = repaired.len() - FRAME_HEADER_BYTES;
    repaired[..3].copy_from_slice(&[(length >> 16) as u8, (length >> 8) as u8, length as u8]);
    repaired
}

/// Where in a HEADERS frame the encoded value of an authority stands that starts with a scheme.
fn bad_authority(frame: &[u8]) -> Option<(usize, usize)> {
    let flags = frame[4];
    let mut at = FRAME_HEADER_BYTES;
    let mut end = frame.len();
    if flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*frame.get(at)?))?;
        at += 1;
    }
    if flags & PRIORITY != 0 {
        at += 5;
    }
    let mut fields = Fields { block: frame.get(..end)?, at };
    while fields.at < end {
        if let Some((from, to)) = fields.next()?
            && starts_with_scheme(&frame[from..to])
        {
            return Some((from, to));
        }
    }
    None
}

/// A walk over the fields of a header block (RFC 7541 §6), which needs no tables.
struct Fields<'a> {
    block: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    /// Steps over a field; where its value stands, if it is a literal of `:authority`. `None`: malformed.
    fn next(&mut self) -> Option<Option<(usize, usize)>> {
        let first = *self.block.get(self.at)?;
        let (prefix_bits, is_literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let name = self.integer(prefix_bits)?;
        if !is_literal {
            return Some(None);
        }
        if name == 0 {
            self.string()?;
        }
        let value = self.string()?;
        Some((name == AUTHORITY).then_some(value))
    }

    /// RFC 7541 §5.1.
    fn integer(&mut self, prefix_bits: u32) -> Option<u64> {
        let mask = (1u64 << prefix_bits) - 1;
        let mut value = u64::from(*self.block.get(self.at)?) & mask;
        self.at += 1;
        if value < mask {
            return Some(value);
        }
        for shift in (0..35).step_by(7) {
            let byte = *self.block.get(self.at)?;
            self.at += 1;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// RFC 7541 §5.2: where the string stands, its length included.
    fn string(&mut self) -> Option<(usize, usize)> {
        let from = self.at;
        let length = usize::try_from(self.integer(7)?).ok()?;
        self.at = self.at.checked_add(length).filter(|end| *end <= self.block.len())?;
        Some((from, self.at))
    }
}

/// Whether an encoded string starts with `http://` or `https://`, plain or in HPACK's Huffman code.
fn starts_with_scheme(string: &[u8]) -> bool {
    const HUFFMAN_HTTP: [u8; 5] = [0x9d, 0x29, 0xae, 0xe3, 0x0c];
    const HUFFMAN_HTTPS: [u8; 5] = [0x9d, 0x29, 0xad, 0x17, 0x18];
    let is_huffman = string.first().is_some_and(|first| first & 0x80 != 0);
    // An authority is short: its length takes one byte, or else it is none that we know.
    let text = string.get(1..).unwrap_or_default();
    if is_huffman {
        text.starts_with(&HUFFMAN_HTTP) || text.starts_with(&HUFFMAN_HTTPS)
    } else {
        text.starts_with(b"http://") || text.starts_with(b"https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len();
        let mut frame = vec![(length >> 16) as u8, (length >> 8) as u8, length as u8, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    fn block(authority: &[u8]) -> Vec<u8> {
        // :method POST, :scheme http, :path /x, :authority, te trailers.
        let mut block = vec![0x83, 0x86, 0x44, 2, b'/', b'x', 0x41];
        block.extend_from_slice(authority);
        block.extend_from_slice(&[0x40, 2, b't', b'e', 1, b't']);
        block
    }

    fn plain(text: &[u8]) -> Vec<u8> {
        [&[text.len() as u8], text].concat()
    }

    async fn through(bytes: &[u8], step: usize) -> Vec<u8> {
        let (mut write, read) = tokio::io::duplex(step);
        let bytes = bytes.to_vec();
        let sent = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await.expect("the other side reads");
        });
        let mut out = Vec::new();
        Repaired::new(read).read_to_end(&mut out).await.expect("a duplex does not fail");
        sent.await.expect("no panic");
        out
    }

    #[tokio::test]
    async fn only_an_authority_with_a_scheme_is_replaced_however_the_bytes_arrive() {
        // What Go's encoder makes of http://127.0.0.1:2379, beginning with the Huffman code of `http://`.
        let huffman = [
            &[0x86 + 9],
            &[0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x10, 0x84, 0x21, 0x08, 0x42, 0x10, 0x84, 0x21, 0xff, 0xff][..],
        ];
        let huffman = huffman.concat();
        for bad in [plain(b"http://127.0.0.1:2379"), plain(b"https://h:1"), huffman] {
            for (flags, pad) in [(END_HEADERS, vec![]), (END_HEADERS | PRIORITY, vec![0, 0, 0, 0, 1])] {
                let make = |authority: &[u8]| {
                    let mut bytes = PREFACE.to_vec();
                    bytes.extend(frame(4, 0, &[]));
                    bytes.extend(frame(HEADERS, flags, &[&pad[..], &block(authority)].concat()));
                    bytes.extend(frame(0, 1, &[7; 3000]));
                    bytes.extend(frame(HEADERS, flags, &[&pad[..], &block(&plain(b"good:1"))].concat()));
                    bytes
                };
                for step in [1, 7, 100_000] {
                    assert_eq!(through(&make(&bad), step).await, make(&plain(REPLACEMENT)), "in steps of {step}");
                }
            }
        }
    }

    #[tokio::test]
    async fn everything_else_passes_untouched() {
        let mut http2 = PREFACE.to_vec();
        http2.extend(frame(HEADERS, 0, &block(&plain(b"http://cut.into:1"))));
        http2.extend(frame(HEADERS, END_HEADERS, &[0x41, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
        http2.extend(frame(HEADERS, END_HEADERS | PADDED, &[200, 1]));
        http2.extend([0, 0, 9, 1]);
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", b"PRI * nonsense", &http2] {
            for step in [1, 1000] {
                assert_eq!(through(bytes, step).await, bytes);
            }
        }
    }
}
