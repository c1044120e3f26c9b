//! The record codec: the smallest thing that the log writes.
//!
//! ```text
//!  0  header checksum   u32   CRC32C over bytes 4..48, then segment number and offset (both u64)
//!  4  payload checksum  u32   CRC32C over the payload
//!  8  payload length    u32
//! 12  kind              u8
//! 13  has an id         u8    0 or 1
//! 14  zero              u16
//! 16  life              u32   how often the log had been opened when this was written
//! 20  zero              u32
//! 24  synced            u64   every byte of this segment below it was durable when this was written
//! 32  id: term, index   2 u64 zero without an id
//! 48  payload, then zero bytes up to a multiple of eight
//! ```
//!
//! All numbers are little-endian. The checksum covers where the record stands, so a record of a recycled segment's earlier
//! use never passes; and the life, so a record that was cut off as a torn tail never comes back behind newer ones.
//! Promises: [`decode`] accepts what [`encode`] wrote and nothing that differs in a bit, and never panics on any bytes.
//! Does not: know what a payload means, or files.

use super::LogId;
use super::disk::Buffer;

/// Size of a record without its payload.
pub const HEADER_BYTES: usize = 48;
/// Records begin at multiples of this.
pub const ALIGNMENT_BYTES: usize = 8;
/// The largest payload that a record can hold.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// First of a segment: the state at its beginning (payload: `segment::Head`).
    Head = 1,
    /// A log entry (id, payload).
    Entry = 2,
    /// The vote (payload).
    Vote = 3,
    /// Everything up to the id is committed.
    Committed = 4,
    /// Entries after the id are gone; without one, all not purged are.
    Truncate = 5,
    /// Entries up to the id are gone from the front (payload: first segment still needed, u64).
    Purge = 6,
    /// All entries are gone and the log stands at the id (payload as for `Purge`).
    Reset = 7,
    /// Nothing but the `synced` that each record carries.
    Mark = 8,
    /// The log was opened again here; what follows has this record's life, which is one above that of what precedes.
    Life = 9,
    /// Last of a segment whose successor is durable: without it, a successor that is not there was never made.
    Seal = 10,
}

/// Where a record stands; part of its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// Bytes from the segment's beginning.
    pub offset: u64,
}

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it says.
    pub kind: Kind,
    /// About which entry.
    pub id: Option<LogId>,
    /// How often the log had been opened when it was written.
    pub life: u32,
    /// Every byte of this segment below it was durable when this was written.
    pub synced: u64,
}

/// What [`decode`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The record.
    pub header: Header,
    /// Its payload.
    pub payload: &'a [u8],
    /// Bytes from its beginning to the next record's.
    pub size: usize,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// More bytes are needed to tell.
    #[error("the record ends after {needed} bytes, which the file does not have")]
    Short {
        /// Bytes from the record's beginning.
        needed: usize,
    },
    /// The header is not what was written for this place.
    #[error("the record's header does not match its checksum")]
    Header,
    /// The header is right and the payload is not.
    #[error("the record's payload does not match its checksum")]
    Payload,
}

/// Bytes that a record with such a payload takes.
#[must_use]
pub fn size(payload: usize) -> usize {
    (HEADER_BYTES + payload).next_multiple_of(ALIGNMENT_BYTES)
}

/// Appends a record that will stand at `at`.
///
/// # Panics
/// If `payload` exceeds [`PAYLOAD_BYTES_MAX`]: the caller has checked.
pub fn encode(header: Header, payload: &[u8], at: Position, to: &mut Buffer) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "the payload's size was checked where it came in");
    let mut bytes = [0; HEADER_BYTES];
    bytes[4..8].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let length = u32::try_from(payload.len()).expect("below the bound, which fits");
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes[12] = header.kind as u8;
    bytes[16..20].copy_from_slice(&header.life.to_le_bytes());
    bytes[24..32].copy_from_slice(&header.synced.to_le_bytes());
    if let Some(id) = header.id {
        bytes[13] = 1;
        bytes[32..40].copy_from_slice(&id.term.to_le_bytes());
        bytes[40..48].copy_from_slice(&id.index.to_le_bytes());
    }
    let checksum = header_checksum(&bytes, at);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    to.extend(&bytes);
    to.extend(payload);
    to.resize(to.len() + size(payload.len()) - HEADER_BYTES - payload.len());
}

/// Reads the record that stands at `at` from `input`, which begins there.
///
/// # Errors
/// [`Flaw::Short`] where more of the file may tell; the others are final.
pub fn decode(input: &[u8], at: Position) -> Result<Decoded<'_>, Flaw> {
    let (header, length, payload_checksum) = decode_header(input, at)?;
    let end = HEADER_BYTES + length;
    let payload = input.get(HEADER_BYTES..end).ok_or(Flaw::Short { needed: end })?;
    if crc32c::crc32c(payload) != payload_checksum {
        return Err(Flaw::Payload);
    }
    Ok(Decoded { header, payload, size: size(length) })
}

/// Reads the header alone.
///
/// # Errors
/// As [`decode`].
pub fn peek(input: &[u8], at: Position) -> Result<Header, Flaw> {
    decode_header(input, at).map(|(header, ..)| header)
}

fn decode_header(input: &[u8], at: Position) -> Result<(Header, usize, u32), Flaw> {
    let bytes: &[u8; HEADER_BYTES] = input.first_chunk().ok_or(Flaw::Short { needed: HEADER_BYTES })?;
    // The cheap questions first: recovery asks at each multiple of eight of what may be a torn tail.
    let kind = Kind::try_from(bytes[12])?;
    if bytes[13] > 1 || bytes[14..16] != [0; 2] || bytes[20..24] != [0; 4] {
        return Err(Flaw::Header);
    }
    if u32_at(bytes, 0) != header_checksum(bytes, at) {
        return Err(Flaw::Header);
    }
    let length = u32_at(bytes, 8) as usize;
    let synced = u64_at(bytes, 24);
    if length > PAYLOAD_BYTES_MAX || synced > at.offset {
        return Err(Flaw::Header);
    }
    let id = (bytes[13] == 1).then(|| LogId { term: u64_at(bytes, 32), index: u64_at(bytes, 40) });
    if id.is_none() && bytes[32..48] != [0; 16] {
        return Err(Flaw::Header);
    }
    Ok((Header { kind, id, life: u32_at(bytes, 16), synced }, length, u32_at(bytes, 4)))
}

impl TryFrom<u8> for Kind {
    type Error = Flaw;

    fn try_from(byte: u8) -> Result<Self, Flaw> {
        Ok(match byte {
            1 => Kind::Head,
            2 => Kind::Entry,
            3 => Kind::Vote,
            4 => Kind::Committed,
            5 => Kind::Truncate,
            6 => Kind::Purge,
            7 => Kind::Reset,
            8 => Kind::Mark,
            9 => Kind::Life,
            10 => Kind::Seal,
            _ => return Err(Flaw::Header),
        })
    }
}

fn header_checksum(bytes: &[u8; HEADER_BYTES], at: Position) -> u32 {
    let checksum = crc32c::crc32c(&bytes[4..]);
    let checksum = crc32c::crc32c_append(checksum, &at.segment.to_le_bytes());
    crc32c::crc32c_append(checksum, &at.offset.to_le_bytes())
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Position = Position { segment: 7, offset: 4104 };

    fn header() -> Header {
        Header { kind: Kind::Entry, id: Some(LogId { term: 3, index: 9 }), life: 2, synced: 4096 }
    }

    fn encoded(payload: &[u8]) -> Vec<u8> {
        let mut buffer = Buffer::default();
        encode(header(), payload, AT, &mut buffer);
        buffer.as_slice().to_vec()
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for length in [0, 1, 7, 8, 9, 5000] {
            let payload = vec![0xEE; length];
            let bytes = encoded(&payload);
            assert_eq!(bytes.len(), size(length));
            let decoded = decode(&bytes, AT).unwrap();
            assert_eq!((decoded.header, decoded.payload, decoded.size), (header(), &payload[..], size(length)));
        }
    }

    #[test]
    fn a_record_at_another_place_is_refused() {
        let bytes = encoded(b"payload");
        assert_eq!(decode(&bytes, Position { segment: 8, ..AT }), Err(Flaw::Header));
        assert_eq!(decode(&bytes, Position { offset: AT.offset + 8, ..AT }), Err(Flaw::Header));
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let payload = b"fourteen bytes";
        let bytes = encoded(payload);
        for bit in 0..(HEADER_BYTES + payload.len()) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, AT).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn zero_bytes_are_no_record() {
        assert_eq!(decode(&[0; 64], AT), Err(Flaw::Header));
        assert_eq!(decode(&[], AT), Err(Flaw::Short { needed: HEADER_BYTES }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), segment: u64, offset: u64) {
            let at = Position { segment, offset };
            prop_assert!(decode(&bytes, at).is_err());
        }

        #[test]
        fn a_cut_record_asks_for_more(cut in 0..HEADER_BYTES + 20) {
            let bytes = encoded(&[7; 20]);
            let asks_for_more = matches!(decode(&bytes[..cut], AT), Err(Flaw::Short { needed }) if needed > cut);
            prop_assert!(asks_for_more);
        }
    }
}
