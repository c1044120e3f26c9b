//! The pages: health, readiness, version and metrics, over plain HTTP.
//!
//! Source: etcd `server/etcdserver/api/etcdhttp`.

#[cfg(feature = "failpoints")]
pub mod failpoints;
mod health;
mod metrics;
mod probe;
mod version;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{Method, StatusCode, header};

use crate::rpc::Context;

/// The client port's pages.
pub fn router(ctx: &Context) -> Router {
    metrics_router(ctx).merge(Router::new().route("/version", any(version::show)))
}

/// The pages of `--listen-metrics-urls`: those that need no client certificate.
pub fn metrics_router(ctx: &Context) -> Router {
    Router::new()
        .route("/health", any(health::show))
        .route("/metrics", any(metrics::show))
        .merge(probe::routes(&probe::LIVEZ))
        .merge(probe::routes(&probe::READYZ))
        .with_state(ctx.clone())
}

/// The refusal of a method other than GET, as Go's library words it.
fn only_get(method: &Method) -> Option<Response> {
    let refused = (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")], "Method Not Allowed\n");
    (method != Method::GET).then(|| refused.into_response())
}

#[cfg(test)]
#[path = "http_test.rs"]
mod tests;
