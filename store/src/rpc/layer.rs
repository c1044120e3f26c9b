//! What holds for every call: its series, the client's metadata, and what a learner serves.
//!
//! Promises: a call ends at its client's deadline at the latest; a call is counted as started once and as handled once, also when its client gives it up (Canceled) and when
//! it is refused here; the refusals come before any service sees the call.
//! Source: etcd `server/etcdserver/api/v3rpc/interceptor.go`; go-grpc-prometheus.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::task::{Poll, ready};

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, Request, Response, StatusCode, header};
use prometheus::IntCounter;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::Context;
use super::body::{Answered, Asked, code_in};
use super::status::{DEADLINE_EXCEEDED, INVALID_CLIENT_API_VERSION, NO_LEADER, NOT_SUPPORTED_FOR_LEARNER};
use super::{deadline, spliced};
use crate::metrics::{MethodMetrics, Shape};

/// Client versions that are counted by name; those of more clients are counted together.
const CLIENT_VERSIONS_MAX: usize = 64;

/// Methods that a learner serves; of Range only serializable ones, which `kv` checks.
const SERVED_BY_LEARNERS: [&str; 6] = [
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Snapshot",
    "/etcdserverpb.KV/Range",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/etcdserverpb.Auth/AuthStatus",
];

/// Wraps the gRPC services.
#[derive(Clone)]
pub(super) struct CallLayer {
    ctx: Context,
    versions: Arc<Versions>,
}

impl CallLayer {
    pub(super) fn new(ctx: Context) -> CallLayer {
        CallLayer { ctx, versions: Arc::default() }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, layer: self.clone() }
    }
}

/// The wrapped services.
#[derive(Clone)]
pub(super) struct Calls<S> {
    inner: S,
    layer: CallLayer,
}

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Error = Infallible>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        ready!(self.inner.poll_ready(cx))?;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let ctx = &self.layer.ctx;
        if !is_grpc(request.headers()) {
            return Box::pin(async { Ok((StatusCode::NOT_FOUND, "404 page not found\n").into_response()) });
        }
        let Some(method) = ctx.metrics.grpc.at(request.uri().path()) else {
            let refused = unknown_method(request.uri().path());
            return Box::pin(async move { Ok(refused) });
        };
        let mut call = Call::begin(ctx, method);
        if let Err(status) = self.layer.check(method, &request) {
            call.end(status.code());
            return Box::pin(async move { Ok(status.into_http()) });
        }
        let deadline = deadline::given(request.headers()).map(|time| Instant::now() + time);
        let receive_bytes_max = ctx.limits.receive_bytes_max();
        let asked = request.map(|body| Body::new(Asked::new(body, call.counters(), receive_bytes_max)));
        let answer = self.inner.call(asked);
        Box::pin(async move {
            let answer = match deadline {
                None => answer.await,
                Some(at) => match tokio::time::timeout_at(at, answer).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        call.end(DEADLINE_EXCEEDED.code);
                        return Ok(Status::from(DEADLINE_EXCEEDED).into_http());
                    }
                },
            };
            let response = spliced::restore(answer?.into_response());
            match code_in(response.headers()) {
                Some(code) => {
                    call.end(code);
                    Ok(response)
                }
                None => Ok(response.map(|body| Body::new(Answered::new(body, call, deadline)))),
            }
        })
    }
}

impl CallLayer {
    fn check(&self, method: &MethodMetrics, request: &Request<Body>) -> Result<(), Status> {
        let status = self.ctx.consensus.status();
        if status.learner && !SERVED_BY_LEARNERS.contains(&request.uri().path()) {
            return Err(NOT_SUPPORTED_FOR_LEARNER.into());
        }
        let headers = request.headers();
        let version = headers.get("client-api-version").map_or(Ok("unknown"), |value| {
            std::str::from_utf8(value.as_bytes()).map_err(|_| Status::from(INVALID_CLIENT_API_VERSION))
        })?;
        let kind = if method.method.shape == Shape::Unary { "unary" } else { "stream" };
        self.versions.count(&self.ctx, kind, version);
        let needs_leader = headers.get("hasleader").is_some_and(|value| value == "true");
        if needs_leader && status.leader.is_none() {
            return Err(NO_LEADER.into());
        }
        Ok(())
    }
}

/// Counters by client version, so that a client cannot make series without bound.
#[derive(Default)]
struct Versions {
    counters: RwLock<HashMap<(&'static str, String), IntCounter>>,
}

impl Versions {
    fn count(&self, ctx: &Context, kind: &'static str, version: &str) {
        let key = (kind, version.to_owned());
        if let Some(counter) = self.counters.read().expect("no holder of the lock panics").get(&key) {
            return counter.inc();
        }
        let mut counters = self.counters.write().expect("no holder of the lock panics");
        let label = if counters.len() < CLIENT_VERSIONS_MAX { version } else { "other" };
        let counter = ctx.metrics.server.client_requests_total.with_label_values(&[kind, label]);
        counter.inc();
        if label == version {
            counters.insert(key, counter);
        }
    }
}

/// The handles that a call's bodies count in.
#[derive(Clone)]
pub(super) struct Counters {
    pub(super) received: IntCounter,
    pub(super) sent: IntCounter,
    pub(super) received_bytes: IntCounter,
    pub(super) sent_bytes: IntCounter,
}

/// A call in progress. Dropped without an end, its client gave it up.
pub(super) struct Call {
    method: Arc<MethodMetrics>,
    counters: Counters,
    begun: std::time::Instant,
    ended: bool,
}

impl Call {
    fn begin(ctx: &Context, method: &Arc<MethodMetrics>) -> Call {
        method.started.inc();
        let counters = Counters {
            received: method.received.clone(),
            sent: method.sent.clone(),
            received_bytes: ctx.metrics.network.client_grpc_received_bytes_total.clone(),
            sent_bytes: ctx.metrics.network.client_grpc_sent_bytes_total.clone(),
        };
        Call { method: method.clone(), counters, begun: std::time::Instant::now(), ended: false }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Counts the end; a second one is none.
    pub(super) fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            self.method.handled(code).inc();
            self.method.handling.observe(self.begun.elapsed().as_secs_f64());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// Whether a request claims to be gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// What Go's gRPC library says of a path that is not served.
pub(super) fn unknown_method(path: &str) -> Response<Body> {
    let (service, method) = path.trim_start_matches('/').rsplit_once('/').unwrap_or((path, ""));
    let known = crate::metrics::METHODS.iter().any(|known| known.service == service);
    let text = if known {
        format!("unknown method {method} for service {service}")
    } else {
        format!("unknown service {service}")
    };
    Status::unimplemented(text).into_http()
}
