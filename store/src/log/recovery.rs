//! Opening a log: what is there, what of it counts, and where writing goes on.
//!
//! Work at start is bounded by one segment, whatever the log's length: the newest segment is read whole, of the others only the head.
//! A record that does not check out ends the log if nothing proves that it was ever durable: it is a torn tail, and is cut by
//! beginning a new life there. If a later record says that it was durable, or a segment is missing or shorter than it was made,
//! the log is damaged and is refused.
//! Does not: check older segments (each read does), or repair anything. [`read`] changes nothing on disk.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::disk::{BLOCK_BYTES, Buffer, Disk};
use super::index::{Points, Table};
use super::record::{Flaw, Kind};
use super::segment::{self, Head, Met, Named, Scan, Segment};
use super::tail::{Shared, next_index};
use super::writer::{Cursor, Spare, Writer, start_segment};
use super::{Config, Error, Metrics, State};

/// What a log's folder holds.
pub(super) struct Found {
    /// Those that count, oldest first.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// (first index, segment) as of when each was sealed.
    firsts: Vec<(u64, u64)>,
    pub(super) replay: Replay,
    /// Where the newest segment's last good record ends.
    pub(super) end: u64,
    /// Older segments that no longer count, and spares.
    superfluous: Vec<String>,
}

/// The newest segment, record by record.
pub(super) struct Replay {
    pub(super) state: State,
    pub(super) first_segment: u64,
    pub(super) life: u32,
    /// The highest mark met.
    pub(super) synced: u64,
    pub(super) records: u64,
    points: Points,
    is_sealed: bool,
}

/// Opens the log in `dir`, making one where there is none.
pub(super) fn open(
    dir: &Path,
    disk: Arc<dyn Disk>,
    config: Config,
    metrics: Metrics,
) -> Result<(Arc<Shared>, Writer), Error> {
    let names = disk.list(dir).map_err(Error::io("list", dir))?;
    let found = match read(&*disk, dir, &names)? {
        Some(found) => found,
        None => return create(dir, disk, config, metrics, &names),
    };
    // What a killed process renamed may not be durable yet, and what follows builds on it.
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    let spares = collect_spares(&*disk, dir, &config, &found.superfluous)?;
    let segment = Arc::clone(found.segments.back().expect("one was found"));
    let cursor = cursor_at(&segment, found.end, found.replay.synced)?;
    let Replay { mut state, first_segment, life, points, .. } = found.replay;
    let mut table = Table::restore(found.segments, found.firsts, points, found.end);
    table.truncate(next_index(state.last));
    clamp_committed(&mut state);
    if next_index(state.last) > next_index(state.purged)
        && table.first().is_none_or(|first| first > next_index(state.purged))
    {
        return Err(Error::Missing { path: dir.join(segment::name(table.first_segment().saturating_sub(1))) });
    }
    let shared = Arc::new(Shared::new(state.clone(), table, config.log_cache_bytes_max));
    let life = life + 1;
    let placed = Vec::new();
    let mut writer = Writer {
        disk,
        dir: dir.to_path_buf(),
        config,
        metrics,
        shared: Arc::clone(&shared),
        state,
        first_segment,
        segment,
        life,
        cursor,
        spares,
        placed,
    };
    writer.begin_life()?;
    Ok((shared, writer))
}

/// Reads a log without changing it; `None` where there is none.
pub(super) fn read(disk: &dyn Disk, dir: &Path, names: &[String]) -> Result<Option<Found>, Error> {
    let mut numbers = BTreeSet::new();
    let mut superfluous = Vec::new();
    for name in names {
        match segment::parse_name(name) {
            Named::Segment(number) => drop(numbers.insert(number)),
            Named::Spare => superfluous.push(name.clone()),
            Named::Unknown => {
                tracing::warn!(name, dir = %dir.display(), "a file that is not the raft log's; left alone")
            }
        }
    }
    let Some(newest) = numbers.last().copied() else { return Ok(None) };
    let (segment, head, life, from) = open_segment(disk, dir, newest)?;
    let mut replay = Replay::new(&head, life);
    let end = replay.run(&segment, from)?;
    if replay.is_sealed {
        return Err(Error::Missing { path: dir.join(segment::name(newest + 1)) });
    }
    superfluous.extend(numbers.range(..replay.first_segment).map(|number| segment::name(*number)));
    let mut firsts: Vec<_> = replay.points.first().map(|first| (first, newest)).into_iter().collect();
    let mut segments = VecDeque::from([segment]);
    let mut successor = head;
    for number in (replay.first_segment..newest).rev() {
        if !numbers.contains(&number) {
            return Err(Error::Missing { path: dir.join(segment::name(number)) });
        }
        let (segment, head, ..) = open_segment(disk, dir, number)?;
        if segment.end.set(successor.previous_end).is_err() || successor.previous_end > segment.bytes {
            let reason = "its successor says that it ends behind its end".to_owned();
            return Err(Error::Corrupt { path: segment.path.clone(), offset: successor.previous_end, reason });
        }
        firsts.extend(successor.previous_first.map(|first| (first, number)));
        segments.push_front(segment);
        successor = head;
    }
    firsts.reverse();
    Ok(Some(Found { segments, firsts, replay, end, superfluous }))
}

impl Replay {
    fn new(head: &Head, life: u32) -> Self {
        let (state, first_segment) = (head.state.clone(), head.first_segment);
        Self { state, first_segment, life, synced: 0, records: 1, points: Points::default(), is_sealed: false }
    }

    /// Walks from `from` to the last good record's end.
    fn run(&mut self, segment: &Arc<Segment>, from: u64) -> Result<u64, Error> {
        let mut scan = Scan::new(Arc::clone(segment), from, segment.bytes);
        loop {
            let at = scan.offset();
            let flaw = match scan.next()? {
                Ok(met) if self.belongs(&met) => {
                    self.apply(&met).map_err(|reason| damaged(segment, at, reason))?;
                    if self.is_sealed {
                        return Ok(at);
                    }
                    continue;
                }
                Ok(_) => Flaw::Header,
                Err(flaw) => flaw,
            };
            let mut rest = Scan::new(Arc::clone(segment), at, segment.bytes);
            if let Some(proof) = rest.find_proof_of_sync(self.life)? {
                return Err(damaged(segment, at, format!("{flaw}; the record at {proof} says that it was durable")));
            }
            return Ok(at);
        }
    }

    /// Whether a good record was written after what precedes it, and is not a remnant of a tail cut earlier.
    fn belongs(&self, met: &Met) -> bool {
        if met.header.kind == Kind::Life { met.header.life > self.life } else { met.header.life == self.life }
    }

    fn apply(&mut self, met: &Met) -> Result<(), String> {
        self.records += 1;
        self.synced = self.synced.max(met.header.synced);
        self.points.record(met);
        let id = met.header.id;
        match met.header.kind {
            Kind::Head => return Err("a second head".into()),
            Kind::Entry => {
                let (expected, found) = (next_index(self.state.last), id.map(|id| id.index));
                if found != Some(expected) {
                    return Err(format!("entry {found:?} stands where {expected} should"));
                }
                self.state.last = id;
            }
            Kind::Vote => self.state.vote = Some(Bytes::copy_from_slice(&met.payload)),
            Kind::Committed => self.state.committed = id,
            Kind::Truncate => self.state.last = id,
            Kind::Purge | Kind::Reset => {
                let first = met.payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                let first = first.ok_or("a purge without a segment")?;
                self.first_segment = self.first_segment.max(first);
                self.state.purged = id;
                if met.header.kind == Kind::Reset {
                    self.state.last = id;
                }
            }
            Kind::Mark => {}
            Kind::Life => self.life = met.header.life,
            Kind::Seal => self.is_sealed = true,
        }
        Ok(())
    }
}

/// The mark may be older than a crash that took entries away: what is not there is not known to be committed.
pub(super) fn clamp_committed(state: &mut State) {
    if next_index(state.committed) > next_index(state.last) {
        state.committed = state.last;
    }
}

fn damaged(segment: &Segment, offset: u64, reason: String) -> Error {
    Error::Corrupt { path: segment.path.clone(), offset, reason }
}

fn open_segment(disk: &dyn Disk, dir: &Path, number: u64) -> Result<(Arc<Segment>, Head, u32, u64), Error> {
    let path = dir.join(segment::name(number));
    let file = disk.open(&path).map_err(Error::io("open", &path))?;
    let (head, life, from) = Head::read(&*file, &path, number)?;
    let bytes = head.segment_bytes;
    let segment = Segment { number, path, file, bytes, end: OnceLock::new(), points: OnceLock::new() };
    Ok((Arc::new(segment), head, life, from))
}

/// The first segment of a new log.
fn create(
    dir: &Path,
    disk: Arc<dyn Disk>,
    config: Config,
    metrics: Metrics,
    names: &[String],
) -> Result<(Arc<Shared>, Writer), Error> {
    let spares: Vec<_> = names.iter().filter(|name| segment::parse_name(name) == Named::Spare).cloned().collect();
    for name in &spares {
        disk.unlink(&dir.join(name)).map_err(Error::io("remove", dir.join(name)))?;
    }
    let bytes = config.segment_bytes;
    let state = State::default();
    let head =
        Head { segment_bytes: bytes, first_segment: 1, previous_end: 0, previous_first: None, state: state.clone() };
    let path = dir.join(segment::new_name(1));
    let file = disk.create(&path, bytes).map_err(Error::io("create", &path))?;
    let (segment, cursor) = start_segment(&*disk, dir, 1, 1, &head, &path, file)?;
    let table = Table::new(Arc::clone(&segment));
    let shared = Arc::new(Shared::new(state.clone(), table, config.log_cache_bytes_max));
    let writer = Writer {
        disk,
        dir: dir.to_path_buf(),
        config,
        metrics,
        shared: Arc::clone(&shared),
        state,
        first_segment: 1,
        segment,
        life: 1,
        cursor,
        spares: Vec::new(),
        placed: Vec::new(),
    };
    Ok((shared, writer))
}

/// Where writing goes on: the block in which the last record ends is needed in memory.
fn cursor_at(segment: &Segment, end: u64, marked: u64) -> Result<Cursor, Error> {
    let base = end - end % BLOCK_BYTES as u64;
    let length = usize::try_from(end - base).expect("less than a block");
    let read = segment.file.read_at(base, length).map_err(Error::io("read", &segment.path))?;
    let mut buffer = Buffer::default();
    buffer.extend(&read);
    Ok(Cursor { buffer, base, written: end, synced: marked, marked, is_dirty: true })
}

/// Keeps superfluous files of the right size to be used again, and removes the others.
fn collect_spares(disk: &dyn Disk, dir: &Path, config: &Config, names: &[String]) -> Result<Vec<Spare>, Error> {
    let mut spares = Vec::new();
    for name in names {
        let path = dir.join(name);
        let file = disk.open(&path).map_err(Error::io("open", &path))?;
        let size = file.size().map_err(Error::io("look at", &path))?;
        // One that was being made has a number that will come again: its name must be free by then.
        let is_new = name.ends_with(".new");
        if is_new || size != config.segment_bytes || spares.len() >= config.spare_segments_max {
            disk.unlink(&path).map_err(Error::io("remove", &path))?;
            continue;
        }
        let path = match segment::parse_name(name) {
            Named::Segment(number) => {
                let free = dir.join(segment::free_name(number));
                disk.rename(&path, &free).map_err(Error::io("rename", &path))?;
                free
            }
            Named::Spare | Named::Unknown => path,
        };
        spares.push(Spare { path, file });
    }
    Ok(spares)
}
