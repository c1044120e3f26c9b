//! The router as a client meets it: over gRPC's own framing, in process.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fairlead_proto::etcd::etcdserverpb as pb;
use http::header;
use http_body_util::BodyExt;
use pb::kv_client::KvClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::*;
use crate::rpc::testing::{context, context_with};

const SECOND: Duration = Duration::from_secs(1);

fn put(value: Vec<u8>) -> pb::PutRequest {
    pb::PutRequest { key: "k".into(), value: value.into(), ..Default::default() }
}

fn with(name: &'static str, value: &'static [u8]) -> tonic::Request<pb::RangeRequest> {
    let mut headers = http::HeaderMap::new();
    headers.insert(name, http::HeaderValue::from_bytes(value).unwrap());
    let metadata = tonic::metadata::MetadataMap::from_headers(headers);
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    tonic::Request::from_parts(metadata, tonic::Extensions::default(), range)
}

fn refused(status: &Status) -> (Code, &str) {
    (status.code(), status.message())
}

async fn page(router: Router, request: Request<Body>) -> (StatusCode, String) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_client_puts_and_reads_and_its_calls_are_counted() {
    let (ctx, _) = context();
    let mut kv = KvClient::new(routes(&ctx));
    kv.put(put(b"v".to_vec())).await.unwrap();
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    assert_eq!(kv.range(range).await.unwrap().into_inner().kvs[0].value, "v");
    kv.put(pb::PutRequest::default()).await.unwrap_err();
    let stream = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let mut stream = kv.range_stream(stream).await.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
    let at = |path: &str| ctx.metrics.grpc.at(path).unwrap().clone();
    let put = at("/etcdserverpb.KV/Put");
    assert_eq!((put.started.get(), put.received.get(), put.sent.get()), (2, 2, 1));
    assert_eq!((put.handled(Code::Ok).get(), put.handled(Code::InvalidArgument).get()), (1, 1));
    assert_eq!(put.handling.get_sample_count(), 2);
    let stream = at("/etcdserverpb.KV/RangeStream");
    assert_eq!((stream.started.get(), stream.sent.get(), stream.handled(Code::Ok).get()), (1, 1, 1));
    assert!(ctx.metrics.network.client_grpc_received_bytes_total.get() > 20);
    assert!(ctx.metrics.network.client_grpc_sent_bytes_total.get() > 20);
    let unary = ctx.metrics.server.client_requests_total.with_label_values(&["unary", "unknown"]);
    assert_eq!(unary.get(), 3);
}

#[tokio::test]
async fn a_message_above_the_receive_limit_is_refused_with_the_text_of_gos_library() {
    let (ctx, single) = context_with(|parts| parts.limits.request_bytes_max = 100);
    let mut kv = KvClient::new(routes(&ctx));
    let limit = ctx.limits.receive_bytes_max();
    let large = kv.put(put(vec![b'v'; limit])).await.unwrap_err();
    let text = format!("grpc: received message larger than max ({} vs. {limit})", limit + 7);
    assert_eq!(refused(&large), (Code::ResourceExhausted, text.as_str()));
    let below = kv.put(put(vec![b'v'; limit - 100])).await.unwrap_err();
    assert_eq!(refused(&below), (Code::InvalidArgument, "etcdserver: request is too large"));
    assert_eq!(single.proposed(), 0);
    assert_eq!(ctx.metrics.grpc.at("/etcdserverpb.KV/Put").unwrap().handled(Code::ResourceExhausted).get(), 1);
}

#[tokio::test]
async fn a_message_of_five_megabytes_passes_where_the_limit_allows() {
    let (ctx, _) = context_with(|parts| parts.limits.request_bytes_max = 6 << 20);
    KvClient::new(routes(&ctx)).put(put(vec![b'v'; 5 << 20])).await.unwrap();
}

#[tokio::test]
async fn a_client_that_needs_a_leader_is_refused_without_one() {
    let (ctx, single) = context();
    let mut kv = KvClient::new(routes(&ctx));
    kv.range(with("hasleader", b"true")).await.unwrap();
    single.set_status(|status| status.leader = None);
    let status = kv.range(with("hasleader", b"true")).await.unwrap_err();
    assert_eq!(refused(&status), (Code::Unavailable, "etcdserver: no leader"));
    kv.range(with("hasleader", b"false")).await.unwrap();
    kv.range(with("other", b"true")).await.unwrap();
}

#[tokio::test]
async fn client_versions_are_counted_and_must_be_text() {
    let (ctx, _) = context();
    let mut kv = KvClient::new(routes(&ctx));
    kv.range(with("client-api-version", b"3.7")).await.unwrap();
    let status = kv.range(with("client-api-version", b"\xff")).await.unwrap_err();
    assert_eq!(refused(&status), (Code::InvalidArgument, "etcdserver: invalid client api version"));
    assert_eq!(ctx.metrics.server.client_requests_total.with_label_values(&["unary", "3.7"]).get(), 1);
}

#[tokio::test]
async fn a_learner_serves_status_and_serializable_reads() {
    let (ctx, single) = context();
    single.set_status(|status| status.learner = true);
    let mut kv = KvClient::new(routes(&ctx));
    let text = (Code::FailedPrecondition, "etcdserver: rpc not supported for learner");
    assert_eq!(refused(&kv.put(put(b"v".to_vec())).await.unwrap_err()), text);
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    assert_eq!(refused(&kv.range(range.clone()).await.unwrap_err()), text);
    kv.range(pb::RangeRequest { serializable: true, ..range }).await.unwrap();
    MaintenanceClient::new(routes(&ctx)).status(pb::StatusRequest {}).await.unwrap();
}

#[tokio::test]
async fn what_is_not_served_is_refused_in_the_language_it_was_asked_in() {
    let (ctx, _) = context();
    let grpc =
        |path: &str| Request::post(path).header(header::CONTENT_TYPE, "application/grpc").body(Body::empty()).unwrap();
    for (path, text) in [
        ("/etcdserverpb.KV/Nothing", "unknown method Nothing for service etcdserverpb.KV"),
        ("/nobody.Nothing/Call", "unknown service nobody.Nothing"),
    ] {
        let response = routes(&ctx).oneshot(grpc(path)).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(refused(&status), (Code::Unimplemented, text));
    }
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    for path in ["/nothing", "/etcdserverpb.KV/Range"] {
        assert_eq!(page(routes(&ctx), get(path)).await, (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()));
    }
}

#[tokio::test]
async fn a_call_that_its_client_gives_up_is_counted_as_canceled() {
    let (ctx, _) = context();
    let mut kv = KvClient::new(routes(&ctx));
    for at in 0..30u8 {
        kv.put(pb::PutRequest { key: vec![b'k', at].into(), ..Default::default() }).await.unwrap();
    }
    let all = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let mut stream = kv.range_stream(all).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    drop(stream);
    let method = ctx.metrics.grpc.at("/etcdserverpb.KV/RangeStream").unwrap();
    assert_eq!((method.handled(Code::Cancelled).get(), method.handled(Code::Ok).get()), (1, 0));
}

fn until<T>(time: Duration, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(time);
    request
}

#[tokio::test(start_paused = true)]
async fn a_call_is_given_up_at_its_clients_deadline() {
    let (ctx, single) = context();
    let mut kv = KvClient::new(routes(&ctx));
    kv.put(until(SECOND, put(b"v".to_vec()))).await.unwrap();
    single.stalled.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    let late = kv.put(until(SECOND, put(b"v".to_vec()))).await.unwrap_err();
    assert_eq!((refused(&late), begun.elapsed()), ((Code::DeadlineExceeded, "context deadline exceeded"), SECOND));
    let late = kv.range(until(SECOND, range.clone())).await.unwrap_err();
    assert_eq!((refused(&late), begun.elapsed()), ((Code::DeadlineExceeded, "context deadline exceeded"), 2 * SECOND));
    kv.range(until(SECOND, pb::RangeRequest { serializable: true, ..range })).await.unwrap();
    let put = ctx.metrics.grpc.at("/etcdserverpb.KV/Put").unwrap();
    assert_eq!((put.handled(Code::DeadlineExceeded).get(), put.handled(Code::Cancelled).get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_clients_deadline() {
    let (ctx, _) = context();
    let create = pb::WatchCreateRequest { key: "k".into(), ..Default::default() };
    let create = pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(create).chain(tokio_stream::pending());
    let begun = Instant::now();
    let mut watch = WatchClient::new(routes(&ctx)).watch(until(SECOND, requests)).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().unwrap().created);
    assert_eq!(ctx.hub.stats().watchers, 1);
    let late = watch.message().await.unwrap_err();
    assert_eq!((refused(&late), begun.elapsed()), ((Code::DeadlineExceeded, "context deadline exceeded"), SECOND));
    assert_eq!(ctx.hub.stats().watchers, 0, "its watchers are gone");
    assert_eq!(ctx.metrics.grpc.at("/etcdserverpb.Watch/Watch").unwrap().handled(Code::DeadlineExceeded).get(), 1);
}
