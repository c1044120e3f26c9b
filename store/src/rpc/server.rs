//! All services on one router: the client port's gRPC half.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use fairlead_proto::health::health_server::HealthServer;
use fairlead_proto::served::etcdserverpb::auth_server::AuthServer;
use fairlead_proto::served::etcdserverpb::cluster_server::ClusterServer;
use fairlead_proto::served::etcdserverpb::kv_server::KvServer;
use fairlead_proto::served::etcdserverpb::lease_server::LeaseServer;
use fairlead_proto::served::etcdserverpb::maintenance_server::MaintenanceServer;
use fairlead_proto::served::etcdserverpb::watch_server::WatchServer;
use fairlead_proto::served::v3electionpb::election_server::ElectionServer;
use fairlead_proto::served::v3lockpb::lock_server::LockServer;
use http::{Request, StatusCode};
use tonic::server::NamedService;
use tower::Service;

use super::layer::{CallLayer, is_grpc, unknown_method};
use super::{
    AuthService, ClusterService, Context, ElectionService, HealthService, KvService, LeaseService, LockService,
    MaintenanceService, WatchService,
};
use crate::http as pages;

/// The client port: gRPC and HTTP on one router. What is neither is answered by a gRPC status or a 404, as it was asked.
pub fn routes(ctx: &Context) -> Router {
    services(ctx).merge(pages::router(ctx)).fallback(unknown)
}

/// gRPC alone, for a client port whose HTTP is elsewhere (`--listen-client-http-urls`).
pub fn services(ctx: &Context) -> Router {
    let mut router = Router::new();
    // The layer has refused what is too large by then, with the text that clients know.
    let unlimited = usize::MAX;
    router = add(router, KvServer::new(KvService::new(ctx.clone())).max_decoding_message_size(unlimited));
    router = add(router, WatchServer::new(WatchService::new(ctx.clone())).max_decoding_message_size(unlimited));
    router = add(router, LeaseServer::new(LeaseService::new(ctx.clone())).max_decoding_message_size(unlimited));
    router = add(router, ClusterServer::new(ClusterService::new(ctx.clone())).max_decoding_message_size(unlimited));
    let maintenance = MaintenanceServer::new(MaintenanceService::new(ctx.clone()));
    router = add(router, maintenance.max_decoding_message_size(unlimited));
    router = add(router, AuthServer::new(AuthService::new(ctx.clone())).max_decoding_message_size(unlimited));
    router = add(router, LockServer::new(LockService::new(ctx.clone())).max_decoding_message_size(unlimited));
    router = add(router, ElectionServer::new(ElectionService::new(ctx.clone())).max_decoding_message_size(unlimited));
    router = add(router, HealthServer::new(HealthService::new(ctx.clone())).max_decoding_message_size(unlimited));
    router.layer(CallLayer::new(ctx.clone()))
}

fn add<S>(router: Router, service: S) -> Router
where
    S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    router.route_service(&format!("/{}/{{*method}}", S::NAME), service)
}

async fn unknown(request: Request<Body>) -> axum::response::Response {
    if is_grpc(request.headers()) {
        unknown_method(request.uri().path())
    } else {
        (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
    }
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
