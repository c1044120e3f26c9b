//! One watch stream, as a row sees it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fairlead_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use fairlead_proto::etcd::etcdserverpb::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use crate::env::Env;
use crate::request::bytes;
use crate::show::{Show, failed};
use crate::stream::Answers;

/// How long nothing must come where nothing may come.
const QUIET_FOR: Duration = Duration::from_millis(400);
/// Requests not yet taken by the transport.
const REQUESTS_PENDING_MAX: usize = 16;

/// An open stream.
pub(crate) struct Watching {
    requests: mpsc::Sender<WatchRequest>,
    responses: Answers<WatchResponse>,
    show: Show,
}

/// Watches `key` up to `end`.
pub(crate) fn watch(key: &str, end: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: bytes(key), range_end: bytes(end), ..Default::default() }
}

impl Watching {
    pub(crate) fn open(env: &Env) -> Watching {
        Watching::open_with(env, |_| ())
    }

    /// Opens a stream whose request `adjust` may give metadata.
    pub(crate) fn open_with(env: &Env, adjust: impl FnOnce(&mut Request<ReceiverStream<WatchRequest>>)) -> Watching {
        let (requests, stream) = mpsc::channel(REQUESTS_PENDING_MAX);
        let mut request = Request::new(ReceiverStream::new(stream));
        adjust(&mut request);
        let mut client = env.watch_client();
        let responses = Answers::of(async move { client.watch(request).await });
        Watching { requests, responses, show: env.show.clone() }
    }

    pub(crate) async fn send(&self, request: Option<RequestUnion>) -> anyhow::Result<()> {
        self.requests.send(WatchRequest { request_union: request }).await.context("the stream is closed")
    }

    /// Asks for a watch and returns the rendered answer.
    pub(crate) async fn create(&mut self, request: WatchCreateRequest) -> anyhow::Result<String> {
        self.send(Some(RequestUnion::CreateRequest(request))).await?;
        self.next().await
    }

    /// Asks for a watch that must be created.
    pub(crate) async fn created(&mut self, request: WatchCreateRequest) -> anyhow::Result<()> {
        let answer = self.create(request).await?;
        ensure!(answer.contains(" created r"), "not created: {answer}");
        Ok(())
    }

    pub(crate) async fn cancel(&self, watch_id: i64) -> anyhow::Result<()> {
        self.send(Some(RequestUnion::CancelRequest(WatchCancelRequest { watch_id }))).await
    }

    pub(crate) async fn progress(&self) -> anyhow::Result<()> {
        self.send(Some(RequestUnion::ProgressRequest(WatchProgressRequest {}))).await
    }

    /// The next response, rendered; a failed stream renders as its status.
    pub(crate) async fn next(&mut self) -> anyhow::Result<String> {
        match self.responses.next().await? {
            Ok(Some(response)) => Ok(self.render(&response)),
            Ok(None) => Ok("end of stream".to_owned()),
            Err(status) => Ok(failed(&status)),
        }
    }

    /// The next response as it is.
    pub(crate) async fn response(&mut self) -> anyhow::Result<WatchResponse> {
        self.responses.next().await??.context("end of stream")
    }

    /// The next `count` events, rendered. Checks that headers reach their events, that revisions rise, and that a revision
    /// is in one response.
    pub(crate) async fn events(&mut self, count: usize) -> anyhow::Result<String> {
        let mut events = Vec::new();
        let mut last = 0;
        while events.len() < count {
            let response = self.response().await?;
            ensure!(!response.events.is_empty(), "no events: {}", self.render(&response));
            let header = response.header.context("no header")?.revision;
            let first = response.events[0].kv.as_ref().context("no kv")?.mod_revision;
            ensure!(first > last, "revision {first} is split or repeated");
            for event in &response.events {
                let revision = event.kv.as_ref().context("no kv")?.mod_revision;
                ensure!(revision >= last && revision <= header, "revision {revision} after {last}, header {header}");
                last = revision;
                events.push(self.show.event(event));
            }
        }
        Ok(events.join("; "))
    }

    /// `"quiet"` if nothing comes for a while.
    pub(crate) async fn quiet(&mut self) -> anyhow::Result<&'static str> {
        match self.responses.next_within(QUIET_FOR).await {
            None => Ok("quiet"),
            Some(Ok(Some(response))) => bail!("not quiet: {}", self.render(&response)),
            Some(Ok(None)) => bail!("not quiet: end of stream"),
            Some(Err(status)) => bail!("not quiet: {}", failed(&status)),
        }
    }

    /// Closes the sending half.
    pub(crate) fn half_close(self) -> Watching {
        let (closed, _) = mpsc::channel(1);
        Watching { requests: closed, ..self }
    }

    fn render(&self, response: &WatchResponse) -> String {
        let mut shown = format!("w{}", response.watch_id);
        for (set, word) in
            [(response.created, " created"), (response.canceled, " canceled"), (response.fragment, " fragment")]
        {
            if set {
                shown.push_str(word);
            }
        }
        shown.push_str(&format!(" {}", self.show.header(&response.header)));
        if response.compact_revision != 0 {
            shown.push_str(&format!(" compacted{}", self.show.revision(response.compact_revision)));
        }
        if !response.cancel_reason.is_empty() {
            shown.push_str(&format!(" {:?}", response.cancel_reason));
        }
        if !response.events.is_empty() {
            let events: Vec<_> = response.events.iter().map(|event| self.show.event(event)).collect();
            shown.push_str(&format!(" [{}]", events.join("; ")));
        }
        shown
    }
}
