//! A watch that survives its connection.
//!
//! ```text
//! next() ─▶ open at an end-point ─▶ created ─▶ events, progress ─▶ …
//!              ▲                                     │ cut off, no leader, silence
//!              └──────── from the next revision ◀────┘
//! ```
//!
//! Promises: revision order, no gap, no repeat, a revision's events together (fragments are merged), whichever
//! end-points serve it. History that is gone ends it with [`Error::Compacted`]. Dropping it cancels it at the server.
//! Does: nothing but when [`Watch::next`] is awaited, so a slow reader holds back the server and not this process'
//! memory. Source: etcd `client/v3/watch.go` (what counts as progress), `server/etcdserver/api/v3rpc/watch.go`.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};

use fairlead_proto::etcd::etcdserverpb::watch_client::WatchClient;

use super::endpoints::Endpoint;
use super::error::{Effect, Error};
use super::pb::watch_create_request::FilterType;
use super::pb::watch_request::RequestUnion;
use super::{Channel, Client, mvccpb, pb};

/// Requests on a stream that the connection has not taken yet: the creation, and progress requests.
const REQUESTS_BUFFERED_MAX: usize = 16;
/// How long an end-point may take to create a watch before the next one is tried.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);
/// First pause once every end-point has failed in a row; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What to watch, and how.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    create: pb::WatchCreateRequest,
    require_leader: bool,
}

impl WatchOptions {
    /// Exactly this request; fragments are asked for whatever it says, since they are merged here.
    #[must_use]
    pub fn new(create: pb::WatchCreateRequest) -> Self {
        WatchOptions { create: pb::WatchCreateRequest { fragment: true, ..create }, require_leader: true }
    }

    /// Begin with this revision's events; 0, the default, is whatever comes next.
    #[must_use]
    pub fn from(mut self, revision: i64) -> Self {
        self.create.start_revision = revision;
        self
    }

    /// Bring the previous value with each event.
    #[must_use]
    pub fn with_previous(mut self) -> Self {
        self.create.prev_kv = true;
        self
    }

    /// Have the server say how far it is when there is nothing to deliver.
    #[must_use]
    pub fn with_progress(mut self) -> Self {
        self.create.progress_notify = true;
        self
    }

    /// Leave out events of this kind.
    #[must_use]
    pub fn without(mut self, kind: FilterType) -> Self {
        self.create.filters.push(kind as i32);
        self
    }

    /// Stay with a member that has lost its leader. By default the watch moves on to another end-point, since a member
    /// that is cut off from the others has nothing to deliver.
    #[must_use]
    pub fn without_leader(mut self) -> Self {
        self.require_leader = false;
        self
    }
}

/// What a watch delivers.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Whole revisions, in order.
    Events {
        /// The store's revision when they were sent; at least that of the last event.
        revision: i64,
        /// In revision order; never empty.
        events: Vec<mvccpb::Event>,
    },
    /// Everything up to this revision has been delivered.
    Progress {
        /// The store's revision.
        revision: i64,
    },
}

/// A watch. See the module's head for what it promises.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    options: WatchOptions,
    /// The first revision not delivered yet; 0 until the server has said where "now" is.
    next_revision: i64,
    /// Fragments so far of the response that is coming in.
    fragments: Vec<mvccpb::Event>,
    stream: Option<OpenStream>,
    /// End-points that have failed since something was last delivered.
    failures: u32,
    /// Times that the watch was created.
    created: u64,
}

#[derive(Debug)]
struct OpenStream {
    endpoint: Arc<Endpoint>,
    requests: mpsc::Sender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
}

impl Client {
    /// Watches keys. Nothing is sent until [`Watch::next`] or [`Watch::open`] is awaited.
    #[must_use]
    pub fn watch(&self, options: WatchOptions) -> Watch {
        Watch {
            client: self.clone(),
            next_revision: options.create.start_revision,
            options,
            fragments: Vec::new(),
            stream: None,
            failures: 0,
            created: 0,
        }
    }
}

impl Watch {
    /// What comes next. Waits as long as it takes, through any number of lost connections.
    ///
    /// # Errors
    /// [`Error::Compacted`], [`Error::Cancelled`] and [`Error::Refused`] end the watch; awaiting it again tries anew from
    /// the same revision.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Update, Error> {
        loop {
            self.open().await?;
            if let Some(update) = self.receive().await? {
                return Ok(update);
            }
        }
    }

    /// Returns once the watch exists at a member: from here on nothing is missed.
    ///
    /// # Errors
    /// As for [`Watch::next`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn open(&mut self) -> Result<(), Error> {
        while self.stream.is_none() {
            self.pause().await;
            self.create().await?;
        }
        Ok(())
    }

    /// Asks the server how far it is; the answer is an [`Update::Progress`], and may not come while events are still on
    /// their way.
    ///
    /// # Errors
    /// As for [`Watch::next`].
    pub async fn request_progress(&mut self) -> Result<(), Error> {
        self.open().await?;
        let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
        if let Some(stream) = &self.stream
            && stream.requests.send(pb::WatchRequest { request_union: Some(progress) }).await.is_err()
        {
            self.cut_off();
        }
        Ok(())
    }

    /// The first revision that has not been delivered yet; 0 while the server has not said where "now" is.
    #[must_use]
    pub fn next_revision(&self) -> i64 {
        self.next_revision
    }

    /// How often the watch had to be created anew.
    #[must_use]
    pub fn resumes(&self) -> u64 {
        self.created.saturating_sub(1)
    }

    /// The same as a stream that ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Update, Error>> {
        futures::stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(update) => Some((Ok(update), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// One try at one end-point; `Ok` with the stream still closed when the next one is to be tried.
    async fn create(&mut self) -> Result<(), Error> {
        let endpoint = Arc::clone(self.client.endpoint());
        let opening = timeout(CREATE_TIMEOUT, self.open_at(Arc::clone(&endpoint)));
        let late = |_| Status::unavailable("no answer in time");
        let (stream, first) = match opening.await.map_err(late).flatten() {
            Ok(opened) => opened,
            Err(status) => return self.failed(&endpoint, status),
        };
        endpoint.answered();
        self.stream = Some(stream);
        self.created += 1;
        match self.accept(first)? {
            None => Ok(()),
            // The first response always only says "created"; anything else would be lost here.
            Some(_) => self.end(Error::Cancelled { reason: "the server has not said that it is created".to_owned() }),
        }
    }

    /// The stream and its first response.
    async fn open_at(&self, endpoint: Arc<Endpoint>) -> Result<(OpenStream, pb::WatchResponse), Status> {
        let (requests, outgoing) = mpsc::channel(REQUESTS_BUFFERED_MAX);
        let create = pb::WatchCreateRequest { start_revision: self.next_revision, ..self.options.create.clone() };
        let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.try_send(create).expect("the channel is new and has room");
        let mut request = Request::new(ReceiverStream::new(outgoing));
        if self.options.require_leader {
            request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        }
        let mut stub = WatchClient::<Channel>::new(endpoint.channel.clone()).max_decoding_message_size(usize::MAX);
        let mut responses = stub.watch(request).await?.into_inner();
        let first = responses.message().await?.ok_or_else(|| Status::unavailable("the stream has ended"))?;
        Ok((OpenStream { endpoint, requests, responses }, first))
    }

    /// One response; `None` when there is nothing to deliver yet.
    async fn receive(&mut self) -> Result<Option<Update>, Error> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let endpoint = Arc::clone(&stream.endpoint);
        match stream.responses.message().await {
            Ok(Some(response)) => self.accept(response),
            Ok(None) => self.failed(&endpoint, Status::unavailable("the stream has ended")).map(|()| None),
            Err(status) => self.failed(&endpoint, status).map(|()| None),
        }
    }

    fn accept(&mut self, response: pb::WatchResponse) -> Result<Option<Update>, Error> {
        if response.compact_revision != 0 {
            return self.end(Error::Compacted { compact_revision: response.compact_revision });
        }
        if response.canceled {
            return self.end(Error::Cancelled { reason: response.cancel_reason });
        }
        let revision = response.header.map_or(0, |header| header.revision);
        if response.created {
            // A watch from "now" has a place from here on, and keeps it whoever serves it next.
            if self.next_revision == 0 {
                self.next_revision = revision + 1;
            }
            return Ok(None);
        }
        self.failures = 0;
        let is_progress = response.events.is_empty() && self.fragments.is_empty();
        self.fragments.extend(response.events);
        if response.fragment {
            return Ok(None);
        }
        if is_progress {
            self.next_revision = self.next_revision.max(revision + 1);
            return Ok(Some(Update::Progress { revision }));
        }
        let mut events = std::mem::take(&mut self.fragments);
        events.retain(|event| mod_revision(event) >= self.next_revision);
        let Some(last) = events.last() else { return Ok(None) };
        self.next_revision = mod_revision(last) + 1;
        Ok(Some(Update::Events { revision, events }))
    }

    /// What a failed stream means: an error if it would fail anywhere, else another end-point.
    fn failed(&mut self, endpoint: &Endpoint, status: Status) -> Result<(), Error> {
        match status.code() {
            Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::OutOfRange => self.end(Error::from_status(Effect::Read, &endpoint.name, status)),
            _ => {
                tracing::debug!(endpoint = endpoint.name, %status, self.next_revision, "watch was cut off");
                endpoint.failed();
                self.cut_off();
                Ok(())
            }
        }
    }

    fn cut_off(&mut self) {
        self.close();
        self.failures = self.failures.saturating_add(1);
    }

    fn end<T>(&mut self, error: Error) -> Result<T, Error> {
        self.close();
        Err(error)
    }

    /// A response of which only some fragments have come will come again whole.
    fn close(&mut self) {
        self.stream = None;
        self.fragments.clear();
    }

    /// None while there are end-points that have not been tried.
    async fn pause(&self) {
        let endpoints = u32::try_from(self.client.endpoint_count()).unwrap_or(u32::MAX);
        if let Some(rounds) = (self.failures / endpoints).checked_sub(1) {
            let pause = PAUSE_MIN.saturating_mul(1 << rounds.min(10));
            tokio::time::sleep(pause.min(PAUSE_MAX)).await;
        }
    }
}

fn mod_revision(event: &mvccpb::Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

#[cfg(test)]
mod watch_test;
