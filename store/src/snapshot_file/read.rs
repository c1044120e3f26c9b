//! Reading: block by block, checking everything that the writer promised.
//!
//! Checked: frame order, checksums, families known and in order, keys strictly ascending within a family, counts and content
//! hash against the footer, digest. A reader holds one block at a time.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::{Buf, Bytes};

use super::frame::{Frame, FrameReader, Kind};
use super::header::{Footer, family_named};
use super::{Error, FamilyCount, Header, Summary};
use crate::engine::Family;

/// Some records of one family; slices of one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose they are.
    pub family: Family,
    /// (key, value), keys ascending.
    pub records: Vec<(Bytes, Bytes)>,
}

/// A snapshot being read.
pub struct Reader<R> {
    frames: FrameReader<R>,
    header: Header,
    /// Of the families so far; the last is being read.
    counts: Vec<FamilyCount>,
    last_key: Option<Bytes>,
    hash: u32,
}

/// Reads the header of the snapshot at `path`: cheap, and all that is known to be sound then is the header.
///
/// # Errors
/// [`Error::File`], [`Error::Foreign`], [`Error::Version`], [`Error::Damaged`].
pub fn read_header(path: &Path) -> Result<Header, Error> {
    Ok(Reader::open(path)?.header)
}

/// Reads the whole snapshot at `path` and checks it.
///
/// # Errors
/// As [`Reader::drain`].
pub fn verify(path: &Path) -> Result<Summary, Error> {
    Reader::open(path)?.drain(|_| Ok(()))
}

impl Reader<File> {
    /// Opens the snapshot at `path` and reads its header.
    ///
    /// # Errors
    /// As [`read_header`].
    pub fn open(path: &Path) -> Result<Reader<File>, Error> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Reader::new(name, file),
            Err(source) => Err(Error::File { operation: "open", file: name, source }),
        }
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header from `input`; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`read_header`].
    pub fn new(file: String, input: R) -> Result<Reader<R>, Error> {
        let mut frames = FrameReader::new(file, input)?;
        let first = frames.next()?;
        let header = match first.kind {
            Kind::Header => Header::decode(first.body),
            _ => None,
        };
        let Some(header) = header else {
            return Err(frames.damaged(first.offset, "the first frame is no header"));
        };
        Ok(Reader { frames, header, counts: Vec::new(), last_key: None, hash: 0 })
    }

    /// What the snapshot is of.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Hands every block to `take`, in order. Only when this returns `Ok` is what was taken known to be the whole state.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::UnknownFamily`] at the first thing that is wrong; [`Error::File`]; what `take` returns.
    pub fn drain(mut self, mut take: impl FnMut(Block) -> Result<(), Error>) -> Result<Summary, Error> {
        loop {
            let frame = self.frames.next()?;
            match frame.kind {
                Kind::Family => self.enter_family(&frame)?,
                Kind::Records => take(self.block(frame)?)?,
                Kind::Footer => return self.finish(frame),
                Kind::Header => return Err(self.frames.damaged(frame.offset, "there is a second header")),
            }
        }
    }

    fn enter_family(&mut self, frame: &Frame) -> Result<(), Error> {
        let Some(family) = family_named(&frame.body) else {
            return Err(Error::UnknownFamily {
                file: self.frames.file().to_owned(),
                name: String::from_utf8_lossy(&frame.body).into_owned(),
            });
        };
        if self.counts.last().is_some_and(|before| place(before.family) >= place(family)) {
            return Err(self.frames.damaged(frame.offset, "a family is out of order"));
        }
        self.counts.push(FamilyCount { family, records: 0, bytes: 0 });
        self.last_key = None;
        self.hash = crc32c::crc32c_append(self.hash, &frame.body);
        Ok(())
    }

    fn block(&mut self, frame: Frame) -> Result<Block, Error> {
        let Some(count) = self.counts.last_mut() else {
            return Err(self.frames.damaged(frame.offset, "there are records before the first family"));
        };
        self.hash = crc32c::crc32c_append(self.hash, &frame.body);
        let mut block = Block { family: count.family, records: Vec::new() };
        let mut rest = frame.body;
        while rest.has_remaining() {
            let Some((key, value)) = split_record(&mut rest) else {
                return Err(self.frames.damaged(frame.offset, "a record is cut"));
            };
            if self.last_key.as_ref().is_some_and(|before| *before >= key) {
                return Err(self.frames.damaged(frame.offset, "keys are out of order"));
            }
            count.records += 1;
            count.bytes += (key.len() + value.len()) as u64;
            self.last_key = Some(key.clone());
            block.records.push((key, value));
        }
        // A slice would keep the whole block alive until the next one.
        self.last_key = self.last_key.take().map(|key| Bytes::copy_from_slice(&key));
        Ok(block)
    }

    fn finish(self, frame: Frame) -> Result<Summary, Error> {
        let Reader { frames, header, counts, hash, .. } = self;
        match Footer::decode(frame.body) {
            Some(footer) if footer == (Footer { hash, families: counts.clone() }) => {}
            Some(_) => return Err(frames.damaged(frame.offset, "the footer counts other records than there are")),
            None => return Err(frames.damaged(frame.offset, "the footer is malformed")),
        }
        let (file_bytes, sha256) = frames.finish()?;
        Ok(Summary { header, families: counts, hash, file_bytes, sha256 })
    }
}

fn place(family: Family) -> usize {
    Family::ALL.into_iter().position(|other| other == family).expect("ALL holds every family")
}

fn split_record(rest: &mut Bytes) -> Option<(Bytes, Bytes)> {
    let key_bytes = rest.try_get_u32().ok()? as usize;
    let value_bytes = rest.try_get_u32().ok()? as usize;
    if rest.remaining() < key_bytes.checked_add(value_bytes)? {
        return None;
    }
    Some((rest.split_to(key_bytes), rest.split_to(value_bytes)))
}
