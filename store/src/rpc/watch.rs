//! Watch: one task per stream turns requests into watchers and what comes for them into responses.
//!
//! ```text
//! requests ──▶ watch::Stream: create, cancel, progress ──▶ answered at once
//! hub ───────▶ watch::Stream: events, progress, compacted ──▶ headers, prev_kv, fragments ──▶ responses
//! ```
//! Promises: "created" comes before that watcher's events, nothing comes after "canceled"; a response's revision covers its
//! events. The stream is driven by its client's reading: requests wait in HTTP/2's window while responses are not taken,
//! so that what one client can make the member hold is the hub's bound.
//! Does not: match, order or queue events (the hub does). A client that half-closes goes on receiving, as with etcd.
//! Source: etcd `server/etcdserver/api/v3rpc/watch.go`.

use std::collections::VecDeque;

use fairlead_proto::encoded;
use fairlead_proto::served::etcdserverpb as pb;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream as Items, StreamExt, stream};
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;
use pb::watch_server::Watch;
use prost::Message;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tonic::{Code, Request, Response, Status, Streaming};

use super::Context;
use super::leaderless::leaderless;
use super::status::{NO_LEADER, STOPPED, WATCH_CANCELED};
use crate::planted::{self, Bug};
use crate::watch::{Filters, KeyRange, Output, Refused, Spec, Stream};

/// The id of responses that belong to no watcher.
const NO_WATCH_ID: i64 = -1;

/// etcd's text where a range has no key.
const EMPTY_RANGE: &str = "mvcc: watcher range is empty";

/// Turns of the runtime that a stream leaves to others before it sends an event. A commit wakes every stream that watches
/// its keys; what a put still has to do passes before a thousand of them. Measured with 50 puts a second and 1,000 streams:
/// a put's median is 3.7 ms instead of 7.1, an event's 6.8 ms instead of 6.2; more turns gain nothing.
const TURNS_GIVEN: u32 = 3;

/// The service.
#[derive(Clone)]
pub struct WatchService {
    ctx: Context,
}

impl WatchService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> WatchService {
        WatchService { ctx }
    }
}

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = BoxStream<'static, Result<pb::WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let leaderless = leaderless(&self.ctx, request.metadata());
        let session = Session::new(self.ctx.clone(), request.into_inner().boxed(), leaderless);
        Ok(Response::new(session.into_stream().boxed()))
    }
}

/// One stream of a client.
struct Session {
    ctx: Context,
    requests: BoxStream<'static, Result<pb::WatchRequest, Status>>,
    /// The client has said that it has no more requests.
    half_closed: bool,
    watchers: Stream,
    ticks: Interval,
    leaderless: BoxFuture<'static, ()>,
    /// Made and not yet taken.
    ready: VecDeque<pb::WatchResponse>,
}

/// What happened on a stream.
enum Happened {
    Requested(Option<Result<pb::WatchRequest, Status>>),
    Came(Output),
    Ticked,
}

impl Session {
    fn new(
        ctx: Context,
        requests: BoxStream<'static, Result<pb::WatchRequest, Status>>,
        leaderless: BoxFuture<'static, ()>,
    ) -> Session {
        let period = ctx.hub.progress_interval();
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watchers = ctx.hub.open();
        Session { ctx, requests, half_closed: false, watchers, ticks, leaderless, ready: VecDeque::new() }
    }

    /// The responses; dropping them ends the watchers.
    fn into_stream(self) -> impl Items<Item = Result<pb::WatchResponse, Status>> {
        stream::try_unfold(self, |mut session| async move {
            let response = session.next().await?;
            Ok(Some((response, session)))
        })
    }

    async fn next(&mut self) -> Result<pb::WatchResponse, Status> {
        loop {
            if let Some(response) = self.ready.pop_front() {
                fail::fail_point!("beforeSendWatchResponse");
                return Ok(response);
            }
            let happened = tokio::select! {
                biased;
                () = self.ctx.shutdown.cancelled() => return Err(STOPPED.into()),
                () = &mut self.leaderless => return Err(NO_LEADER.into()),
                request = self.requests.next(), if !self.half_closed => Happened::Requested(request),
                output = self.watchers.next() => Happened::Came(output),
                _ = self.ticks.tick() => Happened::Ticked,
            };
            match happened {
                Happened::Requested(None) => self.half_closed = true,
                Happened::Requested(Some(request)) => {
                    self.requested(request.map_err(|status| {
                        self.ctx.stream_failed("watch", &status);
                        ended(status)
                    })?);
                }
                Happened::Came(output) => {
                    for _ in 0..TURNS_GIVEN {
                        tokio::task::yield_now().await;
                    }
                    self.came(output).await?;
                }
                Happened::Ticked => self.watchers.tick(),
            }
        }
    }

    fn requested(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => {
                let answer = self.create(create);
                self.ready.push_back(answer);
            }
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.watchers.request_progress(),
            None => {}
        }
    }

    /// A cancel without a watcher has no answer.
    fn cancel(&mut self, watch_id: i64) {
        if self.watchers.cancel(watch_id) {
            let header = Some(self.ctx.header(self.watchers.revision()));
            self.ready.push_back(pb::WatchResponse { header, watch_id, canceled: true, ..Default::default() });
        }
    }

    fn create(&mut self, r: pb::WatchCreateRequest) -> pb::WatchResponse {
        if r.start_revision < 0 {
            return self.refused(Refused::NegativeStart.to_string());
        }
        let Some(range) = KeyRange::from_wire(r.key, r.range_end) else { return self.refused(EMPTY_RANGE.to_owned()) };
        let drops = |kind: FilterType| r.filters.contains(&(kind as i32));
        let spec = Spec {
            range,
            filters: Filters { no_put: drops(FilterType::Noput), no_delete: drops(FilterType::Nodelete) },
            previous: r.prev_kv,
            progress_notify: r.progress_notify,
            fragment: r.fragment,
            start_revision: r.start_revision,
        };
        match self.watchers.create(r.watch_id, spec) {
            Ok(made) => pb::WatchResponse {
                header: Some(self.ctx.header(made.revision)),
                watch_id: made.watch_id,
                created: true,
                ..Default::default()
            },
            Err(refused) => self.refused(refused.to_string()),
        }
    }

    /// A watcher that was not made is told as created and canceled in one, and the stream goes on.
    fn refused(&self, cancel_reason: String) -> pb::WatchResponse {
        pb::WatchResponse {
            header: Some(self.ctx.header(self.watchers.revision())),
            watch_id: NO_WATCH_ID,
            created: true,
            canceled: true,
            cancel_reason,
            ..Default::default()
        }
    }

    async fn came(&mut self, output: Output) -> Result<(), Status> {
        match output {
            Output::Events(delivery) => {
                let events = delivery.events(self.ctx.hub.source()).await.map_err(|error| {
                    tracing::error!(%error, "reading values before failed");
                    Status::internal(error.to_string())
                })?;
                self.ctx.metrics.mvcc.events_total.inc_by(events.len() as u64);
                let header = Some(self.ctx.header(delivery.revision()));
                let whole = pb::WatchResponse { header, watch_id: delivery.watch_id(), events, ..Default::default() };
                match delivery.fragment() {
                    true => self.ready.extend(fragments(whole, self.ctx.limits.receive_bytes_max())),
                    false if planted::is(Bug::RevisionSplit) => self.ready.extend(one_by_one(whole)),
                    false => self.ready.push_back(whole),
                }
            }
            Output::Progress { watch_id, revision } => {
                let header = Some(self.ctx.header(revision));
                self.ready.push_back(pb::WatchResponse { header, watch_id, ..Default::default() });
            }
            Output::Compacted { watch_id, compact_revision } => {
                let header = Some(self.ctx.header(0));
                let ended = pb::WatchResponse { header, watch_id, canceled: true, ..Default::default() };
                self.ready.push_back(pb::WatchResponse { compact_revision, ..ended });
            }
        }
        Ok(())
    }
}

/// Cuts a response of `bytes_max` or more between events; all pieces but the last are marked.
fn fragments(mut whole: pb::WatchResponse, bytes_max: usize) -> Vec<pb::WatchResponse> {
    if whole.encoded_len() < bytes_max || whole.events.len() < 2 {
        return vec![whole];
    }
    let events = std::mem::take(&mut whole.events);
    let empty_bytes = pb::WatchResponse { fragment: true, ..whole.clone() }.encoded_len();
    let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), empty_bytes);
    for event in events {
        let event_bytes = framed_len(&event);
        if !piece.is_empty() && bytes + event_bytes >= bytes_max {
            let events = std::mem::take(&mut piece);
            pieces.push(pb::WatchResponse { events, fragment: true, ..whole.clone() });
            bytes = empty_bytes;
        }
        bytes += event_bytes;
        piece.push(event);
    }
    pieces.push(pb::WatchResponse { events: piece, ..whole });
    pieces
}

/// A response for each event.
fn one_by_one(mut whole: pb::WatchResponse) -> Vec<pb::WatchResponse> {
    let events = std::mem::take(&mut whole.events);
    events.into_iter().map(|event| pb::WatchResponse { events: vec![event], ..whole.clone() }).collect()
}

/// Bytes of an event within a response: tag, length, itself.
fn framed_len(event: &encoded::Event) -> usize {
    1 + prost::length_delimiter_len(event.0.len()) + event.0.len()
}

/// How a stream ends whose client went away; other errors stay as they are.
fn ended(status: Status) -> Status {
    if status.code() == Code::Cancelled { WATCH_CANCELED.into() } else { status }
}

#[cfg(test)]
#[path = "watch_test.rs"]
mod tests;
