//! The engine on disk: RocksDB without its log.
//!
//! The raft log is the only log: a write reaches the disk when its memtable is flushed, and `atomic_flush` makes all families
//! reach it together, so that a crash leaves the state as of one batch. What that costs is replay from the last flush, which
//! [`Config::memtable_bytes`] bounds.
//! Promises: what [`Engine`] promises; refuses a folder of another form ([`schema::FORMAT`]) before anything reads it.
//! Does not: retry. A full device is told apart ([`Error::NoSpace`]) because RocksDB recovers from it by itself.
//! Sources: RocksDB wiki "Atomic flush", "Delete A Range Of Keys"; `include/rocksdb/convenience.h` (`DeleteFilesInRange`).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType,
    DataBlockIndexType, FlushOptions, Options, ReadOptions, ReadTier, SnapshotWithThreadMode, WriteBatch, WriteOptions,
    properties,
};

use super::{Batch, Direction, Engine, Error, Family, Op, Snapshot, Visit, schema};

/// Data blocks, bytes: larger than RocksDB's 4 KiB because lists are scans (−17 to −30 % CPU measured).
const BLOCK_BYTES: usize = 16 << 10;
/// Bits a key of the whole-key Bloom filters: about 1 % false positives, so that "no such key" costs no block.
const BLOOM_BITS: f64 = 10.0;
/// Wishes of [`Engine::compact_soon`] that wait; further ones are dropped, for they are advice.
const WISHES_MAX: usize = 64;
/// Info logs kept in the folder, files.
const INFO_LOGS_MAX: usize = 4;

/// The families that hold values.
const BULKY: [Family; 2] = [Family::Latest, Family::History];
/// How old a file of these must be before RocksDB may rewrite it only because a snapshot was released, seconds. At once, its
/// default, every file of `history` was written a second time, for nothing: rows there go by whole files or by ranges.
const BOTTOMMOST_REWRITE_DELAY_SECONDS: u32 = 3_600;

/// What a machine gives to the engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Blocks kept in memory, bytes, all families together. Default 64 MiB: the page cache holds the rest.
    pub block_cache_bytes: usize,
    /// One family's memtable, bytes; twice that for all together. A full one flushes all, so this bounds what is replayed
    /// after a crash. Default 16 MiB: about 40 k small puts, a quarter of a second.
    pub memtable_bytes: usize,
    /// Flushes and compactions at a time. Default 2: the machine's cores are shared with the store.
    pub background_jobs_max: i32,
}

impl Default for Config {
    fn default() -> Self {
        Config { block_cache_bytes: 64 << 20, memtable_bytes: 16 << 20, background_jobs_max: 2 }
    }
}

/// A RocksDB in a folder.
pub struct RocksEngine {
    db: Arc<DB>,
    no_log: WriteOptions,
    wishes: Option<SyncSender<Wish>>,
    compactor: Option<JoinHandle<()>>,
    /// Dropped after the database is closed, for fields go in this order.
    folder: Folder,
}

/// The engine's folder, removed when the engine is closed if it was discarded.
struct Folder {
    path: PathBuf,
    discarded: AtomicBool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.discarded.load(Ordering::Acquire)
            && let Err(reason) = std::fs::remove_dir_all(&self.path)
        {
            // The next start removes it: it is not the current generation.
            tracing::warn!(path = %self.path.display(), %reason, "engine: a replaced state is still on disk");
        }
    }
}

/// A range whose deleted rows should go soon.
struct Wish {
    family: Family,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl RocksEngine {
    /// Opens the state in `folder`, or makes an empty one there.
    ///
    /// # Errors
    /// [`Error::Open`] where the folder is in use, damaged, or of another form.
    pub fn open(folder: &Path, config: &Config) -> Result<RocksEngine, Error> {
        let refused = |reason: String| Error::Open { path: folder.display().to_string(), reason };
        let cache = Cache::new_lru_cache(config.block_cache_bytes);
        let families = Family::ALL.map(|f| ColumnFamilyDescriptor::new(f.name(), family_options(f, &cache, config)));
        let db = DB::open_cf_descriptors(&database_options(config), folder, families).map_err(|e| {
            refused(format!("{e}; is another process using it, or is it from a copy that was cut short?"))
        })?;
        for family in BULKY {
            // The crate knows no setter for it.
            let delay = BOTTOMMOST_REWRITE_DELAY_SECONDS.to_string();
            let set = db.set_options_cf(handle(&db, family), &[("bottommost_file_compaction_delay", &delay)]);
            set.map_err(|e| refused(e.to_string()))?;
        }
        let mut no_log = WriteOptions::default();
        no_log.disable_wal(true);
        let (wishes, received) = sync_channel(WISHES_MAX);
        let db = Arc::new(db);
        let for_wishes = db.clone();
        let compactor = std::thread::Builder::new()
            .name("engine-compact".to_owned())
            .spawn(move || compact_on_wish(&for_wishes, &received))
            .map_err(|e| refused(format!("no thread for compaction: {e}")))?;
        let folder = Folder { path: folder.to_path_buf(), discarded: AtomicBool::new(false) };
        let engine = RocksEngine { db, no_log, wishes: Some(wishes), compactor: Some(compactor), folder };
        match engine.get(Family::Meta, schema::META_FORMAT)? {
            None => {
                let mut stamp = Batch::default();
                stamp.put(Family::Meta, schema::META_FORMAT, schema::FORMAT);
                engine.write(stamp)?;
                engine.flush()?;
            }
            Some(found) if found[..] == schema::FORMAT[..] => {}
            Some(found) => {
                return Err(refused(format!(
                    "its form is {found:?} and this binary knows {:?}; start the binary that wrote it",
                    schema::FORMAT
                )));
            }
        }
        Ok(engine)
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        handle(&self.db, family)
    }
}

impl Drop for RocksEngine {
    fn drop(&mut self) {
        self.wishes = None;
        self.db.cancel_all_background_work(true);
        if let Some(compactor) = self.compactor.take()
            && compactor.join().is_err()
        {
            tracing::error!("engine: the compaction thread panicked");
        }
    }
}

impl Engine for RocksEngine {
    fn snapshot(&self) -> Box<dyn Snapshot + '_> {
        Box::new(RocksSnapshot { db: &self.db, snapshot: self.db.snapshot() })
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let found = self.db.get_pinned_cf(self.family(family), key).map_err(|e| error("get", e))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn get_many(&self, family: Family, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        let found = self.db.batched_multi_get_cf(self.family(family), keys, false);
        let copied = found.into_iter().map(|value| value.map(|value| value.map(|v| Bytes::copy_from_slice(&v))));
        copied.collect::<Result<_, _>>().map_err(|e| error("get of many", e))
    }

    fn write(&self, batch: Batch) -> Result<(), Error> {
        let handles = Family::ALL.map(|family| self.family(family));
        let mut out = WriteBatch::default();
        for op in batch.ops {
            match op {
                Op::Put(family, key, value) => out.put_cf(handles[family as usize], key, value),
                Op::Delete(family, key) => out.delete_cf(handles[family as usize], key),
                Op::DeleteRange(family, from, to) => out.delete_range_cf(handles[family as usize], from, to),
            }
        }
        self.db.write_opt(out, &self.no_log).map_err(|e| error("write", e))
    }

    fn flush(&self) -> Result<(), Error> {
        let mut waiting = FlushOptions::default();
        waiting.set_wait(true);
        let handles = Family::ALL.map(|family| self.family(family));
        self.db.flush_cfs_opt(&handles.each_ref(), &waiting).map_err(|e| error("flush", e))
    }

    fn get_durable(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let mut durable = ReadOptions::default();
        durable.set_read_tier(ReadTier::Persisted);
        let found = self.db.get_pinned_cf_opt(self.family(family), key, &durable);
        Ok(found.map_err(|e| error("durable get", e))?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn drop_files(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        // RocksDB takes the end as included: a file that ends exactly at `to` would go with the row that must stay.
        let Some(last) = key_before(to) else { return Ok(()) };
        if last.as_slice() < from {
            return Ok(());
        }
        self.db.delete_file_in_range_cf(self.family(family), from, &last).map_err(|e| error("drop of files", e))
    }

    fn compact_soon(&self, family: Family, from: &[u8], to: &[u8]) {
        let wish = Wish { family, from: from.to_vec(), to: to.to_vec() };
        if let Some(wishes) = &self.wishes
            && wishes.try_send(wish).is_err()
        {
            tracing::debug!(family = family.name(), "engine: too many compactions asked for, one is dropped");
        }
    }

    fn disk_bytes(&self) -> u64 {
        let size_of =
            |family: Family| match self.db.property_int_value_cf(self.family(family), properties::TOTAL_SST_FILES_SIZE)
            {
                Ok(bytes) => bytes.unwrap_or(0),
                Err(reason) => {
                    tracing::warn!(family = family.name(), %reason, "engine: the size on disk is not known");
                    0
                }
            };
        Family::ALL.into_iter().map(size_of).sum()
    }

    fn checkpoint(&self, folder: &Path) -> Result<(), Error> {
        self.flush()?;
        // 0: flush again whatever came since. Any other bound counts bytes of RocksDB's own log, and there is none.
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(folder, 0))
            .map_err(|e| error("checkpoint", e))
    }

    fn discard(&self) {
        self.folder.discarded.store(true, Ordering::Release);
    }

    fn background_error(&self) -> Option<Error> {
        let met = self.db.property_int_value(properties::BACKGROUND_ERRORS).ok().flatten().unwrap_or(0);
        if met == 0 {
            return None;
        }
        // The counter never goes down; whether the error still stands is what an empty write says.
        match self.db.write_opt(WriteBatch::default(), &self.no_log).map_err(|e| error("background work", e)) {
            Ok(()) | Err(Error::NoSpace { .. }) => None,
            Err(standing) => Some(standing),
        }
    }
}

struct RocksSnapshot<'a> {
    db: &'a DB,
    snapshot: SnapshotWithThreadMode<'a, DB>,
}

impl Snapshot for RocksSnapshot<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        let found = self.db.get_pinned_cf_opt(handle(self.db, family), key, &options);
        Ok(found.map_err(|e| error("get", e))?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options.set_iterate_lower_bound(from);
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let mut rows = self.db.raw_iterator_cf_opt(handle(self.db, family), options);
        match direction {
            Direction::Ascending => rows.seek(from),
            Direction::Descending => rows.seek_to_last(),
        }
        while let Some((key, value)) = rows.item() {
            if let ControlFlow::Break(()) = visit(key, value) {
                return Ok(());
            }
            match direction {
                Direction::Ascending => rows.next(),
                Direction::Descending => rows.prev(),
            }
        }
        rows.status().map_err(|e| error("scan", e))
    }
}

fn handle(db: &DB, family: Family) -> &ColumnFamily {
    db.cf_handle(family.name()).expect("open makes every family")
}

fn database_options(config: &Config) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_db_write_buffer_size(config.memtable_bytes.saturating_mul(2));
    options.set_max_background_jobs(config.background_jobs_max);
    options.set_keep_log_file_num(INFO_LOGS_MAX);
    options.set_bytes_per_sync(1 << 20);
    options
}

fn family_options(family: Family, cache: &Cache, config: &Config) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(BLOCK_BYTES);
    blocks.set_bloom_filter(BLOOM_BITS, false);
    blocks.set_whole_key_filtering(true);
    // In a small cache they push each other out: 35 µs a get at a million keys, 7 with them outside.
    blocks.set_cache_index_and_filter_blocks(false);
    blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_write_buffer_size(if BULKY.contains(&family) {
        config.memtable_bytes
    } else {
        config.memtable_bytes.min(8 << 20)
    });
    options.set_max_write_buffer_number(3);
    options
}

fn compact_on_wish(db: &DB, wishes: &Receiver<Wish>) {
    while let Ok(wish) = wishes.recv() {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        db.compact_range_cf_opt(handle(db, wish.family), Some(&wish.from), Some(&wish.to), &options);
    }
}

/// A key below `key` with nothing, or nothing of any length this store uses, between the two.
fn key_before(key: &[u8]) -> Option<Vec<u8>> {
    let (last, head) = key.split_last()?;
    let mut before = head.to_vec();
    if *last > 0 {
        before.push(last - 1);
        before.extend([0xff; 16]);
    }
    Some(before)
}

fn error(operation: &'static str, error: rocksdb::Error) -> Error {
    let reason = error.into_string();
    if reason.contains("No space left on device") || reason.contains("NoSpace") || reason.contains("Max allowed space")
    {
        Error::NoSpace { operation }
    } else {
        Error::Io { operation, reason }
    }
}

/// Where a crashed process's files lie: what a test copies to see what a crash leaves.
#[cfg(test)]
pub(crate) fn copy_as_crashed(from: &Path, to: &Path) -> PathBuf {
    // Background work makes and removes files meanwhile: a copy counts only if the folder was the same before and after.
    let names = || {
        let entries = std::fs::read_dir(from).expect("the folder lists");
        let names = entries.map(|entry| entry.expect("the folder lists").file_name()).filter(|name| name != "LOCK");
        names.collect::<std::collections::BTreeSet<_>>()
    };
    loop {
        let before = names();
        std::fs::create_dir_all(to).expect("a folder for the copy");
        let copied = before.iter().try_for_each(|name| std::fs::copy(from.join(name), to.join(name)).map(drop));
        if copied.is_ok() && names() == before {
            return to.to_path_buf();
        }
        std::fs::remove_dir_all(to).expect("a copy can be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_before_a_range_end_is_below_it_and_above_every_row_that_goes() {
        for (end, row_that_goes) in
            [(&[0, 0, 0, 5, 0, 0][..], &[0, 0, 0, 4, 9, 9][..]), (&[7], &[6, 255, 255]), (&[1, 0], &[1])]
        {
            let before = key_before(end).expect("not empty");
            assert!(before.as_slice() < end, "{before:?}");
            assert!(before.as_slice() >= row_that_goes, "{before:?}");
        }
        assert_eq!(key_before(&[]), None);
    }

    #[test]
    fn a_folder_of_another_form_is_refused_with_both_forms_named() {
        let folder = tempfile::tempdir().expect("a folder");
        {
            let engine = RocksEngine::open(folder.path(), &Config::default()).expect("a new one opens");
            let mut batch = Batch::default();
            batch.put(Family::Meta, schema::META_FORMAT, &b"fairlead state 99"[..]);
            engine.write(batch).expect("written");
            engine.flush().expect("flushed");
        }
        let text = RocksEngine::open(folder.path(), &Config::default()).err().expect("refused").to_string();
        assert!(text.contains("its form is") && text.contains("99"), "{text}");
    }

    #[test]
    fn a_discarded_state_goes_when_its_last_handle_does() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("state");
        let engine = Arc::new(RocksEngine::open(&folder, &Config::default()).expect("opens"));
        let reader = engine.clone();
        engine.discard();
        drop(engine);
        assert!(folder.exists() && reader.get(Family::Latest, b"k").expect("still read").is_none());
        drop(reader);
        assert!(!folder.exists());
    }

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = RocksEngine::open(folder.path(), &Config::default()).expect("opens");
        assert!(matches!(RocksEngine::open(folder.path(), &Config::default()), Err(Error::Open { .. })));
    }
}
