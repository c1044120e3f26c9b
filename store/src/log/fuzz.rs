//! Records and segments out of any bytes, for the fuzz targets.
//!
//! A segment is written from a script, with right checksums, then damaged, then opened:
//!
//! ```text
//! script = segments u8, piece*     piece = kind u8 | length u8 | body
//! ```
//! The kind's low bits are the record's, its high bits say whether the record has an id and where its `synced` and life stand.
//! Kind 15 ends the records; what follows is damage: offset u24, XOR u8.

use std::path::Path;
use std::sync::Arc;

use super::disk::{BLOCK_BYTES, Buffer, Disk, MemDisk};
use super::record::{self, Header, Kind, Position};
use super::segment::{self, Head};
use super::{Config, Error, LogId, Metrics, State, inspect, reader, recovery};

const SEGMENT_BYTES: usize = 16 * BLOCK_BYTES;
/// More segments would show nothing new.
const SEGMENTS_MAX: u64 = 3;

/// Any bytes as a record, at a place that the first of them choose.
pub(crate) fn fuzz_record(data: &[u8]) {
    let Some((place, input)) = data.split_first_chunk::<8>() else { return };
    let [segment, offset] =
        [&place[..4], &place[4..]].map(|n| u64::from(u32::from_le_bytes(n.try_into().expect("four bytes"))));
    let at = Position { segment, offset };
    let Ok(found) = record::decode(input, at) else { return };
    let mut again = Buffer::default();
    record::encode(found.header, found.payload, at, &mut again);
    let length = record::HEADER_BYTES + found.payload.len();
    assert_eq!(again.as_slice()[..length], input[..length], "a record comes back as it was");
}

/// A log folder out of a script: opening it refuses or serves what it says, and never panics.
pub(crate) fn fuzz_open(data: &[u8]) {
    let dir = Path::new("log");
    let disk = MemDisk::new(true);
    write(data, &disk, dir).expect("a disk without faults takes it");
    let inspected = inspect(&disk, dir);
    let config = Config { segment_bytes: SEGMENT_BYTES as u64, fatal: Arc::new(|_| {}), ..Config::default() };
    let opened = recovery::open(dir, Arc::new(disk.clone()), config, Metrics::default());
    let Ok((shared, _writer)) = opened else { return };
    assert!(inspected.is_ok(), "what can be opened can be inspected");
    let State { purged, last, .. } = shared.lock().state.clone();
    let first = purged.map_or(0, |id| id.index.saturating_add(1));
    // The writer never purges beyond the last entry without a reset; what a script says then is not worth a promise.
    let nonsense = purged.map(|id| id.index) > last.map(|id| id.index);
    match reader::read(&shared, first, u64::MAX, 1 << 20) {
        Ok(entries) => {
            assert!(nonsense || entries.iter().zip(first..).all(|(entry, index)| entry.id.index == index), "no hole");
        }
        Err(Error::Corrupt { .. } | Error::Purged { .. }) => {}
        Err(other) => panic!("reading an opened log: {other}"),
    }
}

fn write(data: &[u8], disk: &MemDisk, dir: &Path) -> std::io::Result<()> {
    let Some((segments, mut script)) = data.split_first() else { return Ok(()) };
    let mut contents = Vec::new();
    let (mut previous_end, mut last) = (0, None);
    for number in 1..=1 + u64::from(*segments) % SEGMENTS_MAX {
        let mut content = Buffer::default();
        let head = Head {
            segment_bytes: SEGMENT_BYTES as u64,
            first_segment: 1,
            previous_end,
            previous_first: None,
            state: State { last, ..State::default() },
        };
        head.encode(number, 1, &mut content);
        script = records(script, number, &mut last, &mut content);
        previous_end = content.len() as u64;
        contents.push((number, content));
    }
    for (number, mut content) in contents {
        content.resize(SEGMENT_BYTES);
        let bytes = content.as_mut_slice();
        for [a, b, c, xor] in script.as_chunks::<4>().0 {
            let at = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
            if at % 4 == number as usize {
                bytes[at % SEGMENT_BYTES] ^= xor;
            }
        }
        let file = disk.create(&dir.join(segment::name(number)), SEGMENT_BYTES as u64)?;
        file.write_at(content.as_slice(), 0)?;
        file.sync()?;
    }
    disk.sync_dir(dir)
}

/// Plays the script into one segment, and returns what is left of it.
fn records<'a>(mut script: &'a [u8], number: u64, last: &mut Option<LogId>, content: &mut Buffer) -> &'a [u8] {
    while let [control, length, rest @ ..] = script {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        script = rest;
        let Ok(kind) = Kind::try_from(control % 16) else { break };
        let offset = content.len();
        if offset + record::size(body.len()) > SEGMENT_BYTES {
            break;
        }
        let follows = LogId { term: 1, index: last.map_or(0, |id| id.index + 1) };
        let chosen = LogId { term: 1, index: body.first().map_or(0, |byte| u64::from(*byte)) };
        let id = match (kind, control >> 6) {
            (Kind::Entry, 0..3) => Some(follows),
            (_, 0) => None,
            _ => Some(chosen),
        };
        if kind == Kind::Entry {
            *last = id;
        }
        let synced = if control & 0x10 == 0 { 0 } else { offset as u64 };
        let header = Header { kind, id, life: 1 + u32::from(control >> 5 & 1), synced };
        record::encode(header, body, Position { segment: number, offset: offset as u64 }, content);
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_script_without_damage_makes_a_log_that_opens() {
        // Three entries, then the end of the records.
        let script = [0, 2, 3, b'a', b'b', b'c', 2, 0, 2, 1, b'd', 15, 0];
        let (dir, disk) = (Path::new("log"), MemDisk::new(true));
        write(&script, &disk, dir).expect("written");
        let inspected = inspect(&disk, dir).expect("sound").expect("there");
        assert_eq!(inspected.state.last, Some(LogId { term: 1, index: 2 }));
        fuzz_open(&script);
    }

    proptest! {
        #[test]
        fn any_script_is_opened_or_refused(script in proptest::collection::vec(prop_oneof![0_u8..16, any::<u8>()], 0..120)) {
            fuzz_open(&script);
            fuzz_record(&script);
        }
    }
}
