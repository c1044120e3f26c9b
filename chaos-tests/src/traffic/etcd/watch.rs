//! Watches: a swarm that opens at revisions around the present one, and a scribe for each member that follows everything.
//!
//! Every response is recorded as it came. A watch that breaks goes on as a new one that says which it resumes. The scribes
//! watch the whole store from its first revision: they settle what clients do not know, and show that a member's watch goes
//! on over whatever is done to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fairlead_client::etcd::{Channel, ConnectOptions, Error};
use fairlead_proto::etcd::etcdserverpb as pb;
use pb::watch_client::WatchClient;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{Seat, Worker, wire};
use crate::history::{Batch, Canceled, CloseCause, Closed, Created, Open, Progress, Range, Request, WatchStep};
use crate::record::Recorder;

/// How long a server may take to say that a watch exists (etcd's robustness tests: 500 ms).
const CREATED_WITHIN: Duration = Duration::from_millis(500);
/// A scribe has to have one on a member that is slow, too.
const SCRIBE_CREATED_WITHIN: Duration = Duration::from_secs(5);
/// Between two tries of a scribe.
const SCRIBE_PAUSE: Duration = Duration::from_millis(200);
/// Requests of one stream that the connection has not taken yet.
const REQUESTS_BUFFERED_MAX: usize = 8;
/// How far around the present revision a watch begins (etcd's robustness tests).
const AROUND: u64 = 100;
/// How long a watch of the swarm is followed.
const FOLLOW_MS: (u64, u64) = (300, 6_000);
/// How long a watch is followed that only wants to see where it begins.
const LOOK: Duration = Duration::from_millis(100);
/// Prefixes that traffic writes to; the empty one is everything.
const PREFIXES: [&str; 7] = ["r/", "c/", "list/", "l/", "t/", "/registry/pods/", ""];

/// A watch that exists at a server. Dropped before it has ended, it is recorded as closed by its client.
struct Following {
    recorder: Arc<Recorder>,
    number: u64,
    over: bool,
    requests: mpsc::Sender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
    fragment: bool,
}

/// How following a watch has ended.
enum Ended {
    /// The time is over; the watch is still there.
    Time,
    /// The server has given it up, the stream has ended.
    Gone { compacted: bool },
}

fn channel(seat: &Seat) -> Result<Channel, Error> {
    seat.channel(ConnectOptions { timeout: Duration::from_secs(1), ..ConnectOptions::default() })
}

fn create(open: &Open) -> pb::WatchRequest {
    let filters = [(open.no_put, FilterType::Noput), (open.no_delete, FilterType::Nodelete)];
    let create = pb::WatchCreateRequest {
        key: open.key.clone().into(),
        range_end: open.end.clone().unwrap_or_default().into(),
        start_revision: open.from,
        progress_notify: open.progress,
        prev_kv: open.previous,
        fragment: open.fragment,
        filters: filters.into_iter().filter(|(wanted, _)| *wanted).map(|(_, filter)| filter.into()).collect(),
        ..Default::default()
    };
    pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

/// Opens a watch and records what comes of it; `None` when the server did not create it in time.
async fn open(recorder: &Arc<Recorder>, channel: Channel, open: Open, within: Duration) -> Option<Following> {
    let number = recorder.watch_number();
    let (requests, outgoing) = mpsc::channel(REQUESTS_BUFFERED_MAX);
    requests.try_send(create(&open)).expect("the channel is new and has room");
    let mut request = tonic::Request::new(ReceiverStream::new(outgoing));
    if open.require_leader {
        request.metadata_mut().insert("hasleader", tonic::metadata::MetadataValue::from_static("true"));
    }
    let fragment = open.fragment;
    recorder.watch(number, WatchStep::Open(open));
    let mut stub = WatchClient::<Channel>::new(channel).max_decoding_message_size(usize::MAX);
    let opening = async {
        let mut responses = stub.watch(request).await?.into_inner();
        let first = responses.message().await?;
        Ok::<_, Status>((responses, first))
    };
    match timeout(within, opening).await {
        Ok(Ok((responses, Some(first)))) => {
            let mut following =
                Following { recorder: Arc::clone(recorder), number, over: false, requests, responses, fragment };
            if first.created {
                let revision = first.header.as_ref().map_or(0, |header| header.revision);
                recorder.watch(number, WatchStep::Created(Created { revision }));
            }
            // A refused watch is created and cancelled in one response.
            match first.canceled {
                true => {
                    canceled(recorder, number, &first);
                    following.over = true;
                    None
                }
                false => Some(following),
            }
        }
        Ok(Ok((_, None))) => closed(recorder, number, CloseCause::Server, "the stream has ended"),
        Ok(Err(status)) => closed(recorder, number, cause(&status), &status.to_string()),
        Err(_) => closed(recorder, number, CloseCause::Client, "not created in time"),
    }
}

fn closed<T>(recorder: &Recorder, number: u64, by: CloseCause, reason: &str) -> Option<T> {
    recorder.watch(number, WatchStep::Closed(Closed { by, reason: reason.to_owned() }));
    None
}

fn canceled(recorder: &Recorder, number: u64, response: &pb::WatchResponse) {
    let canceled = Canceled { compact_revision: response.compact_revision, reason: response.cancel_reason.clone() };
    recorder.watch(number, WatchStep::Canceled(canceled));
}

/// A status that the server sent has no source; the transport's have one.
fn cause(status: &Status) -> CloseCause {
    let by_transport = std::error::Error::source(status).is_some() || status.code() == Code::Unknown;
    if by_transport { CloseCause::Connection } else { CloseCause::Server }
}

impl Following {
    /// Records responses until `until`; tells `seen` of each revision up to which everything has come.
    async fn follow(&mut self, until: Instant, seen: impl FnMut(i64)) -> Ended {
        let ended = self.receive(until, seen).await;
        self.over = matches!(ended, Ended::Gone { .. });
        ended
    }

    async fn receive(&mut self, until: Instant, mut seen: impl FnMut(i64)) -> Ended {
        let recorder = &self.recorder;
        loop {
            let Ok(received) = timeout_at(until, self.responses.message()).await else { return Ended::Time };
            let response = match received {
                Ok(Some(response)) => response,
                Ok(None) => {
                    closed::<()>(recorder, self.number, CloseCause::Server, "the stream has ended");
                    return Ended::Gone { compacted: false };
                }
                Err(status) => {
                    closed::<()>(recorder, self.number, cause(&status), &status.to_string());
                    return Ended::Gone { compacted: false };
                }
            };
            let revision = response.header.as_ref().map_or(0, |header| header.revision);
            if response.canceled {
                canceled(recorder, self.number, &response);
                return Ended::Gone { compacted: response.compact_revision != 0 };
            }
            if response.events.is_empty() {
                if !response.created && !response.fragment {
                    recorder.watch(self.number, WatchStep::Progress(Progress { revision }));
                    seen(revision);
                }
                continue;
            }
            let last = response.events.last().and_then(|event| event.kv.as_ref()).map_or(0, |kv| kv.mod_revision);
            let events = response.events.iter().map(wire::event).collect();
            let fragment = self.fragment && response.fragment;
            recorder.watch(self.number, WatchStep::Events(Batch { revision, fragment, events }));
            // What a fragment belongs to has not come whole yet.
            seen(if fragment { last - 1 } else { last });
        }
    }

    async fn ask_progress(&self) {
        let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
        // A full or closed channel: the stream is busy or over, which `follow` records.
        self.requests.try_send(pb::WatchRequest { request_union: Some(progress) }).unwrap_or_default();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if !self.over {
            closed::<()>(&self.recorder, self.number, CloseCause::Client, "");
        }
    }
}

/// The swarm's worker.
pub(super) async fn work(worker: &mut Worker) {
    loop {
        let seats = Arc::clone(&worker.seats);
        let Some(seat) = worker.random.pick(&seats).cloned() else { return };
        let Ok(channel) = channel(&seat) else { return };
        let now = Request::Range(Range { key: "r/0".into(), serializable: true, ..Range::default() });
        let now = worker.session.ask(now).await.revision().unwrap_or(0);
        let mut open_as = draw(worker, seat.member, now);
        // A watch and up to two that go on for it.
        for _ in 0..3 {
            let Some(mut following) = open(&worker.recorder, channel.clone(), open_as.clone(), CREATED_WITHIN).await
            else {
                break;
            };
            let mut next = open_as.from;
            let time = Duration::from_millis(worker.random.between(FOLLOW_MS.0, FOLLOW_MS.1));
            let ended = swarm_follow(worker, &mut following, time, &mut next).await;
            let number = following.number;
            drop(following);
            if matches!(ended, Ended::Gone { compacted: true }) || next == 0 {
                break;
            }
            open_as = Open { from: next, resumes: Some(number), client: worker.recorder.client(), ..open_as };
        }
        worker.rest().await;
    }
}

/// Watches everything from a revision for a moment, at some member.
pub(super) async fn look_from(worker: &mut Worker, from: i64) {
    let seats = Arc::clone(&worker.seats);
    let Some(seat) = worker.random.pick(&seats) else { return };
    let Ok(channel) = channel(seat) else { return };
    let (client, member) = (worker.session.number(), seat.member);
    let everything = Open { client, member, key: "\0".to_owned(), end: Some("\0".to_owned()), from, ..Open::default() };
    if let Some(mut following) = open(&worker.recorder, channel, everything, CREATED_WITHIN).await {
        following.follow(Instant::now() + LOOK, |_| {}).await;
    }
}

/// Follows for `time`, asking for progress now and then.
async fn swarm_follow(worker: &mut Worker, following: &mut Following, time: Duration, next: &mut i64) -> Ended {
    let until = Instant::now() + time;
    let asks = worker.random.chance(300);
    loop {
        let step = if asks { (Instant::now() + Duration::from_millis(50)).min(until) } else { until };
        let ended = following.follow(step, |revision| *next = (*next).max(revision + 1)).await;
        if matches!(ended, Ended::Gone { .. }) || Instant::now() >= until {
            return ended;
        }
        following.ask_progress().await;
    }
}

fn draw(worker: &mut Worker, member: u64, now: i64) -> Open {
    let random = &mut worker.random;
    let prefix = *random.pick(&PREFIXES).expect("there are prefixes");
    let around = i64::try_from(random.below(2 * AROUND + 1)).unwrap_or(0) - i64::try_from(AROUND).unwrap_or(0);
    let (key, end) = match prefix {
        "" => ("\0".to_owned(), "\0".to_owned()),
        prefix => (prefix.to_owned(), format!("{}{}", &prefix[..prefix.len() - 1], '0')),
    };
    let filtered = random.below(20);
    Open {
        client: worker.session.number(),
        member,
        key,
        end: Some(end),
        from: if now == 0 || random.chance(300) { 0 } else { (now + around).max(1) },
        previous: random.chance(500),
        fragment: random.chance(300),
        progress: random.chance(300),
        require_leader: random.chance(500),
        no_put: filtered == 0,
        no_delete: filtered == 1,
        resumes: None,
    }
}

/// How far a scribe has come.
#[derive(Debug)]
pub(crate) struct Scribe {
    /// Its member.
    pub(crate) member: u64,
    revision: watch::Receiver<i64>,
}

/// A scribe for each member.
#[derive(Debug)]
pub(crate) struct Scribes {
    pub(crate) each: Vec<Scribe>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Scribes {
    /// Starts one for each member.
    ///
    /// # Errors
    /// When a member's URL cannot be used.
    pub(crate) fn start(recorder: &Arc<Recorder>, seats: &[Seat]) -> Result<Scribes, Error> {
        let mut scribes = Scribes { each: Vec::new(), stop: CancellationToken::new(), tasks: JoinSet::new() };
        for seat in seats {
            let (sender, revision) = watch::channel(0);
            scribes.each.push(Scribe { member: seat.member, revision });
            let (recorder, member, channel, stop) =
                (Arc::clone(recorder), seat.member, channel(seat)?, scribes.stop.clone());
            scribes.tasks.spawn(async move {
                // `None`: it was stopped, which is how it ends.
                stop.run_until_cancelled(write_down(&recorder, member, channel, &sender)).await.unwrap_or_default();
            });
        }
        Ok(scribes)
    }

    /// Waits until all have come to `revision`; those that have not within `limit`.
    pub(crate) async fn reach(&mut self, revision: i64, limit: Duration) -> Vec<u64> {
        let until = Instant::now() + limit;
        let mut late = Vec::new();
        for scribe in &mut self.each {
            let reached = timeout_at(until, scribe.revision.wait_for(|seen| *seen >= revision)).await;
            if !matches!(reached, Ok(Ok(_))) {
                late.push(scribe.member);
            }
        }
        late
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn write_down(recorder: &Arc<Recorder>, member: u64, channel: Channel, seen: &watch::Sender<i64>) {
    let (next, mut resumes, mut compacted) = (AtomicI64::new(1), None, false);
    loop {
        let open_as = Open {
            client: recorder.client(),
            member,
            key: "\0".to_owned(),
            end: Some("\0".to_owned()),
            // Behind a compaction that it has missed, it begins anew at the present.
            from: if compacted { 0 } else { next.load(Ordering::Relaxed) },
            progress: true,
            resumes: resumes.filter(|_| !compacted),
            ..Open::default()
        };
        compacted = false;
        if let Some(mut following) = open(recorder, channel.clone(), open_as, SCRIBE_CREATED_WITHIN).await {
            let for_ever = Instant::now() + Duration::from_secs(24 * 60 * 60);
            let ended = following.follow(for_ever, |revision| {
                next.fetch_max(revision + 1, Ordering::Relaxed);
                seen.send_if_modified(|seen| std::mem::replace(seen, revision.max(*seen)) < revision);
            });
            if let Ended::Gone { compacted: gone } = ended.await {
                compacted = gone;
            }
            resumes = Some(following.number);
        }
        tokio::time::sleep(SCRIBE_PAUSE).await;
    }
}
