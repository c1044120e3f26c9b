//! Frames: checksummed pieces, one after the other, with a digest over everything at the end.
//!
//! A frame's CRC32C covers its offset too, so a piece that was moved, doubled or left out does not pass for another.
//! Does not: know what the bodies hold.

use std::io::{Read, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{DIGEST_BYTES, Error, FRAME_BYTES_MAX, MAGIC, SECTOR_BYTES, VERSION};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Family = 2,
    Records = 3,
    Footer = 4,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Header, Kind::Family, Kind::Records, Kind::Footer].into_iter().find(|kind| *kind as u8 == byte)
    }
}

const HEAD_BYTES: usize = 1 + 4 + 4;
/// A body's buffer starts no larger than this: a length that lies costs no memory before bytes are really there.
const BUFFER_BYTES_START: usize = 1 << 20;
/// Where bbolt's meta page has its magic number, and which (etcd-io/bbolt: `page.go`, `db.go`).
const BBOLT_MAGIC: (usize, [u8; 4]) = (16, 0xED0C_DAED_u32.to_le_bytes());

fn checksum(kind: u8, length: u32, offset: u64, body: &[u8]) -> u32 {
    let mut head = [0; 13];
    head[0] = kind;
    head[1..5].copy_from_slice(&length.to_be_bytes());
    head[5..].copy_from_slice(&offset.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), body)
}

/// Writes frames and keeps the digest.
pub(super) struct FrameWriter<W> {
    out: W,
    offset: u64,
    digest: Sha256,
}

impl<W: Write> FrameWriter<W> {
    /// Starts the file.
    pub(super) fn new(out: W) -> Result<FrameWriter<W>, Error> {
        let mut writer = FrameWriter { out, offset: 0, digest: Sha256::new() };
        writer.put(&MAGIC)?;
        writer.put(&VERSION.to_be_bytes())?;
        Ok(writer)
    }

    pub(super) fn frame(&mut self, kind: Kind, body: &[u8]) -> Result<(), Error> {
        assert!(body.len() <= FRAME_BYTES_MAX, "frames are cut below the bound");
        let length = u32::try_from(body.len()).expect("the bound is below u32's");
        let crc = checksum(kind as u8, length, self.offset, body);
        let mut head = [0; HEAD_BYTES];
        head[0] = kind as u8;
        head[1..5].copy_from_slice(&length.to_be_bytes());
        head[5..].copy_from_slice(&crc.to_be_bytes());
        self.put(&head)?;
        self.put(body)
    }

    /// Pads, appends the digest, and returns the file's size with it.
    pub(super) fn finish(mut self) -> Result<(u64, [u8; DIGEST_BYTES]), Error> {
        let padding = padding_bytes(self.offset);
        self.put(&[0; SECTOR_BYTES as usize][..padding])?;
        let sha256: [u8; DIGEST_BYTES] = self.digest.finalize().into();
        self.out.write_all(&sha256).map_err(Error::Write)?;
        self.out.flush().map_err(Error::Write)?;
        Ok((self.offset + DIGEST_BYTES as u64, sha256))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(Error::Write)?;
        self.digest.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

fn padding_bytes(offset: u64) -> usize {
    (offset.next_multiple_of(SECTOR_BYTES) - offset) as usize
}

/// A frame that passed its checksum.
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Of its head.
    pub(super) offset: u64,
    pub(super) body: Bytes,
}

/// Reads frames back, and checks all that [`FrameWriter`] wrote.
pub(super) struct FrameReader<R> {
    input: R,
    file: String,
    offset: u64,
    digest: Sha256,
}

impl<R: Read> FrameReader<R> {
    /// Checks the file's start. `file` is its name in errors.
    pub(super) fn new(file: String, input: R) -> Result<FrameReader<R>, Error> {
        let mut reader = FrameReader { input, file, offset: 0, digest: Sha256::new() };
        let mut start = Vec::with_capacity(MAGIC.len() + 4);
        reader.read_up_to(MAGIC.len() + 4, &mut start)?;
        if !start.starts_with(&MAGIC) {
            return Err(reader.foreign(&start));
        }
        let Ok(version) = start[MAGIC.len()..].try_into().map(u32::from_be_bytes) else {
            return Err(reader.damaged(MAGIC.len() as u64, "the file ends here"));
        };
        if version > VERSION {
            return Err(Error::Version { file: reader.file, found: version, known: VERSION });
        }
        if version == 0 {
            return Err(reader.damaged(MAGIC.len() as u64, "there is no form 0"));
        }
        Ok(reader)
    }

    pub(super) fn next(&mut self) -> Result<Frame, Error> {
        let offset = self.offset;
        let mut head = [0; HEAD_BYTES];
        self.read_exactly(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let crc = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if length as usize > FRAME_BYTES_MAX {
            return Err(self.damaged(offset, "a frame says that it is longer than any may be"));
        }
        let mut body = Vec::with_capacity((length as usize).min(BUFFER_BYTES_START));
        self.read_up_to(length as usize, &mut body)?;
        if body.len() < length as usize {
            return Err(self.damaged(self.offset, "the file ends here"));
        }
        if checksum(head[0], length, offset, &body) != crc {
            return Err(self.damaged(offset, "a frame's checksum does not match"));
        }
        let Some(kind) = Kind::from_byte(head[0]) else {
            return Err(self.damaged(offset, "a frame is of an unknown kind"));
        };
        Ok(Frame { kind, offset, body: body.into() })
    }

    /// Checks padding and digest and that nothing follows; returns the file's size with the digest.
    pub(super) fn finish(mut self) -> Result<(u64, [u8; DIGEST_BYTES]), Error> {
        let at = self.offset;
        let mut sector = [0; SECTOR_BYTES as usize];
        let padding = &mut sector[..padding_bytes(at)];
        self.read_exactly(padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.damaged(at, "the padding is not zero"));
        }
        let (at, expected) = (self.offset, self.digest.clone().finalize());
        let mut sha256 = [0; DIGEST_BYTES];
        self.read_exactly(&mut sha256)?;
        if sha256 != expected[..] {
            return Err(self.damaged(at, "the digest does not match"));
        }
        let mut rest = Vec::new();
        if self.read_up_to(1, &mut rest)? > 0 {
            return Err(self.damaged(self.offset - 1, "bytes follow the digest"));
        }
        Ok((self.offset, sha256))
    }

    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> Error {
        Error::Damaged { file: self.file.clone(), offset, what }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    fn read_exactly(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let mut read = Vec::with_capacity(out.len());
        if self.read_up_to(out.len(), &mut read)? < out.len() {
            return Err(self.damaged(self.offset, "the file ends here"));
        }
        out.copy_from_slice(&read);
        Ok(())
    }

    fn read_up_to(&mut self, bytes: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let read = self.input.by_ref().take(bytes as u64).read_to_end(out).map_err(|source| Error::File {
            operation: "read",
            file: self.file.clone(),
            source,
        })?;
        self.digest.update(&out[..]);
        self.offset += read as u64;
        Ok(read)
    }

    fn foreign(&self, start: &[u8]) -> Error {
        let (at, magic) = BBOLT_MAGIC;
        let what = if start.get(at..at + magic.len()) == Some(&magic[..]) {
            "it is etcd's own form (bbolt), which this version cannot read"
        } else if start.is_empty() {
            "it is empty"
        } else {
            "it starts with other bytes"
        };
        Error::Foreign { file: self.file.clone(), what }
    }
}
