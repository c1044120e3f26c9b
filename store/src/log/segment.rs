//! One file of the log: its name, its first block, and a walk over its records.
//!
//! ```text
//!   0  magic "FLRAFTLG"     8 bytes
//!   8  format version       u32
//!  12  CRC32C of the above  u32
//!  16  records (`record`), the first one a `Head`
//! ```
//!
//! A segment `<number as 16 hex digits>.log` gets its name only when its head is durable, and only when everything in its
//! predecessor is. So below the newest segment nothing is ever torn, and a named segment without a head is damaged.
//! The head repeats vote, committed mark, purge and truncation state, so that older segments can go: nothing in them is needed
//! but their entries. Files named `*.new` and `*.free` hold nothing: one being made, and ones to be used again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::disk::{BLOCK_BYTES, Buffer, File};
use super::error::Error;
use super::index::Point;
use super::record::{self, ALIGNMENT_BYTES, Flaw, HEADER_BYTES, Header, Kind, Position};
use super::{LogId, State};

const MAGIC: &[u8; 8] = b"FLRAFTLG";
/// The newest format version; a newer one is refused.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Where the first record stands.
pub(super) const PREAMBLE_BYTES: usize = 16;
/// The largest vote. With it the head still fits the first block.
pub(super) const VOTE_BYTES_MAX: usize = 2048;
/// How much a walk reads at a time.
const CHUNK_BYTES: usize = 128 << 10;

/// A segment in use.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    /// Allocated bytes.
    pub(super) bytes: u64,
    /// Set when the next segment takes over.
    pub(super) end: OnceLock<u64>,
    /// Where its entries stand; for a sealed segment of an earlier run set by the first read.
    pub(super) points: OnceLock<Vec<Point>>,
}

/// The name of segment `number`.
pub(super) fn name(number: u64) -> String {
    format!("{number:016x}.log")
}

/// The name under which segment `number` is made.
pub(super) fn new_name(number: u64) -> String {
    format!("{number:016x}.new")
}

/// The name of what was segment `number`, to be used again.
pub(super) fn free_name(number: u64) -> String {
    format!("{number:016x}.free")
}

/// What a name in the log's folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Segment(u64),
    Spare,
    Unknown,
}

/// Reads a name.
pub(super) fn parse_name(name: &str) -> Named {
    let number = |digits: &str| (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten();
    match name.split_once('.') {
        Some((digits, "log")) => number(digits).map_or(Named::Unknown, Named::Segment),
        Some((digits, "new" | "free")) if number(digits).is_some() => Named::Spare,
        _ => Named::Unknown,
    }
}

/// The first record of a segment: how things stood when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Allocated bytes of this file; a shorter one has been cut.
    pub(super) segment_bytes: u64,
    /// The oldest segment still needed.
    pub(super) first_segment: u64,
    /// Where the previous segment's last record ends; 0 in the very first one.
    pub(super) previous_end: u64,
    /// The lowest index that stands in the previous segment and was not truncated since.
    pub(super) previous_first: Option<u64>,
    /// Purge, truncation, committed mark and vote.
    pub(super) state: State,
}

impl Head {
    /// The preamble and the head record, as they stand in the file.
    pub(super) fn encode(&self, number: u64, life: u32, to: &mut Buffer) {
        let mut preamble = [0; PREAMBLE_BYTES];
        preamble[..8].copy_from_slice(MAGIC);
        preamble[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let checksum = crc32c::crc32c(&preamble[..12]);
        preamble[12..].copy_from_slice(&checksum.to_le_bytes());
        to.extend(&preamble);
        let header = Header { kind: Kind::Head, id: None, life, synced: 0 };
        record::encode(header, &self.payload(), Position { segment: number, offset: PREAMBLE_BYTES as u64 }, to);
    }

    /// Reads the head of segment `number`: it, its life, and where the next record stands.
    pub(super) fn read(file: &dyn File, path: &Path, number: u64) -> Result<(Head, u32, u64), Error> {
        let block = file.read_at(0, BLOCK_BYTES).map_err(Error::io("read", path))?;
        let corrupt =
            |offset: usize, reason: String| Error::Corrupt { path: path.to_path_buf(), offset: offset as u64, reason };
        let Some(preamble) = block.first_chunk::<PREAMBLE_BYTES>() else {
            return Err(corrupt(block.len(), "the file ends before the segment's head".into()));
        };
        let (said, checksum) = preamble.split_at(12);
        if crc32c::crc32c(said).to_le_bytes() != checksum {
            return Err(if said.starts_with(MAGIC) {
                corrupt(0, "the segment's first bytes do not match their checksum".into())
            } else if block.iter().all(|byte| *byte == 0) {
                corrupt(0, "the segment's head is empty".into())
            } else {
                Error::Foreign { path: path.to_path_buf() }
            });
        }
        let found = u32::from_le_bytes(said[8..].try_into().expect("four bytes"));
        if !said.starts_with(MAGIC) {
            return Err(Error::Foreign { path: path.to_path_buf() });
        }
        if found > FORMAT_VERSION {
            return Err(Error::NewerFormat { path: path.to_path_buf(), found, supported: FORMAT_VERSION });
        }
        let at = Position { segment: number, offset: PREAMBLE_BYTES as u64 };
        let decoded = record::decode(&block[PREAMBLE_BYTES..], at)
            .map_err(|flaw| corrupt(PREAMBLE_BYTES, format!("segment {number:016x} has no head: {flaw}")))?;
        let head = (decoded.header.kind == Kind::Head).then(|| Head::from_payload(decoded.payload)).flatten();
        let head = head.ok_or_else(|| corrupt(PREAMBLE_BYTES, "the segment's head makes no sense".into()))?;
        let size = file.size().map_err(Error::io("look at", path))?;
        if size < head.segment_bytes {
            let reason = format!("the file has been cut: it was made with {} bytes", head.segment_bytes);
            return Err(Error::Corrupt { path: path.to_path_buf(), offset: size, reason });
        }
        Ok((head, decoded.header.life, (PREAMBLE_BYTES + decoded.size) as u64))
    }

    fn payload(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        let mut number = |value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        number(self.segment_bytes);
        number(self.first_segment);
        number(self.previous_end);
        for value in [self.previous_first.map(|index| LogId { term: 0, index }), self.state.purged, self.state.last] {
            put_id(value, &mut number);
        }
        put_id(self.state.committed, &mut number);
        number(u64::from(self.state.vote.is_some()));
        bytes.extend_from_slice(self.state.vote.as_deref().unwrap_or_default());
        bytes
    }

    fn from_payload(payload: &[u8]) -> Option<Head> {
        let mut rest = payload;
        let mut number = || {
            let (value, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(u64::from_le_bytes(*value))
        };
        let (segment_bytes, first_segment, previous_end) = (number()?, number()?, number()?);
        let previous_first = take_id(&mut number)?.map(|id| id.index);
        let (purged, last, committed) = (take_id(&mut number)?, take_id(&mut number)?, take_id(&mut number)?);
        let vote = (number()? == 1).then(|| Bytes::copy_from_slice(rest));
        let state = State { purged, last, committed, vote };
        Some(Head { segment_bytes, first_segment, previous_end, previous_first, state })
    }
}

fn put_id(id: Option<LogId>, number: &mut impl FnMut(u64)) {
    number(u64::from(id.is_some()));
    number(id.map_or(0, |id| id.term));
    number(id.map_or(0, |id| id.index));
}

fn take_id(number: &mut impl FnMut() -> Option<u64>) -> Option<Option<LogId>> {
    let (some, term, index) = (number()?, number()?, number()?);
    Some((some == 1).then_some(LogId { term, index }))
}

/// A record met on a walk. The payload shares the memory of what was read.
#[derive(Clone, Debug)]
pub(super) struct Met {
    pub(super) offset: u64,
    pub(super) header: Header,
    pub(super) payload: Bytes,
}

/// A walk over a segment's records. Memory: a chunk, or the largest record.
pub(super) struct Scan {
    segment: Arc<Segment>,
    /// Where the next record stands.
    offset: u64,
    /// Where the records end, as far as is known.
    limit: u64,
    chunk: Bytes,
    chunk_at: u64,
}

impl Scan {
    /// From the record at `offset` on, up to `limit`. Nothing behind the limit is kept, so what is written there later is seen
    /// once the limit is moved.
    pub(super) fn new(segment: Arc<Segment>, offset: u64, limit: u64) -> Self {
        Self { segment, offset, limit, chunk: Bytes::new(), chunk_at: offset }
    }

    /// More has been written.
    pub(super) fn extend(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Goes back to a record met.
    pub(super) fn back_to(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// What it walks over.
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where the next record stands.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, or why there is none.
    pub(super) fn next(&mut self) -> Result<Result<Met, Flaw>, Error> {
        let mut wanted = HEADER_BYTES;
        loop {
            if self.offset + wanted as u64 > self.limit {
                return Ok(Err(Flaw::Short { needed: wanted }));
            }
            self.load(wanted)?;
            let from = usize::try_from(self.offset - self.chunk_at).expect("inside the chunk");
            let at = Position { segment: self.segment.number, offset: self.offset };
            match record::decode(&self.chunk[from..], at) {
                Ok(decoded) => {
                    let payload_from = from + HEADER_BYTES;
                    let payload = self.chunk.slice(payload_from..payload_from + decoded.payload.len());
                    let met = Met { offset: self.offset, header: decoded.header, payload };
                    self.offset += decoded.size as u64;
                    return Ok(Ok(met));
                }
                Err(Flaw::Short { needed }) if needed > wanted => wanted = needed,
                Err(flaw) => return Ok(Err(flaw)),
            }
        }
    }

    /// Looks for proof that the bad record here was durable once: a later header, written in the same life or a later
    /// one, that says so. Returns where it stands.
    pub(super) fn find_proof_of_sync(&mut self, life: u32) -> Result<Option<u64>, Error> {
        let bad = self.offset;
        loop {
            self.offset += ALIGNMENT_BYTES as u64;
            if self.offset + HEADER_BYTES as u64 > self.limit {
                self.offset = bad;
                return Ok(None);
            }
            self.load(HEADER_BYTES)?;
            let from = usize::try_from(self.offset - self.chunk_at).expect("inside the chunk");
            let at = Position { segment: self.segment.number, offset: self.offset };
            if let Ok(header) = record::peek(&self.chunk[from..], at)
                && header.life >= life
                && header.synced > bad
            {
                let proof = self.offset;
                self.offset = bad;
                return Ok(Some(proof));
            }
        }
    }

    /// Makes `bytes` bytes from `offset` on present in the chunk.
    fn load(&mut self, bytes: usize) -> Result<(), Error> {
        let chunk_end = self.chunk_at + self.chunk.len() as u64;
        if self.chunk_at <= self.offset && self.offset + bytes as u64 <= chunk_end {
            return Ok(());
        }
        let from = self.offset - self.offset % BLOCK_BYTES as u64;
        let wanted = usize::try_from(self.offset - from).expect("less than a block") + bytes;
        let left = usize::try_from(self.limit - from).expect("a segment fits memory");
        let chunk = self.segment.file.read_at(from, wanted.max(CHUNK_BYTES).min(left));
        self.chunk = chunk.map_err(Error::io("read", &self.segment.path))?;
        self.chunk_at = from;
        if self.chunk.len() < wanted {
            let reason = "the file ends early".to_owned();
            let offset = from + self.chunk.len() as u64;
            return Err(Error::Corrupt { path: self.segment.path.clone(), offset, reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_made() {
        assert_eq!(parse_name(&name(0xAB)), Named::Segment(0xAB));
        assert_eq!(parse_name(&new_name(3)), Named::Spare);
        assert_eq!(parse_name(&free_name(u64::MAX)), Named::Spare);
        for other in ["LOCK", "1.log", "000000000000000g.log", "+00000000000000a.log.log", "0000000000000001.wal"] {
            assert_eq!(parse_name(other), Named::Unknown, "{other}");
        }
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let id = |index| Some(LogId { term: 4, index });
        let full = State { purged: id(1), last: id(9), committed: id(5), vote: Some(Bytes::from_static(b"vote")) };
        let empty_vote = State { vote: Some(Bytes::new()), ..State::default() };
        for (state, previous_first) in [(full, Some(2)), (State::default(), None), (empty_vote, Some(0))] {
            let head = Head { segment_bytes: 4096, first_segment: 3, previous_end: 88, previous_first, state };
            assert_eq!(Head::from_payload(&head.payload()), Some(head));
        }
    }

    #[test]
    fn the_largest_head_fits_the_first_block() {
        let id = Some(LogId { term: u64::MAX, index: u64::MAX });
        let vote = Some(Bytes::from(vec![0; VOTE_BYTES_MAX]));
        let state = State { purged: id, last: id, committed: id, vote };
        let head = Head { segment_bytes: 1, first_segment: 1, previous_end: 1, previous_first: Some(1), state };
        let mut buffer = Buffer::default();
        head.encode(1, 1, &mut buffer);
        assert!(buffer.len() <= BLOCK_BYTES);
    }
}
