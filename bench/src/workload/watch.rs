//! Watch fan-out: every watcher sees every put, each on a stream of its own.
//!
//! Both targets get the same number of puts, and the clock runs until the last watcher has seen the last of them; an event that
//! does not come within a bound is missing. A value carries the time at which its put was sent, so that a watcher knows how
//! long the event was under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use fairlead_proto::etcd::etcdserverpb::watch_client::WatchClient;
use fairlead_proto::etcd::mvccpb::Event;
use pb::watch_request::RequestUnion;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::fill::VALUE_BYTES;
use crate::Error;
use crate::closed_loop::millis;
use crate::connect::{channels, kvs};
use crate::latency::Latencies;
use crate::sample::{Figure, Sample};
use crate::target::Running;
use crate::values::{Random, value};

const WRITERS: u64 = 16;
/// Events a second of the length that is asked for, when the puts are not paced: what etcd delivers on a machine of two cores.
/// More length is more puts.
const FLAT_EVENTS_PER_SECOND: u64 = 200_000;
/// How long after the last put an event may come.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

/// How fast puts come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// By one client, at this rate whatever the answers take.
    PerSecond(u32),
    /// By 16 clients, each as soon as its last is answered.
    FlatOut,
}

/// How many watch, and how fast puts come.
#[derive(Clone, Copy, Debug)]
pub(super) struct FanOut {
    pub(super) watchers: usize,
    pub(super) pace: Pace,
}

impl FanOut {
    fn puts(&self, length: Duration) -> u64 {
        let seconds = length.as_secs_f64();
        let puts = match self.pace {
            Pace::PerSecond(rate) => seconds * f64::from(rate),
            Pace::FlatOut => seconds * FLAT_EVENTS_PER_SECOND as f64 / self.watchers as f64,
        };
        (puts as u64).max(WRITERS)
    }
}

/// An open watch.
pub(super) struct Watching {
    /// What it is told.
    pub(super) events: Streaming<pb::WatchResponse>,
    /// Held, since the stream ends with it.
    _requests: mpsc::Sender<pb::WatchRequest>,
}

/// Opens a watch of `from..to` and waits until it is created.
pub(super) async fn open(channel: Channel, (key, range_end): (Bytes, Bytes)) -> Result<Watching, Status> {
    let (requests, stream) = mpsc::channel(1);
    let create = pb::WatchCreateRequest { key, range_end, ..Default::default() };
    let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    requests.send(create).await.map_err(|_| Status::unavailable("the stream has ended"))?;
    let mut events = WatchClient::new(channel).watch(ReceiverStream::new(stream)).await?.into_inner();
    match events.message().await? {
        Some(answer) if answer.created && !answer.canceled => Ok(Watching { events, _requests: requests }),
        _ => Err(Status::aborted("the watch was not created")),
    }
}

struct Watcher {
    watching: Watching,
    seen: u64,
    latencies: Latencies,
    ended: Option<Status>,
}

impl Watcher {
    /// Counts events until there are as many as `expected` says at last, or none comes any more.
    async fn follow(mut self, mut expected: watch::Receiver<u64>, epoch: Instant) -> Watcher {
        while self.seen < *expected.borrow() {
            tokio::select! {
                message = self.watching.events.message() => match message {
                    Ok(Some(answer)) => self.count(&answer.events, epoch),
                    Ok(None) => break,
                    Err(status) => {
                        self.ended = Some(status);
                        break;
                    }
                },
                // Its end is the end of the repetition.
                changed = expected.changed() => if changed.is_err() { break },
            }
        }
        self
    }

    fn count(&mut self, events: &[Event], epoch: Instant) {
        let now = epoch.elapsed();
        self.seen += events.len() as u64;
        for event in events {
            let stamp = event.kv.as_ref().and_then(|kv| kv.value.first_chunk());
            let sent = Duration::from_nanos(stamp.map_or(0, |stamp| u64::from_be_bytes(*stamp)));
            self.latencies.record(now.saturating_sub(sent));
        }
    }
}

#[derive(Default)]
struct Written {
    puts: Latencies,
    errors: u64,
    first_error: Option<String>,
}

struct Writer {
    kv: KvClient<Channel>,
    random: Random,
    set: String,
    /// Puts that are still to be sent, of all writers together.
    left: Arc<AtomicU64>,
}

impl Writer {
    async fn write(mut self, pace: Pace, epoch: Instant) -> Written {
        let mut written = Written::default();
        let mut ticks = match pace {
            Pace::PerSecond(rate) => {
                let mut ticks = interval(Duration::from_secs(1) / rate);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                Some(ticks)
            }
            Pace::FlatOut => None,
        };
        let one_less = |left: u64| left.checked_sub(1);
        while let Ok(left) = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let key = Bytes::from(format!("{}{:02}", self.set, left % WRITERS));
            let asked = Instant::now();
            let mut stamped = BytesMut::with_capacity(VALUE_BYTES);
            stamped.put_u64((asked - epoch).as_nanos() as u64);
            stamped.put(value(&mut self.random, VALUE_BYTES - stamped.len()));
            match self.kv.put(pb::PutRequest { key, value: stamped.freeze(), ..Default::default() }).await {
                Ok(_) => written.puts.record(asked.elapsed()),
                Err(status) => {
                    written.errors += 1;
                    written.first_error.get_or_insert_with(|| format!("{:?}: {}", status.code(), status.message()));
                }
            }
        }
        written
    }
}

/// Writes everything, and what that took.
async fn write_all(writers: Vec<Writer>, pace: Pace, epoch: Instant) -> Written {
    let mut tasks = JoinSet::new();
    for writer in writers {
        tasks.spawn(writer.write(pace, epoch));
    }
    let mut all = Written::default();
    while let Some(done) = tasks.join_next().await {
        let one = done.expect("a writer does not panic");
        all.puts.add(&one.puts);
        all.errors += one.errors;
        all.first_error = all.first_error.or(one.first_error);
    }
    all
}

pub(super) async fn measure(target: &Running, fan_out: FanOut, length: Duration) -> Result<Sample, Error> {
    let set = format!("bench/watch/{}/", fan_out.watchers);
    let bounds = (Bytes::from(set.clone()), Bytes::from(set.trim_end_matches('/').to_owned() + "0"));
    let (told, expected) = watch::channel(u64::MAX);
    let epoch = Instant::now();
    let channels = channels(&target.endpoints, fan_out.watchers).await?;
    let mut watchers = Vec::new();
    for channel in channels.iter().cycle().take(fan_out.watchers) {
        let watching = open(channel.clone(), bounds.clone()).await.map_err(Error::request("watch"))?;
        watchers.push(Watcher { watching, seen: 0, latencies: Latencies::default(), ended: None });
    }
    let writers = if matches!(fan_out.pace, Pace::FlatOut) { WRITERS as usize } else { 1 };
    let left = Arc::new(AtomicU64::new(fan_out.puts(length)));
    let kvs = kvs(&target.endpoints, writers).await?;
    let writer = |(seed, kv)| Writer { kv, random: Random::new(seed), set: set.clone(), left: Arc::clone(&left) };
    let writers = (1..).zip(kvs).map(writer).collect();

    let mut tasks = JoinSet::new();
    let (begun, cpu) = (Instant::now(), target.cpu_seconds()?);
    for watcher in watchers {
        tasks.spawn(watcher.follow(expected.clone(), epoch));
    }
    let written = write_all(writers, fan_out.pace, epoch).await;
    told.send_replace(written.puts.count());
    let (mut events, mut delivered, mut ended) = (0, Latencies::default(), None);
    let deadline = Instant::now() + DRAIN_WITHIN;
    while let Ok(Some(done)) = timeout_at(deadline, tasks.join_next()).await {
        let watcher = done.expect("a watcher does not panic");
        events += watcher.seen;
        delivered.add(&watcher.latencies);
        ended = ended.or(watcher.ended);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = target.cpu_seconds()?.zip(cpu).map(|(after, before)| after - before);

    let wanted = written.puts.count() * fan_out.watchers as u64;
    let mut sample = Sample {
        operations: events,
        errors: written.errors,
        first_error: written.first_error,
        missing: wanted.saturating_sub(events),
        ..Sample::default()
    };
    if let Some(status) = ended {
        sample.refuse(|| format!("a watch has ended: {:?}: {}", status.code(), status.message()));
    }
    Ok(sample
        .with(Figure::Rate, events as f64 / seconds)
        .with_some(Figure::P50, millis(&delivered, 0.5))
        .with_some(Figure::P99, millis(&delivered, 0.99))
        .with_some(Figure::Cpu, cpu.map(|cpu| cpu * 1e6 / events.max(1) as f64))
        .with_some(Figure::PutP50, millis(&written.puts, 0.5))
        .with_some(Figure::PutP99, millis(&written.puts, 0.99))
        .judged())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_targets_get_as_many_puts_whatever_their_speed() {
        let puts = |watchers, pace| FanOut { watchers, pace }.puts(Duration::from_secs(2));
        assert_eq!(puts(1_000, Pace::PerSecond(50)), 100);
        assert_eq!(puts(1_000, Pace::FlatOut), 400);
        assert_eq!(puts(100, Pace::FlatOut), 4_000);
        assert_eq!(FanOut { watchers: 1, pace: Pace::PerSecond(1) }.puts(Duration::from_millis(1)), WRITERS);
    }
}
