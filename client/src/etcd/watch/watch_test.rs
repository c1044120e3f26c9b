//! A watch against a member that follows a script: fragments, lost connections, compaction.

use std::collections::VecDeque;
use std::sync::Mutex;

use fairlead_proto::served::etcdserverpb as served;
use fairlead_proto::served::etcdserverpb::watch_server::{Watch as Served, WatchServer};
use prost::Message;
use tokio_stream::StreamExt;
use tonic::Response;

use super::*;
use crate::etcd::{Options, kv};

type Reply = Result<pb::WatchResponse, Status>;

/// One script a stream; it records from which revision each was created.
#[derive(Clone, Default)]
struct Script {
    streams: Arc<Mutex<VecDeque<Vec<Reply>>>>,
    created_from: Arc<Mutex<Vec<i64>>>,
}

#[tonic::async_trait]
impl Served for Script {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<served::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<served::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let create = request.into_inner().message().await?.and_then(|request| request.request_union);
        let Some(served::watch_request::RequestUnion::CreateRequest(create)) = create else {
            return Err(Status::invalid_argument("no create request"));
        };
        assert!(create.fragment);
        self.created_from.lock().unwrap().push(create.start_revision);
        let Some(replies) = self.streams.lock().unwrap().pop_front() else {
            return Ok(Response::new(Box::pin(tokio_stream::pending())));
        };
        let encode = |reply: Reply| reply.map(|reply| served::WatchResponse::decode(&*reply.encode_to_vec()).unwrap());
        Ok(Response::new(Box::pin(tokio_stream::iter(replies.into_iter().map(encode)).chain(tokio_stream::pending()))))
    }
}

fn script(streams: Vec<Vec<Reply>>) -> (Script, Client) {
    let script = Script { streams: Arc::new(Mutex::new(streams.into())), ..Default::default() };
    let channel = || Channel::service(WatchServer::new(script.clone()));
    let members = [("n0".to_owned(), channel()), ("n1".to_owned(), channel())];
    let client = Client::over(members, Options::default()).unwrap();
    (script, client)
}

fn response(revision: i64) -> pb::WatchResponse {
    let header = pb::ResponseHeader { revision, ..Default::default() };
    pb::WatchResponse { header: Some(header), ..Default::default() }
}

fn created(revision: i64) -> Reply {
    Ok(pb::WatchResponse { created: true, ..response(revision) })
}

fn events(revisions: &[i64], fragment: bool) -> Reply {
    let event = |mod_revision: &i64| mvccpb::Event {
        kv: Some(mvccpb::KeyValue { key: "a".into(), mod_revision: *mod_revision, ..Default::default() }),
        ..Default::default()
    };
    let revision = revisions.last().copied().unwrap_or_default();
    Ok(pb::WatchResponse { events: revisions.iter().map(event).collect(), fragment, ..response(revision) })
}

fn cut() -> Reply {
    Err(Status::unavailable("etcdserver: no leader"))
}

async fn next_revisions(watch: &mut Watch) -> Vec<i64> {
    match watch.next().await.unwrap() {
        Update::Events { events, .. } => events.iter().map(mod_revision).collect(),
        Update::Progress { revision } => panic!("progress at {revision}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_at_the_next_revision_wherever_it_is_cut_off() {
    let (script, client) = script(vec![
        vec![created(4), events(&[5, 6], false), cut()],
        vec![cut()],
        vec![created(6), events(&[7], false)],
    ]);
    let mut watch = client.watch(kv::watch_key("a"));
    assert_eq!(next_revisions(&mut watch).await, [5, 6]);
    assert_eq!(next_revisions(&mut watch).await, [7]);
    assert_eq!(*script.created_from.lock().unwrap(), [0, 7, 7]);
    assert_eq!(watch.resumes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_now_keeps_its_place_even_if_it_is_cut_off_before_any_event() {
    let (script, client) = script(vec![vec![created(4), cut()], vec![created(9), events(&[5, 9], false)]]);
    let mut watch = client.watch(kv::watch_key("a"));
    assert_eq!(next_revisions(&mut watch).await, [5, 9]);
    assert_eq!(*script.created_from.lock().unwrap(), [0, 5]);
}

#[tokio::test(start_paused = true)]
async fn fragments_are_one_update_and_half_of_them_are_none() {
    let (script, client) = script(vec![
        vec![created(4), events(&[5, 5], true), cut()],
        vec![created(5), events(&[5, 5], true), events(&[5], false), events(&[6], false)],
    ]);
    let mut watch = client.watch(kv::watch_key("a"));
    assert_eq!(next_revisions(&mut watch).await, [5, 5, 5]);
    assert_eq!(next_revisions(&mut watch).await, [6]);
    assert_eq!(*script.created_from.lock().unwrap(), [0, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_is_not_delivered_again() {
    let (_, client) =
        script(vec![vec![created(4), events(&[5, 6], false), cut()], vec![created(6), events(&[5, 6, 7], false)]]);
    let mut watch = client.watch(kv::watch_key("a"));
    assert_eq!(next_revisions(&mut watch).await, [5, 6]);
    assert_eq!(next_revisions(&mut watch).await, [7]);
}

#[tokio::test(start_paused = true)]
async fn progress_moves_the_place_from_which_it_goes_on() {
    let (script, client) =
        script(vec![vec![created(4), Ok(response(9)), cut()], vec![created(9), events(&[10], false)]]);
    let mut watch = client.watch(kv::watch_key("a").with_progress());
    assert_eq!(watch.next().await.unwrap(), Update::Progress { revision: 9 });
    assert_eq!(next_revisions(&mut watch).await, [10]);
    assert_eq!(*script.created_from.lock().unwrap(), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn history_that_is_gone_ends_a_watch_with_the_compact_revision() {
    let compacted = pb::WatchResponse { canceled: true, compact_revision: 20, ..Default::default() };
    let (_, client) = script(vec![vec![created(4), events(&[5], false), cut()], vec![created(30), Ok(compacted)]]);
    let mut watch = client.watch(kv::watch_key("a"));
    assert_eq!(next_revisions(&mut watch).await, [5]);
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, Error::Compacted { compact_revision: 20 }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_everywhere_ends_with_the_reason() {
    let denied = pb::WatchResponse {
        created: true,
        canceled: true,
        watch_id: -1,
        cancel_reason: "rpc error: code = PermissionDenied desc = etcdserver: permission denied".to_owned(),
        ..Default::default()
    };
    let (_, client) =
        script(vec![vec![Ok(denied)], vec![Err(Status::permission_denied("etcdserver: permission denied"))]]);
    let mut watch = client.watch(kv::watch_key("a"));
    let error = watch.next().await.unwrap_err();
    assert!(matches!(&error, Error::Cancelled { reason } if reason.contains("PermissionDenied")), "{error}");
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: Code::PermissionDenied, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_nothing() {
    let (_, client) = script(vec![vec![created(4), events(&[5], false), events(&[6], false)]]);
    let mut watch = client.watch(kv::watch_key("a"));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        // Polls once and drops the future.
        if let Some(update) = futures::FutureExt::now_or_never(watch.next()) {
            let Update::Events { events, .. } = update.unwrap() else { panic!("progress") };
            seen.extend(events.iter().map(mod_revision));
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, [5, 6]);
}
