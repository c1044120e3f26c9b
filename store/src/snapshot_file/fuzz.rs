//! Writes a snapshot file from a script of any bytes, damages it, and reads it.
//!
//! ```text
//! script = piece*     piece = kind u8 | length u8 | body
//! ```
//! Kinds 1 to 4 are frames. Kind 5 is a record of keys and values cut from the body, kind 6 a family by its number: so that
//! sound files are common. Kind 0 ends the file early, and what follows is XORed into it.

use bytes::Bytes;

use super::frame::{FrameWriter, Kind};
use super::{Error, Reader};
use crate::engine::Family;

/// Reads `data` as a file, and then the file that it describes.
pub(crate) fn fuzz(data: &[u8]) {
    read(data);
    let mut file = Vec::new();
    let damage = play(data, &mut file).expect("a vector takes everything");
    for (at, byte) in
        damage.chunks_exact(3).map(|piece| (usize::from(u16::from_be_bytes([piece[0], piece[1]])), piece[2]))
    {
        let bytes = file.len();
        file[at % bytes] ^= byte;
    }
    read(&file);
}

fn read(file: &[u8]) {
    let Ok(reader) = Reader::new("fuzz".into(), file) else { return };
    let mut last: Option<(Family, Bytes)> = None;
    let mut records = 0;
    let read = reader.drain(|block| {
        for (key, _) in block.records {
            let here = (block.family, key);
            assert!(last.as_ref().is_none_or(|last| *last < here), "records ascend");
            last = Some(here);
            records += 1;
        }
        Ok(())
    });
    if let Ok(summary) = read {
        assert_eq!((summary.records(), summary.file_bytes), (records, file.len() as u64), "a sound file counts right");
    }
}

fn play<'a>(mut script: &'a [u8], file: &mut Vec<u8>) -> Result<&'a [u8], Error> {
    let mut frames = FrameWriter::new(file)?;
    while let [kind, length, rest @ ..] = script {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        script = rest;
        match kind % 7 {
            0 => break,
            1 => frames.frame(Kind::Header, body)?,
            2 => frames.frame(Kind::Family, body)?,
            3 => frames.frame(Kind::Records, body)?,
            4 => frames.frame(Kind::Footer, body)?,
            5 => frames.frame(Kind::Records, &record(body))?,
            _ => frames.frame(Kind::Family, Family::ALL[body.len() % Family::ALL.len()].name().as_bytes())?,
        }
    }
    frames.finish()?;
    Ok(script)
}

fn record(body: &[u8]) -> Vec<u8> {
    let (key, value) = body.split_at(body.len() / 2);
    [&(key.len() as u32).to_be_bytes()[..], &(value.len() as u32).to_be_bytes(), key, value].concat()
}
