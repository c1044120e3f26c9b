//! Power cuts at every step, against a plain model: what was answered is there, what was not written never appears, and what comes
//! back is the state after some prefix of what was asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Config, Drive, Entry, Error, Log, LogId, MemDisk, Metrics, State};

const DIR: &str = "/log";

/// The log as it should be, committed mark aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    purged: Option<LogId>,
    last: Option<LogId>,
    vote: Option<Bytes>,
    entries: BTreeMap<u64, (u64, Bytes)>,
}

impl Model {
    fn next(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }

    fn first(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1)
    }

    fn of(log: &Log) -> Result<(Model, State), Error> {
        let state = log.state();
        let State { purged, last, vote, .. } = state.clone();
        let mut model = Model { purged, last, vote, entries: BTreeMap::new() };
        let mut next = model.first();
        while next < model.next() {
            let entries = log.read(next, model.next(), 3000)?;
            assert_eq!(entries.first().map(|entry| entry.id.index), Some(next), "never empty, first as asked");
            for entry in entries {
                assert_eq!(entry.id.index, next, "no holes");
                model.entries.insert(next, (entry.id.term, entry.payload));
                next += 1;
            }
        }
        if let Some(last) = model.last.filter(|last| model.entries.contains_key(&last.index)) {
            assert_eq!(model.entries[&last.index].0, last.term);
        }
        Ok((model, state))
    }
}

/// What was asked of a log, and how much of it was answered.
struct Asked {
    /// The model after each step; the first is where it began.
    history: Vec<Model>,
    /// Everything up to this place in `history` was answered.
    answered: Arc<AtomicUsize>,
    committed: Option<LogId>,
    term: u64,
}

impl Asked {
    fn new(start: Model, term: u64) -> Self {
        Self { history: vec![start], answered: Arc::default(), committed: None, term }
    }

    fn now(&self) -> &Model {
        self.history.last().unwrap()
    }

    /// Changes the model, as one step that can be there or not.
    fn step(&mut self, change: impl FnOnce(&mut Model)) -> usize {
        let mut model = self.now().clone();
        change(&mut model);
        self.history.push(model);
        self.history.len() - 1
    }

    async fn random_step(&mut self, log: &Log, random: &mut StdRng) {
        match random.random_range(0..100) {
            0..60 => self.append(log, random),
            60..70 => self.vote(log).await,
            70..80 => {
                if let Some(last) = self.now().last {
                    let index =
                        random.random_range(self.committed.map_or(0, |id| id.index).min(last.index)..=last.index);
                    let id = LogId { term: last.term, index };
                    self.committed = Some(id);
                    log.save_committed(id);
                }
            }
            80..90 => self.truncate(log, random).await,
            90..98 => self.purge(log, random).await,
            _ => self.reset(log, random).await,
        }
    }

    fn append(&mut self, log: &Log, random: &mut StdRng) {
        let mut entries = Vec::new();
        let mut place = self.history.len() - 1;
        for _ in 0..random.random_range(1..5) {
            let bytes = if random.random_bool(0.02) { 30_000 } else { random.random_range(0..1500) };
            let id = LogId { term: self.term, index: self.now().next() };
            let payload = Bytes::from(vec![random.random::<u8>(); bytes]);
            entries.push(Entry { id, payload: payload.clone() });
            place = self.step(|model| {
                model.last = Some(id);
                model.entries.insert(id.index, (id.term, payload));
            });
        }
        let answered = Arc::clone(&self.answered);
        log.append(
            entries,
            Box::new(move |result| {
                if result.is_ok() {
                    answered.fetch_max(place, Ordering::SeqCst);
                }
            }),
        );
    }

    async fn vote(&mut self, log: &Log) {
        self.term += 1;
        let vote = Bytes::from(self.term.to_be_bytes().to_vec());
        let place = self.step(|model| model.vote = Some(vote.clone()));
        let log = log.clone();
        self.answer_later(place, async move { log.save_vote(vote).await }).await;
    }

    async fn reset(&mut self, log: &Log, random: &mut StdRng) {
        let id = LogId { term: self.term, index: self.now().next() + random.random_range(0..20) };
        let place = self.step(|model| {
            *model = Model { purged: Some(id), last: Some(id), vote: model.vote.clone(), entries: BTreeMap::new() };
        });
        let log = log.clone();
        self.answer_later(place, async move { log.reset(id).await }).await;
    }

    /// Asks now, waits for the answer beside the next steps.
    async fn answer_later(&self, place: usize, asking: impl Future<Output = Result<(), Error>> + Send + 'static) {
        let answered = Arc::clone(&self.answered);
        let mut waiting = Box::pin(async move {
            if asking.await.is_ok() {
                answered.fetch_max(place, Ordering::SeqCst);
            }
        });
        if futures::poll!(&mut waiting).is_pending() {
            drop(tokio::spawn(waiting));
        }
    }

    async fn truncate(&mut self, log: &Log, random: &mut StdRng) {
        let (first, next) = (self.now().first(), self.now().next());
        if next == first {
            return;
        }
        let cut = random.random_range(first.max(next.saturating_sub(30))..next);
        let kept = match cut.checked_sub(1) {
            Some(index) if index >= first => Some(LogId { term: self.now().entries[&index].0, index }),
            _ => self.now().purged,
        };
        self.step(|model| {
            model.entries.split_off(&cut);
            model.last = kept;
        });
        // The log may have failed meanwhile, which the end of the round looks at.
        log.truncate_after(kept).await.unwrap_or_default();
    }

    async fn purge(&mut self, log: &Log, random: &mut StdRng) {
        let (first, next) = (self.now().first(), self.now().next());
        let index = random.random_range(first..next + 3);
        let id = LogId { term: self.now().entries.get(&index).map_or(self.term, |entry| entry.0), index };
        self.step(|model| {
            model.entries = model.entries.split_off(&(index + 1));
            model.purged = Some(id);
            if index + 1 >= next {
                model.last = Some(id);
            }
        });
        log.purge(id).await.unwrap_or_default();
    }

    /// The log must be as after some step, not before the last one answered.
    fn check(&self, log: &Log) -> Result<Model, String> {
        let (found, state) = Model::of(log).map_err(|e| format!("reading: {e}"))?;
        let answered = self.answered.load(Ordering::SeqCst);
        if !self.history[answered..].contains(&found) {
            let any = self.history.iter().rposition(|model| *model == found);
            return Err(format!("answered up to {answered} of {}, found {any:?}", self.history.len() - 1));
        }
        if let Some(committed) = state.committed {
            assert!(Some(committed.index) <= found.last.map(|last| last.index), "clamped to the log");
        }
        Ok(found)
    }
}

fn config(idle_mark: Duration, fatal: &Arc<AtomicBool>) -> Config {
    let fatal = Arc::clone(fatal);
    Config {
        segment_bytes: 16 << 10,
        log_cache_bytes_max: 4000,
        spare_segments_max: 2,
        idle_mark,
        drive: Drive::Task,
        fatal: Arc::new(move |_| fatal.store(true, Ordering::SeqCst)),
        ..Config::default()
    }
}

fn open(disk: &MemDisk, idle_mark: Duration, fatal: &Arc<AtomicBool>) -> Result<Log, Error> {
    Log::open(Path::new(DIR), Arc::new(disk.clone()), config(idle_mark, fatal), Metrics::default())
}

/// Rounds of random steps, a crash, and a look. `Err`: a promise was broken.
async fn crash_rounds(mut disk: MemDisk, seed: u64, rounds: usize, cut_at: Option<u64>) -> Result<u64, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut asked = Asked::new(Model::default(), 1);
    for round in 0..rounds {
        let idle_mark = if random.random_bool(0.5) { Duration::ZERO } else { Duration::from_secs(1000) };
        let fatal = Arc::new(AtomicBool::new(false));
        let cut_at = cut_at.filter(|_| round == 0);
        let at = cut_at.unwrap_or_else(|| disk.counts().changes + random.random_range(0..60));
        disk.power_off_at(at);
        match open(&disk, idle_mark, &fatal) {
            Ok(log) => {
                for _ in 0..random.random_range(30..120) {
                    asked.random_step(&log, &mut random).await;
                    for _ in 0..random.random_range(0..3) {
                        tokio::task::yield_now().await;
                    }
                    if fatal.load(Ordering::SeqCst) {
                        break;
                    }
                }
                // Now or at the next change: the flusher must have ended before the disk comes back.
                disk.power_off_at(0);
                log.close().await;
            }
            Err(e) if disk.counts().changes >= at => assert!(matches!(e, Error::Io { .. }), "{e}"),
            Err(e) => return Err(format!("seed {seed}, round {round}: refused: {e}")),
        }
        disk = if random.random_bool(0.2) { disk.kill() } else { disk.power_cut(random.random()) };
        let log = open(&disk, idle_mark, &fatal).map_err(|e| format!("seed {seed}, round {round}: refused: {e}"))?;
        let found = asked.check(&log).map_err(|e| format!("seed {seed}, round {round}: {e}"))?;
        log.close().await;
        asked = Asked::new(found, asked.term + 1);
    }
    Ok(disk.counts().changes)
}

#[tokio::test]
async fn a_power_cut_at_any_step_loses_nothing_that_was_answered() {
    for seed in 0..6 {
        let total = crash_rounds(MemDisk::new(true), seed, 1, Some(u64::MAX)).await.unwrap();
        assert!(total > 20, "the script is long enough: {total}");
        for cut_at in 0..total {
            crash_rounds(MemDisk::new(true), seed, 1, Some(cut_at)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn many_crashes_of_one_log_never_bring_back_what_was_cut() {
    for seed in 100..220 {
        crash_rounds(MemDisk::new(true), seed, 12, None).await.unwrap();
    }
}

#[tokio::test]
async fn without_syncs_the_same_crashes_do_lose_answers() {
    let mut lost = 0;
    for seed in 0..20 {
        lost += usize::from(crash_rounds(MemDisk::new(false), seed, 3, None).await.is_err());
    }
    assert!(lost > 5, "the test can see a loss: {lost}");
}
