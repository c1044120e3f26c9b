//! Writing: from a frozen view of the state to a sink, in one pass, a block at a time.

use std::io::Write;
use std::ops::ControlFlow;

use bytes::BufMut;

use super::frame::{FrameWriter, Kind};
use super::header::Footer;
use super::{BLOCK_BYTES_TARGET, Error, FRAME_BYTES_MAX, FamilyCount, Header, Summary};
use crate::engine::{Direction, Family, Snapshot};

/// Bytes of a record beside its key and value: the two lengths.
pub(super) const RECORD_HEAD_BYTES: usize = 4 + 4;

/// Writes all families of `snapshot` to `out`, and flushes it. What `header` says must be of the same instant.
///
/// # Errors
/// [`Error::Write`] where `out` fails, [`Error::Engine`] where the state cannot be read, [`Error::RecordTooLarge`]. What has
/// been written by then does not verify.
pub fn write(snapshot: &dyn Snapshot, header: &Header, out: &mut impl Write) -> Result<Summary, Error> {
    let mut writer =
        Writer { frames: FrameWriter::new(out)?, block: Vec::with_capacity(2 * BLOCK_BYTES_TARGET), hash: 0 };
    writer.frames.frame(Kind::Header, &header.encode())?;
    let mut families = Vec::with_capacity(Family::ALL.len());
    for family in Family::ALL {
        families.push(writer.family(snapshot, family)?);
    }
    let Writer { mut frames, hash, .. } = writer;
    let footer = Footer { hash, families };
    frames.frame(Kind::Footer, &footer.encode())?;
    let (file_bytes, sha256) = frames.finish()?;
    Ok(Summary { header: header.clone(), families: footer.families, hash, file_bytes, sha256 })
}

struct Writer<W> {
    frames: FrameWriter<W>,
    /// The open block's body.
    block: Vec<u8>,
    hash: u32,
}

impl<W: Write> Writer<W> {
    fn family(&mut self, snapshot: &dyn Snapshot, family: Family) -> Result<FamilyCount, Error> {
        let name = family.name().as_bytes();
        self.frames.frame(Kind::Family, name)?;
        self.hash = crc32c::crc32c_append(self.hash, name);
        let mut count = FamilyCount { family, records: 0, bytes: 0 };
        let mut failed = None;
        snapshot.scan(family, b"", None, Direction::Ascending, &mut |key, value| match self
            .record(&mut count, key, value)
        {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.close_block()?;
        Ok(count)
    }

    fn record(&mut self, count: &mut FamilyCount, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let bytes = key.len() + value.len();
        if bytes > FRAME_BYTES_MAX - RECORD_HEAD_BYTES {
            return Err(Error::RecordTooLarge { family: count.family.name(), bytes });
        }
        if !self.block.is_empty() && self.block.len() + RECORD_HEAD_BYTES + bytes > BLOCK_BYTES_TARGET {
            self.close_block()?;
        }
        self.block.put_u32(u32::try_from(key.len()).expect("bounded above"));
        self.block.put_u32(u32::try_from(value.len()).expect("bounded above"));
        self.block.put_slice(key);
        self.block.put_slice(value);
        count.records += 1;
        count.bytes += bytes as u64;
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.hash = crc32c::crc32c_append(self.hash, &self.block);
        self.frames.frame(Kind::Records, &self.block)?;
        self.block.clear();
        self.block.shrink_to(2 * BLOCK_BYTES_TARGET);
        fail::fail_point!("snapshot_file::block_written");
        Ok(())
    }
}
