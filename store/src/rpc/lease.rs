//! Lease: grant and revoke through the log, renew and ask on the leader, list here.
//!
//! Promises: a renewal is answered only after proof of leadership, one answer per request, in order; it costs no log entry.
//! Does not: know when a lease ends (`lease::Lessor` on the leader does).
//! Source: etcd `server/etcdserver/api/v3rpc/lease.go`, `server/etcdserver/v3_server.go`.

use fairlead_proto::served::etcdserverpb as pb;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream as Items, StreamExt, stream};
use pb::lease_server::Lease;
use tonic::{Request, Response, Status, Streaming};

use super::kv::mismatched;
use super::leaderless::leaderless;
use super::phases::{Phase, Phases};
use super::status::{LEASE_TTL_TOO_LARGE, NO_LEADER, STOPPED};
use super::{Context, admission};
use crate::apply::{Command, Outcome, Refusal};
use crate::lease::TTL_MAX;
use crate::quota;

/// The service.
#[derive(Clone)]
pub struct LeaseService {
    ctx: Context,
}

impl LeaseService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> LeaseService {
        LeaseService { ctx }
    }

    async fn granted(&self, r: &pb::LeaseGrantRequest, phases: &mut Phases) -> Result<pb::LeaseGrantResponse, Status> {
        if r.ttl > TTL_MAX {
            return Err(LEASE_TTL_TOO_LARGE.into());
        }
        admission::growth(&self.ctx, quota::lease_cost()).await?;
        phases.enter(Phase::Propose);
        let ttl = r.ttl.max(self.ctx.limits.lease_ttl_min());
        loop {
            let id = if r.id == 0 { self.ctx.lease_id() } else { r.id };
            let grant = pb::LeaseGrantRequest { id, ttl };
            let applied = self.ctx.consensus.propose_traced(Command::LeaseGrant(grant), phases.trace()).await?;
            match applied.outcome {
                // A drawn id that is taken is nobody's fault.
                Err(Refusal::LeaseExists) if r.id == 0 => {}
                Err(refusal) => return Err(refusal.into()),
                Ok(Outcome::LeaseGrant { id, ttl }) => {
                    let header = Some(self.ctx.header(applied.revision));
                    return Ok(pb::LeaseGrantResponse { header, id, ttl, error: String::new() });
                }
                Ok(other) => return Err(mismatched(&other)),
            }
        }
    }

    async fn revoked(&self, id: i64, phases: &mut Phases) -> Result<pb::LeaseRevokeResponse, Status> {
        phases.enter(Phase::Propose);
        let revoke = Command::LeaseRevoke(pb::LeaseRevokeRequest { id });
        let applied = self.ctx.propose_traced(revoke, phases.trace()).await?;
        Ok(pb::LeaseRevokeResponse { header: Some(self.ctx.header(applied.revision)) })
    }

    async fn time_to_live(&self, r: pb::LeaseTimeToLiveRequest) -> Result<pb::LeaseTimeToLiveResponse, Status> {
        let Some(time) = self.ctx.consensus.lease_time(r.id).await? else {
            let header = Some(self.ctx.header(self.ctx.mvcc.revision()));
            return Ok(pb::LeaseTimeToLiveResponse { header, id: r.id, ttl: -1, ..Default::default() });
        };
        let mut keys = Vec::new();
        if r.keys {
            // The time is the leader's; the keys are read here, and must not be older.
            self.ctx.consensus.read_barrier().await?;
            keys = self.ctx.read(true, move |view| view.lease_keys(r.id)).await??;
        }
        let header = Some(self.ctx.header(self.ctx.mvcc.revision()));
        Ok(pb::LeaseTimeToLiveResponse { header, id: r.id, ttl: time.remaining, granted_ttl: time.granted, keys })
    }
}

#[tonic::async_trait]
impl Lease for LeaseService {
    type LeaseKeepAliveStream = BoxStream<'static, Result<pb::LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let mut phases = Phases::start(&self.ctx, "LeaseGrant", &[]);
        let result = self.granted(request.get_ref(), &mut phases).await;
        phases.finish(&result);
        result.map(Response::new)
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        let mut phases = Phases::start(&self.ctx, "LeaseRevoke", &[]);
        let result = self.revoked(request.get_ref().id, &mut phases).await;
        phases.finish(&result);
        result.map(Response::new)
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let leaderless = leaderless(&self.ctx, request.metadata());
        let keeping = KeepAlive { ctx: self.ctx.clone(), requests: request.into_inner().boxed(), leaderless };
        Ok(Response::new(keeping.into_stream().boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        self.time_to_live(request.into_inner()).await.map(Response::new)
    }

    async fn lease_leases(
        &self,
        _request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        let leases = self.ctx.leases.ids_by_expiry().into_iter().map(|id| pb::LeaseStatus { id }).collect();
        let header = Some(self.ctx.header(self.ctx.mvcc.revision()));
        Ok(Response::new(pb::LeaseLeasesResponse { header, leases }))
    }
}

/// One client's stream of renewals: one at a time, so that what it can make the member hold is one request.
struct KeepAlive {
    ctx: Context,
    requests: BoxStream<'static, Result<pb::LeaseKeepAliveRequest, Status>>,
    leaderless: BoxFuture<'static, ()>,
}

impl KeepAlive {
    fn into_stream(self) -> impl Items<Item = Result<pb::LeaseKeepAliveResponse, Status>> {
        stream::try_unfold(self, |mut keeping| async move {
            let response = keeping.next().await?;
            Ok(response.map(|response| (response, keeping)))
        })
    }

    /// `None`: the client has no more requests.
    async fn next(&mut self) -> Result<Option<pb::LeaseKeepAliveResponse>, Status> {
        let KeepAlive { ctx, requests, leaderless } = self;
        let renewal = async {
            let request = requests.next().await.transpose();
            let request = request.inspect_err(|status| ctx.stream_failed("lease-keepalive", status))?;
            let Some(request) = request else { return Ok(None) };
            // The revision before the renewal: what the client reads at it was not deleted by this lease's end.
            let header = Some(ctx.header(ctx.mvcc.revision()));
            let renewed = ctx.consensus.renew_lease(request.id).await?;
            if renewed.is_some() {
                ctx.metrics.lease.renewed_total.inc();
            }
            Ok(Some(pb::LeaseKeepAliveResponse { header, id: request.id, ttl: renewed.unwrap_or(0) }))
        };
        tokio::select! {
            biased;
            () = ctx.shutdown.cancelled() => Err(STOPPED.into()),
            () = leaderless => Err(NO_LEADER.into()),
            result = renewal => result,
        }
    }
}

#[cfg(test)]
#[path = "lease_test.rs"]
mod tests;
