//! A closed loop: each client asks, waits for its answer, asks again, until the time is over.
//!
//! Nothing of the first moments counts: connections, caches and batching settle then. Latencies are kept by class, so that
//! writers beside readers, and lists beside updates, are told apart.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;

use crate::Error;
use crate::latency::Latencies;
use crate::sample::{Figure, Sample};
use crate::target::Running;

/// Classes that a workload can tell apart.
const CLASSES_MAX: usize = 3;
/// Time for a given amount of work.
const ALL_WITHIN: Duration = Duration::from_secs(600);
/// Pause after an error, so that a refusing member is not asked in a tight loop.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// One client of a closed loop.
pub(crate) trait Client: Send + 'static {
    /// Asks once.
    fn step(&mut self) -> impl Future<Output = Result<Done, Status>> + Send;

    /// Whether there is nothing left to ask before the time is over.
    fn is_done(&self) -> bool {
        false
    }
}

/// An operation that succeeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Which histogram it belongs to; class 0 is what the workload is about.
    pub(crate) class: usize,
    /// How many of what the workload counts it was: keys of a range, 1 of most.
    pub(crate) units: u64,
}

/// One operation of the only class.
pub(crate) const ONE: Done = Done { class: 0, units: 1 };

/// When it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Time before it counts.
    pub(crate) warm: Duration,
    /// Time while it counts.
    pub(crate) length: Duration,
}

#[derive(Default)]
struct Counted {
    latencies: [Latencies; CLASSES_MAX],
    units: [u64; CLASSES_MAX],
    errors: u64,
    first_error: Option<String>,
}

impl Counted {
    fn add(&mut self, other: Counted) {
        for (mine, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            mine.add(theirs);
        }
        for (mine, theirs) in self.units.iter_mut().zip(other.units) {
            *mine += theirs;
        }
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// What a closed loop saw.
pub(crate) struct Seen {
    counted: Counted,
    seconds: f64,
    cpu_seconds: Option<f64>,
    syncs: Option<f64>,
}

impl Seen {
    /// Latencies of a class.
    pub(crate) fn latencies(&self, class: usize) -> &Latencies {
        &self.counted.latencies[class]
    }

    /// Units of a class a second.
    pub(crate) fn rate(&self, class: usize) -> f64 {
        self.counted.units[class] as f64 / self.seconds
    }

    /// Operations of all classes.
    pub(crate) fn operations(&self) -> u64 {
        self.counted.latencies.iter().map(Latencies::count).sum()
    }

    /// A sample of all classes taken together.
    pub(crate) fn sample(&self) -> Sample {
        let mut all = Latencies::default();
        self.counted.latencies.iter().for_each(|class| all.add(class));
        let units: u64 = self.counted.units.iter().sum();
        self.sample_of(&all, units)
    }

    /// A sample whose rate and latencies are those of class 0 alone; CPU is for all.
    pub(crate) fn sample_of_first(&self) -> Sample {
        self.sample_of(self.latencies(0), self.counted.units[0])
    }

    fn sample_of(&self, latencies: &Latencies, units: u64) -> Sample {
        let each = |sum: f64| sum / units.max(1) as f64;
        let sample = Sample {
            operations: self.operations(),
            errors: self.counted.errors,
            first_error: self.counted.first_error.clone(),
            ..Sample::default()
        };
        sample
            .with(Figure::Rate, units as f64 / self.seconds)
            .with_some(Figure::P50, millis(latencies, 0.5))
            .with_some(Figure::P99, millis(latencies, 0.99))
            .with_some(Figure::Cpu, self.cpu_seconds.map(|cpu| each(cpu * 1e6)))
            .judged()
    }

    /// Syncs for an operation, where that is known.
    pub(crate) fn syncs_each(&self) -> Option<f64> {
        self.syncs.map(|syncs| syncs / self.operations().max(1) as f64)
    }
}

/// A quantile in milliseconds.
pub(crate) fn millis(latencies: &Latencies, part: f64) -> Option<f64> {
    latencies.quantile(part).map(|latency| latency.as_secs_f64() * 1e3)
}

/// Runs the clients until they have nothing left to ask, whatever the time.
pub(crate) async fn drive_all<C: Client>(target: &Running, clients: Vec<C>) -> Result<Seen, Error> {
    drive(target, clients, Window { warm: Duration::ZERO, length: ALL_WITHIN }).await
}

/// Runs the clients against `target`, and measures it meanwhile.
pub(crate) async fn drive<C: Client>(target: &Running, clients: Vec<C>, window: Window) -> Result<Seen, Error> {
    let begun = Instant::now();
    let from = begun + window.warm;
    let until = from + window.length;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(one(client, from, until));
    }
    sleep_until(from).await;
    // Syncs belong to a little more than the window, so that the page is not made within it.
    let (syncs, cpu) = (target.syncs().await, target.cpu_seconds()?);
    let counting = Instant::now();
    let mut counted = Counted::default();
    while let Some(done) = tasks.join_next().await {
        counted.add(done.expect("a client does not panic"));
    }
    let cpu_seconds = target.cpu_seconds()?.zip(cpu).map(|(after, before)| after - before);
    let seconds = from.elapsed().as_secs_f64();
    // What it cost before it was read is a part of the window; it is stretched to the whole.
    let stretch = seconds / counting.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    let syncs = target.syncs().await.zip(syncs).map(|(after, before)| (after - before) * stretch);
    Ok(Seen { counted, seconds, cpu_seconds: cpu_seconds.map(|cpu| cpu * stretch), syncs })
}

async fn one(mut client: impl Client, from: Instant, until: Instant) -> Counted {
    let mut counted = Counted::default();
    loop {
        let asked = Instant::now();
        if asked >= until || client.is_done() {
            return counted;
        }
        let done = client.step().await;
        let counts = asked >= from;
        match done {
            Ok(done) if counts => {
                counted.latencies[done.class].record(asked.elapsed());
                counted.units[done.class] += done.units;
            }
            Ok(_) => {}
            Err(status) => {
                if counts {
                    counted.errors += 1;
                    counted.first_error.get_or_insert_with(|| format!("{:?}: {}", status.code(), status.message()));
                }
                sleep(AFTER_ERROR).await;
            }
        }
    }
}
