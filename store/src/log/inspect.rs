//! A whole look at a log that nobody has open: every record of every segment. Changes nothing.
//!
//! For `fairlead data verify`, for fuzzing, and for tests. Opening a log checks less: see `recovery`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::record::Kind;
use super::recovery::{self, clamp_committed};
use super::segment::{Met, PREAMBLE_BYTES, Scan};
use super::tail::next_index;
use super::{Entry, Error, LogId, State};

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its file.
    pub path: PathBuf,
    /// Good records.
    pub records: u64,
    /// Where the last one ends, in bytes.
    pub end: u64,
}

/// What [`inspect`] found.
#[derive(Debug)]
pub struct Inspection {
    /// The segments that count, oldest first.
    pub segments: Vec<SegmentReport>,
    /// How the log would stand if it were opened.
    pub state: State,
    /// Damage in older segments, which opening does not see; the first of each segment.
    pub damage: Vec<Error>,
}

/// Checks every record of the log in `dir`. `None`: there is no log.
///
/// # Errors
/// Those of [`super::Log::open`]: such a log would not open.
pub fn inspect(disk: &dyn Disk, dir: &Path) -> Result<Option<Inspection>, Error> {
    let names = disk.list(dir).map_err(Error::io("list", dir))?;
    let Some(found) = recovery::read(disk, dir, &names)? else { return Ok(None) };
    let mut inspection = Inspection { segments: Vec::new(), state: found.replay.state.clone(), damage: Vec::new() };
    clamp_committed(&mut inspection.state);
    for segment in &found.segments {
        let Some(end) = segment.end.get().copied() else {
            let (path, records) = (segment.path.clone(), found.replay.records);
            inspection.segments.push(SegmentReport { path, records, end: found.end });
            continue;
        };
        let mut scan = Scan::new(Arc::clone(segment), PREAMBLE_BYTES as u64, end);
        let mut records = 0;
        while scan.offset() < end {
            let offset = scan.offset();
            match scan.next() {
                Ok(Ok(_)) => records += 1,
                Ok(Err(flaw)) => {
                    let (path, reason) = (segment.path.clone(), flaw.to_string());
                    inspection.damage.push(Error::Corrupt { path, offset, reason });
                    break;
                }
                Err(error) => {
                    inspection.damage.push(error);
                    break;
                }
            }
        }
        inspection.segments.push(SegmentReport { path: segment.path.clone(), records, end: scan.offset() });
    }
    Ok(Some(inspection))
}

/// Every committed entry that the log in `dir` still has on disk, those among them that have been purged: a purge gives
/// back whole segments only. `None`: there is no log.
///
/// For whoever compares what members have agreed on. Entries are in order; there may be holes where a snapshot came in.
///
/// # Errors
/// Those of [`super::Log::open`], and damage anywhere in it.
pub fn committed(disk: &dyn Disk, dir: &Path) -> Result<Option<Vec<Entry>>, Error> {
    let names = disk.list(dir).map_err(Error::io("list", dir))?;
    let Some(found) = recovery::read(disk, dir, &names)? else { return Ok(None) };
    let mut kept = Kept::default();
    for segment in &found.segments {
        let end = segment.end.get().copied().unwrap_or(found.end);
        let mut scan = Scan::new(Arc::clone(segment), PREAMBLE_BYTES as u64, end);
        while scan.offset() < end {
            let offset = scan.offset();
            match scan.next()? {
                Ok(met) => kept.meet(&met),
                Err(flaw) => {
                    return Err(Error::Corrupt { path: segment.path.clone(), offset, reason: flaw.to_string() });
                }
            }
        }
    }
    Ok(Some(kept.committed_only()))
}

/// Entries as records follow each other.
#[derive(Default)]
struct Kept {
    entries: BTreeMap<u64, Entry>,
    committed: Option<LogId>,
}

impl Kept {
    fn meet(&mut self, met: &Met) {
        let (id, payload) = (met.header.id, &met.payload);
        match (met.header.kind, id) {
            (Kind::Entry, Some(id)) => {
                self.entries.insert(id.index, Entry { id, payload: payload.clone() });
            }
            (Kind::Committed, id) => self.committed = self.committed.max(id),
            (Kind::Truncate, kept) => drop(self.entries.split_off(&next_index(kept))),
            // What a snapshot took the place of may never have been committed.
            (Kind::Reset, id) => {
                drop(self.entries.split_off(&next_index(self.committed)));
                self.committed = self.committed.max(id);
            }
            _ => {}
        }
    }

    fn committed_only(mut self) -> Vec<Entry> {
        drop(self.entries.split_off(&next_index(self.committed)));
        self.entries.into_values().collect()
    }
}
