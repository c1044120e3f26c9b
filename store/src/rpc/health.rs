//! gRPC's health service: SERVING until the member stops.
//!
//! Only the service "" is known, as in etcd. Defragmentation stops nothing here and so changes nothing.
//! Source: grpc `health/grpc_health_v1`; etcd `server/etcdserver/api/v3rpc/health.go`.

use fairlead_proto::health as pb;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use pb::health_check_response::ServingStatus;
use pb::health_server::Health;
use tonic::{Request, Response, Status};

use super::Context;

/// The service.
#[derive(Clone)]
pub struct HealthService {
    ctx: Context,
}

impl HealthService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> HealthService {
        HealthService { ctx }
    }
}

fn answer(status: ServingStatus) -> pb::HealthCheckResponse {
    pb::HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<'static, Result<pb::HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<pb::HealthCheckResponse>, Status> {
        if !request.into_inner().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        let stopping = self.ctx.shutdown.is_cancelled();
        Ok(Response::new(answer(if stopping { ServingStatus::NotServing } else { ServingStatus::Serving })))
    }

    async fn watch(&self, request: Request<pb::HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = request.into_inner().service.is_empty();
        let shutdown = self.ctx.shutdown.clone();
        let first = if known { ServingStatus::Serving } else { ServingStatus::ServiceUnknown };
        let stopped = async move {
            shutdown.cancelled().await;
            Ok(answer(ServingStatus::NotServing))
        };
        Ok(Response::new(stream::iter([Ok(answer(first))]).chain(stream::once(stopped)).boxed()))
    }
}
