//! Puts operations into segments: encodes, writes whole blocks, syncs, switches to the next segment, gives purged ones back.
//!
//! The block in which the last record ends stays in memory and is written again with the next group; the bytes already there are
//! written as they were, so a torn write never harms them. A switch makes the old segment durable first, then the new
//! one's head, then its name: see `segment`.
//! A write or sync that fails is never retried: the caller ends the process. Only allocating a new segment waits for space,
//! before any byte of the group that needs it is written there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;

use tokio::time::Instant;

use super::disk::{BLOCK_BYTES, Buffer, Disk, File};
use super::record::{self, Header, Kind, Position};
use super::segment::{self, Head, Segment};
use super::tail::{Group, Op, Shared, next_index};
use super::{Config, Error, LogId, Metrics, State};
use crate::planted::{self, Bug};

/// Memory that the write buffer keeps between groups.
const BUFFER_KEEP_BYTES: usize = 1 << 20;

/// A file to be used again. Its content means nothing.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
}

/// The writing end. There is one.
pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    pub(super) shared: Arc<Shared>,
    /// As of the last record encoded.
    pub(super) state: State,
    pub(super) first_segment: u64,
    pub(super) segment: Arc<Segment>,
    pub(super) life: u32,
    pub(super) cursor: Cursor,
    pub(super) spares: Vec<Spare>,
    /// Entries encoded that the table does not know yet: (index, offset).
    pub(super) placed: Vec<(u64, u64)>,
}

/// Where the active segment stands.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// From `base` to the last record's end.
    pub(super) buffer: Buffer,
    /// A multiple of a block.
    pub(super) base: u64,
    /// Bytes below are written.
    pub(super) written: u64,
    /// Bytes below are durable, as far as syncs do anything.
    pub(super) synced: u64,
    /// The highest `synced` that a record carries.
    pub(super) marked: u64,
    /// Something was written since the last sync.
    pub(super) is_dirty: bool,
}

impl Cursor {
    pub(super) fn end(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }
}

impl Writer {
    /// Writes a group and makes it durable with one sync (and more only where it fills a segment).
    pub(super) async fn write(&mut self, group: &mut Group) -> Result<(), Error> {
        fail::fail_point!("raftBeforeSave");
        for queued in &mut group.ops {
            self.put_op(&mut queued.op).await?;
        }
        if let Some(id) = group.committed {
            self.put_committed(id).await?;
        }
        self.write_out()?;
        self.sync()?;
        fail::fail_point!("raftAfterSave");
        Ok(())
    }

    /// Whether durable bytes are not yet protected by a record that says so.
    pub(super) fn mark_is_due(&self) -> bool {
        self.cursor.synced > self.cursor.marked && self.has_room(record::size(0))
    }

    /// Writes the committed mark and what is known to be durable. Without a sync: nobody waits for either.
    pub(super) async fn write_marks(&mut self, committed: Option<LogId>) -> Result<(), Error> {
        if let Some(id) = committed {
            self.put_committed(id).await?;
        } else if self.mark_is_due() {
            self.encode(Kind::Mark, None, &[]);
        }
        self.write_out()
    }

    /// Gives back the segments that a purge or a reset has made superfluous. Call only when that is durable.
    pub(super) fn drop_purged(&mut self) -> Result<(), Error> {
        let dropped = {
            let mut tail = self.shared.lock();
            if tail.table.first_segment() >= self.first_segment {
                return Ok(());
            }
            tail.table.drop_segments_below(self.first_segment)
        };
        fail::fail_point!("raftBeforePurge");
        self.shared.forget_walk_below(self.first_segment);
        for segment in dropped {
            let path = segment.path.clone();
            let number = segment.number;
            // A reader may still be at it: then it keeps the nameless file, and nobody writes into it.
            let reusable = Arc::into_inner(segment).filter(|segment| segment.bytes == self.config.segment_bytes);
            match reusable {
                Some(segment) if self.spares.len() < self.config.spare_segments_max => {
                    let free = self.dir.join(segment::free_name(number));
                    self.disk.rename(&path, &free).map_err(Error::io("rename", &path))?;
                    self.spares.push(Spare { path: free, file: segment.file });
                }
                _ => self.disk.unlink(&path).map_err(Error::io("remove", &path))?,
            }
        }
        Ok(())
    }

    /// Makes everything written durable.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        if !self.cursor.is_dirty {
            return Ok(());
        }
        let began = Instant::now();
        if !planted::is(Bug::SyncSkipped) {
            let synced = self.segment.file.sync();
            if !planted::is(Bug::SyncErrorIgnored) {
                synced.map_err(Error::io("sync", &self.segment.path))?;
            }
        }
        self.metrics.fsync.observe(began.elapsed().as_secs_f64());
        self.cursor.is_dirty = false;
        if self.disk.syncs() {
            self.cursor.synced = self.cursor.written;
        }
        Ok(())
    }

    /// Begins a new life in the segment as it was found, so that nothing behind its end ever counts again; durable at once.
    pub(super) fn begin_life(&mut self) -> Result<(), Error> {
        // Where there is no room for this there is room for nothing: the next record begins a new segment, in the new life.
        if self.has_room(record::size(0)) {
            self.encode(Kind::Life, None, &[]);
            self.write_out()?;
        }
        // What a killed process had written may not have been durable.
        self.cursor.is_dirty = true;
        self.sync()
    }

    /// Encodes an operation. (`op` is not changed; it is `Send` only if it is exclusive.)
    async fn put_op(&mut self, op: &mut Op) -> Result<(), Error> {
        match op {
            Op::Entries(entries, _) => {
                for entry in entries.iter() {
                    let offset = self.put(Kind::Entry, Some(entry.id), &entry.payload).await?;
                    self.state.last = Some(entry.id);
                    self.placed.push((entry.id.index, offset));
                }
                self.place();
            }
            Op::Vote(vote, _) => {
                self.put(Kind::Vote, None, vote).await?;
                self.state.vote = Some(vote.clone());
            }
            Op::Truncate(kept) => {
                fail::fail_point!("raftBeforeTruncate");
                self.put(Kind::Truncate, *kept, &[]).await?;
                self.state.last = *kept;
                self.shared.lock().table.truncate(next_index(*kept));
            }
            Op::Purge(upto) => {
                // A switch inside `put` changes nothing about which segments hold what follows.
                let first = self.shared.lock().table.first_needed(upto.index + 1);
                self.put(Kind::Purge, Some(*upto), &first.to_le_bytes()).await?;
                self.state.purged = Some(*upto);
                self.first_segment = self.first_segment.max(first);
            }
            Op::Reset(id, _) => {
                // The record is still needed itself, and so is the segment that it stands in.
                self.make_room(record::size(8)).await?;
                self.first_segment = self.segment.number;
                self.encode(Kind::Reset, Some(*id), &self.segment.number.to_le_bytes());
                self.state.purged = Some(*id);
                self.state.last = Some(*id);
                self.shared.lock().table.truncate(0);
            }
        }
        Ok(())
    }

    async fn put_committed(&mut self, id: LogId) -> Result<(), Error> {
        self.put(Kind::Committed, Some(id), &[]).await?;
        self.state.committed = Some(id);
        Ok(())
    }

    /// Encodes a record, in the next segment if this one is full. Returns where it stands.
    async fn put(&mut self, kind: Kind, id: Option<LogId>, payload: &[u8]) -> Result<u64, Error> {
        self.make_room(record::size(payload.len())).await?;
        Ok(self.encode(kind, id, payload))
    }

    fn encode(&mut self, kind: Kind, id: Option<LogId>, payload: &[u8]) -> u64 {
        let cursor = &mut self.cursor;
        let at = Position { segment: self.segment.number, offset: cursor.end() };
        let synced = cursor.synced;
        record::encode(Header { kind, id, life: self.life, synced }, payload, at, &mut cursor.buffer);
        cursor.marked = synced;
        at.offset
    }

    fn has_room(&self, bytes: usize) -> bool {
        // The seal's place is kept free.
        self.cursor.end() + (bytes + record::size(0)) as u64 <= self.segment.bytes
    }

    fn place(&mut self) {
        let mut tail = self.shared.lock();
        for (index, offset) in self.placed.drain(..) {
            tail.table.entry(index, offset);
        }
    }

    /// Writes what was encoded, in whole blocks, and keeps the last, unfinished one.
    pub(super) fn write_out(&mut self) -> Result<(), Error> {
        let cursor = &mut self.cursor;
        let end = cursor.end();
        if cursor.written == end {
            return Ok(());
        }
        let length = cursor.buffer.len();
        cursor.buffer.resize(length.next_multiple_of(BLOCK_BYTES));
        let began = Instant::now();
        let blocks = cursor.buffer.as_slice();
        self.segment.file.write_at(blocks, cursor.base).map_err(Error::io("write", &self.segment.path))?;
        self.metrics.write.observe(began.elapsed().as_secs_f64());
        self.metrics.written_bytes.add(i64::try_from(blocks.len()).unwrap_or(i64::MAX));
        let full = length - length % BLOCK_BYTES;
        cursor.buffer.resize(length);
        cursor.buffer.drain_front(full, BUFFER_KEEP_BYTES);
        cursor.base += full as u64;
        cursor.written = end;
        cursor.is_dirty = true;
        Ok(())
    }

    /// Switches to the next segment if this one cannot take a record of `bytes` bytes.
    async fn make_room(&mut self, bytes: usize) -> Result<(), Error> {
        if self.has_room(bytes) {
            return Ok(());
        }
        self.place();
        self.write_out()?;
        self.sync()?;
        fail::fail_point!("logBeforeSegmentSwitch");
        let (path, file, file_bytes) = self.obtain(bytes).await?;
        let end = self.cursor.end();
        let head = Head {
            segment_bytes: file_bytes,
            first_segment: self.first_segment,
            previous_end: end,
            previous_first: self.shared.lock().table.active_first(),
            state: self.state.clone(),
        };
        let number = self.segment.number + 1;
        let (next, cursor) = start_segment(&*self.disk, &self.dir, number, self.life, &head, &path, file)?;
        let sealed = std::mem::replace(&mut self.segment, Arc::clone(&next));
        let before = std::mem::replace(&mut self.cursor, cursor);
        self.shared.lock().table.roll(end, next);
        self.seal(&sealed, before)
    }

    /// Notes in the old segment that it has a successor. Without a sync: it guards against lost files, not against a power cut.
    fn seal(&self, sealed: &Segment, mut cursor: Cursor) -> Result<(), Error> {
        let at = Position { segment: sealed.number, offset: cursor.end() };
        let header = Header { kind: Kind::Seal, id: None, life: self.life, synced: cursor.synced };
        record::encode(header, &[], at, &mut cursor.buffer);
        cursor.buffer.resize(cursor.buffer.len().next_multiple_of(BLOCK_BYTES));
        sealed.file.write_at(cursor.buffer.as_slice(), cursor.base).map_err(Error::io("write", &sealed.path))
    }

    /// A file for the next segment: a spare one, or a new one as soon as the disk has room.
    async fn obtain(&mut self, record_bytes: usize) -> Result<(PathBuf, Arc<dyn File>, u64), Error> {
        let needed = (BLOCK_BYTES + record_bytes + record::size(0)).next_multiple_of(BLOCK_BYTES) as u64;
        let bytes = self.config.segment_bytes.max(needed);
        if bytes == self.config.segment_bytes
            && let Some(spare) = self.spares.pop()
        {
            return Ok((spare.path, spare.file, bytes));
        }
        let path = self.dir.join(segment::new_name(self.segment.number + 1));
        let mut is_waiting = false;
        loop {
            match self.disk.create(&path, bytes) {
                Ok(file) => {
                    if is_waiting {
                        (self.config.no_space)(false);
                    }
                    return Ok((path, file, bytes));
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                    if !is_waiting {
                        is_waiting = true;
                        tracing::error!(path = %path.display(), bytes, "no space for a new raft log segment; waiting");
                        (self.config.no_space)(true);
                    }
                    // Nothing notifies of free space.
                    tokio::select! {
                        biased;
                        () = self.shared.closing.notified() => return Err(Error::NoSpace { path: self.dir.clone() }),
                        () = tokio::time::sleep(self.config.space_retry) => {}
                    }
                }
                Err(e) => return Err(Error::io("create", path)(e)),
            }
        }
    }
}

/// Writes a segment's head into the file at `path`, makes it durable, and then gives it its name.
pub(super) fn start_segment(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    life: u32,
    head: &Head,
    path: &Path,
    file: Arc<dyn File>,
) -> Result<(Arc<Segment>, Cursor), Error> {
    let mut buffer = Buffer::default();
    head.encode(number, life, &mut buffer);
    let end = buffer.len();
    buffer.resize(BLOCK_BYTES);
    file.write_at(buffer.as_slice(), 0).map_err(Error::io("write", path))?;
    file.sync().map_err(Error::io("sync", path))?;
    let named = dir.join(segment::name(number));
    disk.rename(path, &named).map_err(Error::io("rename", path))?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    buffer.resize(end);
    let synced = if disk.syncs() { end as u64 } else { 0 };
    let cursor = Cursor { buffer, base: 0, written: end as u64, synced, marked: synced, is_dirty: false };
    let segment =
        Segment { number, path: named, file, bytes: head.segment_bytes, end: OnceLock::new(), points: OnceLock::new() };
    Ok((Arc::new(segment), cursor))
}
