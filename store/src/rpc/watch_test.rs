//! The Watch stream on a cluster of one: who is answered what, in which order, with which header.

use std::time::Duration;

use fairlead_proto::etcd::mvccpb;
use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::apply::Command;
use crate::rpc::testing::{context, context_with};

struct Client {
    ctx: Context,
    requests: mpsc::Sender<Result<pb::WatchRequest, Status>>,
    responses: BoxStream<'static, Result<pb::WatchResponse, Status>>,
}

impl Client {
    fn new(ctx: Context) -> Client {
        Client::with(ctx, Box::pin(std::future::pending()))
    }

    fn with(ctx: Context, leaderless: BoxFuture<'static, ()>) -> Client {
        let (requests, incoming) = mpsc::channel(64);
        let session = Session::new(ctx.clone(), ReceiverStream::new(incoming).boxed(), leaderless);
        // Errors end a stream, as tonic ends it.
        Client { ctx, requests, responses: session.into_stream().boxed() }
    }

    async fn send(&self, request: RequestUnion) {
        self.requests.send(Ok(pb::WatchRequest { request_union: Some(request) })).await.unwrap();
    }

    async fn create(&mut self, create: pb::WatchCreateRequest) -> pb::WatchResponse {
        self.send(RequestUnion::CreateRequest(create)).await;
        let created = self.next().await;
        assert!(created.created);
        created
    }

    async fn next(&mut self) -> pb::WatchResponse {
        self.responses.next().await.unwrap().unwrap()
    }

    fn nothing_comes(&mut self) -> bool {
        self.responses.next().now_or_never().is_none()
    }

    async fn put(&self, key: &str, value: &str) -> i64 {
        let (key, value) = (key.to_owned().into(), value.to_owned().into());
        self.write(Command::Put(pb::PutRequest { key, value, ..Default::default() })).await
    }

    async fn write(&self, command: Command) -> i64 {
        self.ctx.propose(command).await.unwrap().revision
    }
}

fn everything() -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: "".into(), range_end: "\0".into(), ..Default::default() }
}

fn revision(response: &pb::WatchResponse) -> i64 {
    response.header.as_ref().unwrap().revision
}

fn decoded(response: &pb::WatchResponse) -> Vec<mvccpb::Event> {
    response.events.iter().map(|event| mvccpb::Event::decode(event.0.clone()).unwrap()).collect()
}

#[tokio::test]
async fn a_watcher_is_created_and_then_gets_events_with_what_was_before() {
    let mut client = Client::new(context().0);
    client.put("a", "1").await;
    let created = client.create(pb::WatchCreateRequest { prev_kv: true, ..everything() }).await;
    assert_eq!((created.watch_id, revision(&created), created.canceled), (0, 2, false));
    client.put("a", "2").await;
    client.write(Command::DeleteRange(pb::DeleteRangeRequest { key: "a".into(), ..Default::default() })).await;
    let response = client.next().await;
    assert_eq!((revision(&response), response.watch_id), (3, 0));
    let put = decoded(&response).remove(0);
    assert_eq!(put.kv.unwrap().value, "2");
    assert_eq!(put.prev_kv.unwrap().value, "1");
    let delete = decoded(&client.next().await).remove(0);
    let tombstone = mvccpb::KeyValue { key: "a".into(), mod_revision: 4, ..Default::default() };
    assert_eq!((delete.r#type, delete.kv), (1, Some(tombstone)));
    assert_eq!(delete.prev_kv.unwrap().value, "2");
}

#[tokio::test]
async fn what_cannot_be_watched_is_told_without_ending_the_stream() {
    let mut client = Client::new(context().0);
    let range = |key: &'static str, end: &'static str| pb::WatchCreateRequest {
        key: key.into(),
        range_end: end.into(),
        ..Default::default()
    };
    assert_eq!(client.create(pb::WatchCreateRequest { watch_id: 7, ..everything() }).await.watch_id, 7);
    let rows = [
        (range("b", "a"), "mvcc: watcher range is empty"),
        (range("b", "b"), "mvcc: watcher range is empty"),
        (
            pb::WatchCreateRequest { watch_id: 7, ..range("a", "") },
            "mvcc: duplicate watch ID provided on the WatchStream",
        ),
        (
            pb::WatchCreateRequest { start_revision: -1, ..range("a", "") },
            "etcdserver: mvcc: required revision has been compacted",
        ),
    ];
    for (create, reason) in rows {
        let refused = client.create(create).await;
        assert_eq!((refused.watch_id, refused.canceled, &refused.cancel_reason[..]), (-1, true, reason));
        assert_eq!(revision(&refused), 1);
    }
    assert_eq!(client.create(everything()).await.watch_id, 0);
}

#[tokio::test]
async fn ids_are_given_from_zero_up_and_are_free_after_a_cancel() {
    let mut client = Client::new(context().0);
    assert_eq!(client.create(pb::WatchCreateRequest { watch_id: 1, ..everything() }).await.watch_id, 1);
    assert_eq!(client.create(everything()).await.watch_id, 0);
    assert_eq!(client.create(everything()).await.watch_id, 2, "1 is taken");
    client.put("a", "1").await;
    for watch_id in [1, 5] {
        client.send(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id })).await;
    }
    let cancelled = client.next().await;
    assert_eq!((cancelled.watch_id, cancelled.canceled, &cancelled.cancel_reason[..]), (1, true, ""));
    assert_eq!(revision(&cancelled), 2);
    let mut came = [client.next().await.watch_id, client.next().await.watch_id];
    came.sort_unstable();
    assert_eq!(came, [0, 2], "nothing after the cancel, and no answer for an unknown one");
    assert!(client.nothing_comes());
    assert_eq!(client.create(pb::WatchCreateRequest { watch_id: 1, ..everything() }).await.watch_id, 1);
}

#[tokio::test]
async fn a_compacted_start_is_created_and_then_cancelled_with_the_compact_revision() {
    let (ctx, _) = context();
    let mut client = Client::new(ctx.clone());
    let service = tokio::spawn({
        let (hub, shutdown) = (ctx.hub.clone(), ctx.shutdown.clone());
        async move { hub.run(shutdown).await }
    });
    for n in 0..5 {
        client.put("a", &n.to_string()).await;
    }
    client.write(Command::Compact(pb::CompactionRequest { revision: 4, physical: false })).await;
    client.create(pb::WatchCreateRequest { start_revision: 3, ..everything() }).await;
    let ended = client.next().await;
    assert_eq!((ended.watch_id, ended.canceled, ended.compact_revision, revision(&ended)), (0, true, 4, 0));
    assert_eq!(ended.cancel_reason, "");

    client.create(pb::WatchCreateRequest { start_revision: 4, ..everything() }).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let response = client.next().await;
        seen.extend(decoded(&response).into_iter().map(|event| event.kv.unwrap().mod_revision));
    }
    assert_eq!(seen, [4, 5, 6]);
    ctx.shutdown.cancel();
    service.await.unwrap().unwrap();
    let ended = client.responses.next().await.unwrap().unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "etcdserver: server stopped"));
}

#[tokio::test]
async fn progress_is_told_for_a_whole_stream_that_is_up_to_date_and_after_its_events() {
    let mut client = Client::new(context().0);
    client.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
    assert!(client.nothing_comes(), "no watchers, no progress");
    client.create(everything()).await;
    client.put("a", "1").await;
    client.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
    assert_eq!(client.next().await.events.len(), 1);
    let progress = client.next().await;
    assert_eq!((progress.watch_id, revision(&progress), progress.events.len()), (-1, 2, 0));
    assert!(!progress.created && !progress.canceled && progress.compact_revision == 0);

    client.create(pb::WatchCreateRequest { start_revision: 9, ..everything() }).await;
    client.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
    assert!(client.nothing_comes(), "a watcher of the future has not begun");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watcher_that_asked_is_told_its_progress_from_time_to_time() {
    let mut client = Client::new(context().0);
    client.create(pb::WatchCreateRequest { progress_notify: true, ..everything() }).await;
    client.create(everything()).await;
    client.create(pb::WatchCreateRequest { progress_notify: true, start_revision: 9, ..everything() }).await;
    let start = Instant::now();
    let progress = client.next().await;
    assert_eq!((progress.watch_id, revision(&progress), progress.events.len()), (0, 1, 0));
    assert!((600..=660).contains(&start.elapsed().as_secs()));
    client.put("a", "1").await;
    assert_eq!((client.next().await.watch_id, client.next().await.watch_id), (0, 1));
    let start = Instant::now();
    assert_eq!(client.next().await.watch_id, 0);
    assert!(start.elapsed() > Duration::from_secs(1000), "not at the tick after an event");
}

#[tokio::test]
async fn a_stream_ends_as_its_client_or_its_cluster_ends_it() {
    let (ctx, _) = context();
    let mut client = Client::with(ctx.clone(), Box::pin(std::future::ready(())));
    let ended = client.responses.next().await.unwrap().unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "etcdserver: no leader"));

    let mut client = Client::new(ctx.clone());
    client.create(everything()).await;
    client.requests.send(Err(Status::cancelled("reset"))).await.unwrap();
    let ended = client.responses.next().await.unwrap().unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Cancelled, "etcdserver: watch canceled"));
    drop(client);
    assert_eq!(ctx.hub.stats().watchers, 0, "its watchers are gone");

    let (requests, incoming) = mpsc::channel(1);
    let mut half_closed = Client::new(ctx.clone());
    half_closed.create(everything()).await;
    half_closed.requests = requests;
    drop(incoming);
    half_closed.put("a", "1").await;
    assert_eq!(half_closed.next().await.events.len(), 1, "a client without more requests goes on receiving");
}

#[tokio::test]
async fn events_of_one_transaction_come_in_one_response_unless_fragments_were_agreed_to() {
    let (ctx, _) = context_with(|parts| parts.limits.request_bytes_max = 1);
    let mut client = Client::new(ctx);
    client.create(everything()).await;
    client
        .create(pb::WatchCreateRequest { fragment: true, key: "k".into(), range_end: "l".into(), ..Default::default() })
        .await;
    let value = bytes::Bytes::from(vec![7; 200_000]);
    let put = |n: i32| pb::PutRequest { key: format!("k{n}").into(), value: value.clone(), ..Default::default() };
    let op = |n| pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(n))) };
    let txn = pb::TxnRequest { success: (0..5).map(op).collect(), ..Default::default() };
    client.ctx.consensus.propose(Command::Txn(txn)).await.unwrap();
    let mut fragments = Vec::new();
    for _ in 0..4 {
        let response = client.next().await;
        match response.watch_id {
            0 => assert_eq!((response.events.len(), response.fragment), (5, false)),
            _ => fragments.push((response.events.len(), response.fragment)),
        }
    }
    assert_eq!(fragments, [(2, true), (2, true), (1, false)]);
}

#[test]
fn a_response_is_cut_only_where_it_is_large_and_never_within_an_event() {
    let event = |bytes: usize| encoded::Event(vec![0; bytes].into());
    let response = |sizes: &[usize]| pb::WatchResponse {
        events: sizes.iter().map(|bytes| event(*bytes)).collect(),
        ..Default::default()
    };
    let cut = |sizes: &[usize], max| {
        let pieces = fragments(response(sizes), max);
        pieces.iter().map(|piece| (piece.events.len(), piece.fragment)).collect::<Vec<_>>()
    };
    assert_eq!(cut(&[10, 10], 1000), [(2, false)]);
    assert_eq!(cut(&[5000], 1000), [(1, false)]);
    assert_eq!(cut(&[5000, 5000], 1000), [(1, true), (1, false)]);
    assert_eq!(cut(&[400, 400, 400, 400], 1000), [(2, true), (2, false)]);
    for piece in fragments(response(&[300; 20]), 1000) {
        assert!(piece.encoded_len() < 1000);
    }
}
