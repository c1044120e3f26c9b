//! The log's promises, one by one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::disk::{Counts, Disk};
use super::{Config, Done, Drive, Entry, Error, Log, LogId, MemDisk, Metrics, RealDisk, State, inspect, segment};

const DIR: &str = "/log";
const NEVER: Duration = Duration::from_secs(100_000);

fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

fn payload(term: u64, index: u64, bytes: usize) -> Bytes {
    Bytes::from(format!("{term}-{index} ").repeat(bytes / 4 + 1).into_bytes()).slice(..bytes)
}

fn entries(term: u64, range: std::ops::Range<u64>, bytes: usize) -> Vec<Entry> {
    range.map(|index| Entry { id: id(term, index), payload: payload(term, index, bytes) }).collect()
}

fn config() -> Config {
    Config {
        segment_bytes: 64 << 10,
        log_cache_bytes_max: 0,
        idle_mark: NEVER,
        fatal: Arc::new(|_| {}),
        ..Config::default()
    }
}

fn open_with(disk: &MemDisk, config: Config) -> Result<Log, Error> {
    Log::open(Path::new(DIR), Arc::new(disk.clone()), config, Metrics::default())
}

fn open(disk: &MemDisk) -> Log {
    open_with(disk, config()).unwrap()
}

/// Appends and waits until that is durable.
async fn append(log: &Log, entries: Vec<Entry>) -> Result<(), Arc<Error>> {
    let (answer, answered) = oneshot::channel();
    log.append(entries, answering(answer));
    answered.await.unwrap()
}

fn answering(answer: oneshot::Sender<Result<(), Arc<Error>>>) -> Done {
    Box::new(move |result| drop(answer.send(result)))
}

fn ignoring() -> Done {
    Box::new(|_| {})
}

/// All entries, read in pieces.
fn all(log: &Log) -> Vec<Entry> {
    let state = log.state();
    let (mut next, end) = (super::tail::next_index(state.purged), super::tail::next_index(state.last));
    let mut out = Vec::new();
    while next < end {
        let read = log.read(next, end, 10_000).unwrap();
        next += read.len() as u64;
        out.extend(read);
    }
    out
}

fn segment_path(number: u64) -> PathBuf {
    Path::new(DIR).join(segment::name(number))
}

fn segments(disk: &MemDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().filter(|name| name.ends_with(".log")).collect()
}

fn counts_since(disk: &MemDisk, before: Counts) -> Counts {
    let now = disk.counts();
    Counts {
        changes: now.changes - before.changes,
        syncs: now.syncs - before.syncs,
        read_bytes: now.read_bytes - before.read_bytes,
        written_bytes: now.written_bytes - before.written_bytes,
    }
}

#[tokio::test]
async fn entries_are_readable_before_they_are_durable() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    disk.hold_syncs(true);
    let (answer, mut answered) = oneshot::channel();
    log.append(entries(1, 0..10, 100), answering(answer));
    assert_eq!(log.read(0, 10, usize::MAX).unwrap(), entries(1, 0..10, 100));
    assert_eq!(log.read(3, 5, usize::MAX).unwrap(), entries(1, 3..5, 100));
    assert!(answered.try_recv().is_err(), "not durable yet");
    disk.hold_syncs(false);
    answered.await.unwrap().unwrap();
    log.close().await;
}

#[tokio::test]
async fn a_read_is_bounded_by_bytes_and_never_empty() {
    let disk = MemDisk::new(true);
    for cache in [0, 1 << 20] {
        let log = open_with(&disk, Config { log_cache_bytes_max: cache, ..config() }).unwrap();
        if log.state().last.is_none() {
            append(&log, entries(1, 0..1000, 500)).await.unwrap();
        }
        assert_eq!(log.read(7, 1000, 0).unwrap(), entries(1, 7..8, 500));
        assert_eq!(log.read(7, 1000, 1999).unwrap(), entries(1, 7..10, 500));
        assert_eq!(log.read(999, 5000, usize::MAX).unwrap().len(), 1);
        assert!(log.read(1000, 1001, 10).unwrap().is_empty());
        assert!(log.read(5, 5, 10).unwrap().is_empty());
        log.close().await;
    }
}

#[tokio::test]
async fn everything_comes_back_after_close_and_after_a_kill() {
    for killed in [false, true] {
        let disk = MemDisk::new(true);
        let log = open(&disk);
        append(&log, entries(1, 0..500, 300)).await.unwrap();
        log.save_vote(Bytes::from_static(b"vote of term 2")).await.unwrap();
        log.truncate_after(Some(id(1, 399))).await.unwrap();
        append(&log, entries(2, 400..600, 300)).await.unwrap();
        log.purge(id(1, 49)).await.unwrap();
        log.save_committed(id(2, 450));
        append(&log, entries(2, 600..601, 1)).await.unwrap();
        let expected = State {
            purged: Some(id(1, 49)),
            last: Some(id(2, 600)),
            committed: Some(id(2, 450)),
            vote: Some(Bytes::from_static(b"vote of term 2")),
        };
        assert_eq!(log.state(), expected);
        let before = all(&log);
        let disk = if killed {
            disk.kill()
        } else {
            log.close().await;
            disk
        };
        let log = open(&disk);
        assert_eq!(log.state(), expected);
        assert_eq!(all(&log), before);
        assert_eq!(before[349..352], [entries(1, 399..400, 300), entries(2, 400..402, 300)].concat());
        log.close().await;
    }
}

#[tokio::test]
async fn one_sync_per_group() {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { segment_bytes: 8 << 20, ..config() }).unwrap();
    append(&log, entries(1, 0..1, 100)).await.unwrap();
    let before = disk.counts();
    for index in 1..101 {
        append(&log, entries(1, index..index + 1, 100)).await.unwrap();
        log.save_committed(id(1, index));
    }
    let used = counts_since(&disk, before);
    assert_eq!(used.syncs, 100, "one for each append that was waited for, none for the committed marks");
    assert_eq!(used.changes, 200, "a write and a sync");
    log.close().await;
}

#[tokio::test]
async fn slow_disk_group_size() {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { segment_bytes: 64 << 20, ..config() }).unwrap();
    let before = disk.counts();
    disk.hold_syncs(true);
    log.append(entries(1, 0..1, 100), ignoring());
    while counts_since(&disk, before).syncs == 0 {
        tokio::task::yield_now().await;
    }
    let called = Arc::new(AtomicUsize::new(0));
    for index in 1..20_000 {
        let called = Arc::clone(&called);
        log.append(
            entries(1, index..index + 1, 100),
            Box::new(move |result| {
                result.unwrap();
                called.fetch_add(1, Ordering::SeqCst);
            }),
        );
    }
    let mut vote = Box::pin(log.save_vote(Bytes::from_static(b"barrier")));
    assert!(futures::poll!(&mut vote).is_pending());
    disk.hold_syncs(false);
    vote.await.unwrap();
    assert_eq!(counts_since(&disk, before).syncs, 2, "all that came during a sync goes with the next one");
    assert_eq!(called.load(Ordering::SeqCst), 1, "the newest stands for all");
    log.close().await;
}

#[tokio::test]
async fn a_group_is_bounded_by_bytes() {
    let disk = MemDisk::new(true);
    let config = Config { segment_bytes: 64 << 20, log_group_bytes_max: 100_000, ..config() };
    let log = open_with(&disk, config).unwrap();
    let before = disk.counts();
    disk.hold_syncs(true);
    for index in 0..100 {
        log.append(entries(1, index..index + 1, 10_000), ignoring());
    }
    disk.hold_syncs(false);
    log.save_vote(Bytes::new()).await.unwrap();
    let syncs = counts_since(&disk, before).syncs;
    assert!((11..=13).contains(&syncs), "{syncs}");
    log.close().await;
}

#[tokio::test]
async fn room_waits_while_too_much_is_not_durable() {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { log_pending_bytes_max: 10_000, ..config() }).unwrap();
    log.room().await;
    disk.hold_syncs(true);
    log.append(entries(1, 0..1, 20_000), ignoring());
    let mut room = Box::pin(log.room());
    assert!(futures::poll!(&mut room).is_pending());
    disk.hold_syncs(false);
    room.await;
    log.close().await;
}

#[tokio::test]
async fn a_vote_is_a_barrier() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    log.append(entries(1, 0..100, 10), Box::new(move |result| seen.store(result.is_ok(), Ordering::SeqCst)));
    log.save_vote(Bytes::from_static(b"v")).await.unwrap();
    let disk = disk.power_cut(1);
    drop(log);
    let log = open(&disk);
    assert_eq!(log.state().last, Some(id(1, 99)));
    assert_eq!(log.state().vote, Some(Bytes::from_static(b"v")));
    log.close().await;
}

#[tokio::test]
async fn a_hole_is_refused_and_nothing_of_it_kept() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    let error = append(&log, entries(1, 1..2, 10)).await.unwrap_err();
    assert!(matches!(*error, Error::Hole { expected: 0, found: 1 }), "{error}");
    append(&log, entries(1, 0..3, 10)).await.unwrap();
    let mut holey = entries(1, 3..5, 10);
    holey[1].id.index = 7;
    assert!(append(&log, holey).await.is_err());
    assert_eq!(log.state().last, Some(id(1, 2)));
    log.close().await;
}

#[tokio::test]
async fn a_vote_that_fits_no_head_is_refused() {
    let log = open(&MemDisk::new(true));
    let error = log.save_vote(Bytes::from(vec![0; segment::VOTE_BYTES_MAX + 1])).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    log.save_vote(Bytes::from(vec![0; segment::VOTE_BYTES_MAX])).await.unwrap();
    log.close().await;
}

#[tokio::test]
async fn an_entry_larger_than_a_segment_works() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    let sizes = [10, 300_000, 10, 65_000, 64 << 10, 10, 1_000_000];
    let big: Vec<_> = (0..).zip(sizes).flat_map(|(index, bytes)| entries(1, index..index + 1, bytes)).collect();
    append(&log, big.clone()).await.unwrap();
    assert_eq!(all(&log), big);
    let disk = disk.power_cut(3);
    drop(log);
    let log = open(&disk);
    assert_eq!(all(&log), big);
    append(&log, entries(1, 7..9, 10)).await.unwrap();
    log.purge(id(1, 6)).await.unwrap();
    append(&log, entries(1, 9..10, 10)).await.unwrap();
    log.close().await;
    assert_eq!(segments(&disk).len(), 1);
    assert!(disk.list(Path::new(DIR)).unwrap().len() <= 4, "segments of odd sizes are removed, not kept");
}

#[tokio::test]
async fn truncated_entries_stay_away_across_segments_and_restarts() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    let mut expected = Vec::new();
    // Cuts at shrinking places, each into an earlier segment than the last append went to.
    for (term, (from, to)) in (1..).zip([(0, 600), (400, 700), (150, 500), (149, 150), (149, 900)]) {
        log.truncate_after(expected.get(from as usize - usize::from(from > 0)).map(|entry: &Entry| entry.id))
            .await
            .unwrap();
        expected.truncate(from as usize);
        expected.extend(entries(term, from..to, 400));
        append(&log, entries(term, from..to, 400)).await.unwrap();
        assert_eq!(all(&log), expected, "term {term}");
    }
    let disk = disk.power_cut(9);
    drop(log);
    for _ in 0..2 {
        let log = open(&disk);
        assert_eq!(all(&log), expected);
        log.close().await;
    }
    let log = open(&disk);
    log.truncate_after(None).await.unwrap();
    assert_eq!(log.state().last, None);
    append(&log, entries(9, 0..2, 400)).await.unwrap();
    log.close().await;
    let log = open(&disk);
    assert_eq!(all(&log), entries(9, 0..2, 400));
    log.close().await;
}

#[tokio::test]
async fn a_truncation_below_what_is_purged_keeps_the_purge() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    append(&log, entries(1, 0..10, 10)).await.unwrap();
    log.purge(id(1, 4)).await.unwrap();
    log.truncate_after(Some(id(1, 2))).await.unwrap();
    assert_eq!(log.state().last, Some(id(1, 4)));
    append(&log, entries(2, 5..6, 10)).await.unwrap();
    log.close().await;
    let log = open(&disk);
    assert_eq!(all(&log), entries(2, 5..6, 10));
    log.close().await;
}

#[tokio::test]
async fn purged_segments_are_used_again_and_their_records_never_seen() {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { spare_segments_max: 2, ..config() }).unwrap();
    let mut next = 0;
    for round in 0..30 {
        append(&log, entries(1, next..next + 200, 1000)).await.unwrap();
        next += 200;
        log.purge(id(1, next - 20)).await.unwrap();
        log.save_vote(Bytes::from(vec![round])).await.unwrap();
        assert_eq!(all(&log), entries(1, next - 19..next, 1000));
    }
    let names = disk.list(Path::new(DIR)).unwrap();
    assert!(names.len() <= 2 + 2, "live ones and two spare ones: {names:?}");
    let disk = disk.kill();
    drop(log);
    let log = open(&disk);
    assert_eq!(all(&log), entries(1, next - 19..next, 1000));
    assert_eq!(log.state().vote, Some(Bytes::from_static(&[29])), "though the segment with the record is gone");
    assert!(matches!(log.read(5, 6, 1), Err(Error::Purged { from: 5, .. })));
    log.close().await;
    let report = inspect(&disk, Path::new(DIR)).unwrap().unwrap();
    assert!(report.damage.is_empty() && report.segments.len() <= 2, "{report:?}");
}

#[tokio::test]
async fn a_log_says_up_to_where_it_is_longer_than_it_may_be_and_a_purge_makes_it_so_short() {
    const MAX: u64 = 256 << 10;
    let disk = MemDisk::new(true);
    let log = open(&disk);
    append(&log, entries(1, 0..200, 1000)).await.unwrap();
    assert_eq!(log.excess(MAX, MAX / 2), None, "200 kB");
    append(&log, entries(1, 200..400, 1000)).await.unwrap();
    let upto = log.excess(MAX, MAX / 2).expect("400 kB are too much");
    let kept = (400 - upto) * 1000;
    assert!((MAX / 2 - (64 << 10)..=MAX / 2).contains(&kept), "{kept} bytes are kept, to a segment");
    log.purge(id(1, upto)).await.unwrap();
    log.save_vote(Bytes::from_static(b"barrier")).await.unwrap();
    assert_eq!((log.excess(MAX, MAX / 2), all(&log)), (None, entries(1, upto + 1..400, 1000)));
    // However little may be kept, what is being written is.
    let upto = log.excess(1, 0).expect("older segments than the active one");
    log.purge(id(1, upto)).await.unwrap();
    log.save_vote(Bytes::from_static(b"barrier")).await.unwrap();
    assert_eq!(log.excess(1, 0), None, "one segment is the least");
    let disk = disk.kill();
    drop(log);
    assert_eq!(open(&disk).excess(1, 0), None, "as after a restart");
}

#[tokio::test]
async fn a_purge_may_go_beyond_the_last_entry() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    append(&log, entries(1, 0..10, 10)).await.unwrap();
    log.purge(id(3, 14)).await.unwrap();
    assert_eq!((log.state().purged, log.state().last), (Some(id(3, 14)), Some(id(3, 14))));
    append(&log, entries(3, 15..17, 10)).await.unwrap();
    let disk = disk.power_cut(4);
    drop(log);
    let log = open(&disk);
    assert_eq!(all(&log), entries(3, 15..17, 10));
    log.close().await;
}

#[tokio::test]
async fn a_reset_drops_everything_but_the_vote() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    append(&log, entries(1, 0..1000, 300)).await.unwrap();
    log.save_vote(Bytes::from_static(b"v")).await.unwrap();
    log.save_committed(id(1, 900));
    log.reset(id(1, 500)).await.unwrap();
    let disk = disk.power_cut(2);
    drop(log);
    let log = open(&disk);
    let state = log.state();
    assert_eq!((state.purged, state.last), (Some(id(1, 500)), Some(id(1, 500))));
    assert_eq!(state.vote, Some(Bytes::from_static(b"v")));
    assert_eq!(segments(&disk).len(), 1);
    append(&log, entries(2, 501..503, 10)).await.unwrap();
    assert_eq!(all(&log), entries(2, 501..503, 10));
    log.close().await;
}

#[tokio::test]
async fn a_committed_mark_beyond_the_durable_log_is_clamped() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    append(&log, entries(1, 0..10, 10)).await.unwrap();
    log.save_committed(id(1, 20));
    log.close().await;
    let log = open(&disk);
    assert_eq!(log.state().committed, Some(id(1, 9)));
    log.close().await;
}

#[tokio::test]
async fn an_idle_log_writes_the_committed_mark_without_a_sync() {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { idle_mark: Duration::from_millis(1), ..config() }).unwrap();
    append(&log, entries(1, 0..10, 10)).await.unwrap();
    let before = disk.counts();
    log.save_committed(id(1, 9));
    while counts_since(&disk, before).changes == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(counts_since(&disk, before).syncs, 0);
    let disk = disk.kill();
    drop(log);
    assert_eq!(inspect(&disk, Path::new(DIR)).unwrap().unwrap().state.committed, Some(id(1, 9)));
}

#[tokio::test]
async fn start_is_bounded() {
    let disk = MemDisk::new(true);
    let config = Config { segment_bytes: 256 << 10, ..config() };
    let log = open_with(&disk, config.clone()).unwrap();
    append(&log, entries(1, 0..20_000, 1000)).await.unwrap();
    log.close().await;
    let count = segments(&disk).len() as u64;
    assert!(count > 60);
    let before = disk.counts();
    let log = open_with(&disk, config).unwrap();
    let read = counts_since(&disk, before).read_bytes;
    assert!(read < (256 << 10) * 3 + count * 4096, "{read} bytes read at start of {count} segments");
    let before = disk.counts();
    assert_eq!(log.read(10_000, 10_010, usize::MAX).unwrap(), entries(1, 10_000..10_010, 1000));
    let read = counts_since(&disk, before).read_bytes;
    assert!(read < (256 << 10) * 3, "{read} bytes to find an old entry");
    log.close().await;
}

#[tokio::test]
async fn reading_on_in_pieces_reads_nothing_twice() {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { segment_bytes: 1 << 20, ..config() }).unwrap();
    append(&log, entries(1, 0..5000, 1000)).await.unwrap();
    let before = disk.counts();
    for index in (0..5000).step_by(4) {
        assert_eq!(log.read(index, index + 4, usize::MAX).unwrap(), entries(1, index..index + 4, 1000));
    }
    let read = counts_since(&disk, before).read_bytes;
    assert!(read < 2 * 5000 * 1048, "{read} bytes read");
    // What is written behind a walk's end is seen by it.
    for index in 5000..5100 {
        append(&log, entries(1, index..index + 1, 1000)).await.unwrap();
        assert_eq!(log.read(index, index + 1, 1).unwrap(), entries(1, index..index + 1, 1000));
    }
    log.close().await;
}

#[tokio::test]
async fn a_failed_sync_is_fatal_and_never_retried() {
    for writes in [false, true] {
        let disk = MemDisk::new(true);
        let (told, tell) = mpsc::channel();
        let told = Mutex::new(told);
        let fatal = Arc::new(move |error: &Error| told.lock().unwrap().send(error.to_string()).unwrap());
        let log = open_with(&disk, Config { fatal, ..config() }).unwrap();
        append(&log, entries(1, 0..1, 10)).await.unwrap();
        if writes {
            disk.set_failing_writes(true)
        } else {
            disk.set_failing_syncs(true)
        }
        assert!(append(&log, entries(1, 1..2, 10)).await.is_err());
        let told = tell.recv().unwrap();
        assert!(told.contains(&segment::name(1)) && told.contains(if writes { "write" } else { "sync" }), "{told}");
        disk.set_failing_syncs(false);
        disk.set_failing_writes(false);
        let syncs = disk.counts().syncs;
        assert!(append(&log, entries(1, 2..3, 10)).await.is_err());
        assert!(matches!(log.save_vote(Bytes::new()).await, Err(Error::Failed(_))));
        assert!(log.read(0, 1, 1).is_err());
        log.room().await;
        log.close().await;
        assert_eq!(disk.counts().syncs, syncs, "nothing is tried again");
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out_before_anything_is_harmed() {
    let disk = MemDisk::new(true);
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let config = Config {
        no_space: Arc::new(move |waiting| told.send(waiting).unwrap()),
        space_retry: Duration::from_millis(1),
        ..config()
    };
    let log = open_with(&disk, config.clone()).unwrap();
    append(&log, entries(1, 0..10, 1000)).await.unwrap();
    disk.set_space(Some(64 << 10));
    let (answer, mut answered) = oneshot::channel();
    log.append(entries(1, 10..100, 1000), answering(answer));
    assert_eq!(tell.recv().await, Some(true));
    assert!(answered.try_recv().is_err());
    assert_eq!(log.read(0, 200, usize::MAX).unwrap().len(), 100, "reads go on");
    disk.set_space(None);
    answered.await.unwrap().unwrap();
    assert_eq!(tell.recv().await, Some(false));

    // Closed while it waits: what waited is refused, what was answered is there, and nothing was fatal.
    disk.set_space(Some(0));
    let (answer, answered) = oneshot::channel();
    log.append(entries(1, 100..300, 1000), answering(answer));
    assert_eq!(tell.recv().await, Some(true));
    log.close().await;
    assert!(matches!(*answered.await.unwrap().unwrap_err(), Error::NoSpace { .. }));
    let log = open_with(&disk, config).unwrap();
    assert_eq!(all(&log)[..100], entries(1, 0..100, 1000));
    log.close().await;
}

/// A log of three segments, cleanly closed, and its state.
async fn closed_log() -> (MemDisk, State, Vec<Entry>) {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { segment_bytes: 16 << 10, ..config() }).unwrap();
    log.save_vote(Bytes::from_static(b"vote")).await.unwrap();
    append(&log, entries(1, 0..40, 900)).await.unwrap();
    let (state, entries) = (log.state(), all(&log));
    log.close().await;
    (disk, state, entries)
}

#[tokio::test]
async fn a_flipped_bit_below_the_synced_mark_is_refused_by_file_and_offset() {
    let (disk, state, entries) = closed_log().await;
    let newest = u64::try_from(segments(&disk).len()).unwrap();
    let end = inspect(&disk, Path::new(DIR)).unwrap().unwrap().segments.last().unwrap().end;
    let mut refused = 0;
    for offset in 0..end {
        let (path, bit) = (segment_path(newest), u8::try_from(offset % 8).unwrap());
        disk.flip_bit(&path, offset, bit);
        match inspect(&disk, Path::new(DIR)) {
            Err(Error::Corrupt { path: named, offset: at, .. }) => {
                assert_eq!(named, path);
                assert!(at <= offset && offset < at + 1000, "flipped at {offset}, told {at}");
                refused += 1;
            }
            Err(Error::Foreign { path: named }) => assert!(named == path && offset < 8),
            Err(other) => panic!("flipped at {offset}: {other}"),
            // Filler between records, or the closing mark itself, which nothing else vouches for.
            Ok(found) => assert_eq!(found.unwrap().state, state, "flipped at {offset}"),
        }
        disk.flip_bit(&path, offset, bit);
    }
    assert!(refused > end - 200, "{refused} of {end}");
    let log = open(&disk);
    assert_eq!(all(&log), entries);
    log.close().await;
}

#[tokio::test]
async fn a_flipped_bit_in_an_older_segment_fails_the_read_and_the_inspection() {
    let (disk, ..) = closed_log().await;
    disk.flip_bit(&segment_path(1), 5000, 1);
    let log = open(&disk);
    let error = log.read(0, 40, usize::MAX).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path, .. } if *path == segment_path(1)), "{error}");
    assert_eq!(log.read(35, 40, usize::MAX).unwrap().len(), 5);
    log.close().await;
    let found = inspect(&disk, Path::new(DIR)).unwrap().unwrap();
    assert_eq!(found.damage.len(), 1);
    disk.flip_bit(&segment_path(1), 100, 1);
    disk.flip_bit(&segment_path(2), 40, 1);
    assert!(matches!(open_with(&disk, config()), Err(Error::Corrupt { .. })), "a head is checked at start");
}

#[tokio::test]
async fn a_flipped_bit_above_the_synced_mark_is_a_torn_tail() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    append(&log, entries(1, 0..10, 100)).await.unwrap();
    append(&log, entries(1, 10..20, 100)).await.unwrap();
    let end = 10 * 152;
    let disk = disk.kill();
    drop(log);
    let found = inspect(&disk, Path::new(DIR)).unwrap().unwrap();
    disk.flip_bit(&segment_path(1), found.segments[0].end - 200, 0);
    let log = open(&disk);
    assert_eq!(log.state().last, Some(id(1, 17)), "the first group is vouched for by the second, which is not");
    log.close().await;
    disk.flip_bit(&segment_path(1), end - 300, 0);
    assert!(matches!(open_with(&disk, config()), Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn records_behind_a_cut_do_not_come_back_where_new_ones_end_exactly_before_them() {
    let disk = MemDisk::new(true);
    let end = |disk: &MemDisk| inspect(disk, Path::new(DIR)).unwrap().unwrap().segments[0].end;
    let log = open(&disk);
    // Entry 2 begins with a block, so that writing what precedes it leaves it alone.
    let filler = usize::try_from(8192 - end(&disk)).unwrap() - super::record::HEADER_BYTES;
    append(&log, entries(1, 0..1, filler)).await.unwrap();
    append(&log, entries(1, 1..3, 4096 - super::record::HEADER_BYTES)).await.unwrap();
    let disk = disk.kill();
    drop(log);
    disk.flip_bit(&segment_path(1), 8192 + 100, 0);
    let log = open(&disk);
    assert_eq!(log.state().last, Some(id(1, 0)));
    append(&log, entries(1, 1..2, 4096 - 2 * super::record::HEADER_BYTES)).await.unwrap();
    let disk = disk.kill();
    drop(log);
    assert_eq!(end(&disk), 12288, "the test hits the place");
    assert_eq!(open(&disk).state().last, Some(id(1, 1)));
}

#[tokio::test]
async fn what_a_killed_process_had_written_is_durable_once_the_log_is_open() {
    for seed in 0..20 {
        let disk = MemDisk::new(true);
        let log = open(&disk);
        let before = disk.counts();
        disk.hold_syncs(true);
        log.append(entries(1, 0..10, 100), ignoring());
        while counts_since(&disk, before).syncs == 0 {
            tokio::task::yield_now().await;
        }
        let disk = disk.kill();
        drop(log);
        let log = open(&disk);
        assert_eq!(log.state().last, Some(id(1, 9)), "written, and power stayed");
        let disk = disk.power_cut(seed);
        drop(log);
        assert_eq!(open(&disk).state().last, Some(id(1, 9)), "raft may have counted on it");
    }
}

#[tokio::test]
async fn entries_that_follow_a_cut_stay_in_memory_until_they_are_durable() {
    let disk = MemDisk::new(true);
    let log = open_with(&disk, Config { log_group_bytes_max: 0, ..config() }).unwrap();
    disk.hold_syncs(true);
    let (answer, answered) = oneshot::channel();
    log.append(entries(1, 0..10, 100), answering(answer));
    log.truncate_after(Some(id(1, 4))).await.unwrap();
    log.append(entries(2, 5..10, 100), ignoring());
    disk.allow_sync();
    answered.await.unwrap().unwrap();
    let expected = [entries(1, 0..5, 100), entries(2, 5..10, 100)].concat();
    assert_eq!(all(&log), expected, "the older entries are on disk, and not what is to be read");
    disk.hold_syncs(false);
    log.save_vote(Bytes::new()).await.unwrap();
    assert_eq!(all(&log), expected);
    log.close().await;
}

#[tokio::test]
async fn a_cut_or_missing_file_is_refused() {
    let (disk, ..) = closed_log().await;
    let newest = u64::try_from(segments(&disk).len()).unwrap();
    for number in 1..=newest {
        for bytes in [0, 10, 60, 5000, (16 << 10) - 1] {
            let (copy, ..) = closed_log().await;
            copy.cut(&segment_path(number), bytes);
            let error = open_with(&copy, config()).err().unwrap_or_else(|| panic!("segment {number} cut to {bytes}"));
            assert!(matches!(&error, Error::Corrupt { path, .. } if *path == segment_path(number)), "{error}");
        }
        let (copy, ..) = closed_log().await;
        copy.unlink(&segment_path(number)).unwrap();
        let error = open_with(&copy, config()).err().unwrap_or_else(|| panic!("segment {number} missing"));
        assert!(matches!(&error, Error::Missing { path } if *path == segment_path(number)), "{error}");
    }
}

#[tokio::test]
async fn a_newer_format_and_a_foreign_file_are_refused() {
    let newer = MemDisk::new(true);
    let mut block = super::disk::Buffer::zeroed(8192);
    block.as_mut_slice()[..8].copy_from_slice(b"FLRAFTLG");
    block.as_mut_slice()[8] = 9;
    let checksum = crc32c::crc32c(&block.as_slice()[..12]);
    block.as_mut_slice()[12..16].copy_from_slice(&checksum.to_le_bytes());
    newer.create(&segment_path(1), 8192).unwrap().write_at(block.as_slice(), 0).unwrap();
    let error = open_with(&newer, config()).err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found: 9, supported: 1, .. }), "{error}");
    let foreign = MemDisk::new(true);
    block.as_mut_slice()[..8].copy_from_slice(b"RIFFwave");
    foreign.create(&segment_path(1), 8192).unwrap().write_at(block.as_slice(), 0).unwrap();
    assert!(matches!(open_with(&foreign, config()), Err(Error::Foreign { .. })));
}

#[tokio::test]
async fn every_start_of_a_full_segment_works() {
    // Lives are records too: opened again and again, the segment fills, and the log goes on in the next one.
    let disk = MemDisk::new(true);
    let config = Config { segment_bytes: 8192, ..config() };
    for index in 0..300 {
        let log = open_with(&disk, config.clone()).unwrap();
        if index % 3 == 0 {
            append(&log, entries(1, index / 3..index / 3 + 1, 10)).await.unwrap();
        }
        assert_eq!(all(&log).len() as u64, index / 3 + 1);
        log.close().await;
    }
}

/// Readers, beside a writer that appends, cuts, purges and lets segments be used again, never see a wrong entry.
#[tokio::test]
async fn readers_beside_a_writer_see_only_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::new(folder.path(), false).unwrap());
    let config = Config { log_cache_bytes_max: 10_000, spare_segments_max: 2, ..config() };
    let log = Log::open(folder.path(), disk, config, Metrics::default()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (log, stop) = (log.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut seen = 0;
                while !stop.load(Ordering::Relaxed) {
                    let state = log.state();
                    let from = super::tail::next_index(state.purged);
                    let read = match log.read(from, u64::MAX, 100_000) {
                        Ok(read) => read,
                        Err(Error::Purged { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    for (index, entry) in (from..).zip(&read) {
                        assert_eq!(entry.id.index, index);
                        assert_eq!(entry.payload, payload(entry.id.term, index, 700));
                    }
                    assert!(read.is_sorted_by_key(|entry| entry.id), "terms never fall");
                    seen += read.len();
                }
                seen
            })
        })
        .collect();
    let mut next = 0;
    for term in 1..400 {
        append(&log, entries(term, next..next + 150, 700)).await.unwrap();
        next += 150;
        log.purge(id(term, next - 100)).await.unwrap();
        next -= 20;
        log.truncate_after(Some(id(term, next - 1))).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    log.close().await;
}

#[tokio::test]
async fn real_files_come_back_after_a_drop_without_close() {
    let folder = tempfile::tempdir().unwrap();
    for disk in [RealDisk::new(folder.path(), true).unwrap(), RealDisk::buffered(true)] {
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let dir = folder.path();
        let before = Log::open(dir, Arc::clone(&disk), config(), Metrics::default()).unwrap();
        let next = super::tail::next_index(before.state().last);
        append(&before, entries(1, next..next + 500, 321)).await.unwrap();
        before.save_vote(Bytes::from_static(b"vote")).await.unwrap();
        let expected = all(&before);
        // As after kill -9: the first one is left as it is, and writes nothing more because nobody asks it to.
        let log = Log::open(dir, Arc::clone(&disk), config(), Metrics::default()).unwrap();
        assert_eq!(log.state().vote, Some(Bytes::from_static(b"vote")));
        assert_eq!(all(&log), expected);
        append(&log, entries(2, next + 500..next + 510, 321)).await.unwrap();
        log.close().await;
        assert!(inspect(&*disk, dir).unwrap().unwrap().damage.is_empty());
        std::mem::forget(before);
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("absent");
    assert!(RealDisk::new(&dir, true).is_err());
    let error = Log::open(&dir, Arc::new(RealDisk::buffered(true)), config(), Metrics::default()).err().unwrap();
    assert!(error.to_string().contains("absent"), "{error}");
}

#[tokio::test]
async fn a_closed_log_refuses() {
    let log = open_with(&MemDisk::new(true), Config { drive: Drive::Task, ..config() }).unwrap();
    let other = log.clone();
    append(&log, entries(1, 0..1, 10)).await.unwrap();
    log.close().await;
    assert!(matches!(*append(&other, entries(1, 1..2, 10)).await.unwrap_err(), Error::Closed));
    assert!(matches!(other.save_vote(Bytes::new()).await, Err(Error::Closed)));
}

#[tokio::test]
async fn what_was_committed_is_told_though_it_was_purged_and_what_was_truncated_is_not() {
    let disk = MemDisk::new(true);
    let log = open(&disk);
    append(&log, entries(1, 0..10, 10)).await.unwrap();
    log.save_committed(id(1, 5));
    log.truncate_after(Some(id(1, 7))).await.unwrap();
    append(&log, entries(2, 8..12, 10)).await.unwrap();
    log.save_committed(id(2, 9));
    log.purge(id(1, 4)).await.unwrap();
    log.close().await;
    let told = super::inspect::committed(&disk, Path::new(DIR)).unwrap().unwrap();
    assert_eq!(told, [entries(1, 0..8, 10), entries(2, 8..10, 10)].concat());
}
