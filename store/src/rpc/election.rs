//! Election: a leader by name, with a value that it proclaims.
//!
//! Stricter than etcd in one thing: a candidate whose lease ended while it waited is told that it does not lead, where
//! etcd lets it believe that it does.
//! Source: etcd `server/etcdserver/api/v3election/election.go`, `client/v3/concurrency/election.go`.

use bytes::Bytes;
use epb::election_server::Election;
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::v3electionpb as epb;
use futures::StreamExt;
use futures::stream::BoxStream;
use prost::Message;
use tonic::{Request, Response, Status};

use super::Context;
use super::observe::Observing;
use super::queue::{self, Abandon, Place};

/// The service.
#[derive(Clone)]
pub struct ElectionService {
    ctx: Context,
}

impl ElectionService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> ElectionService {
        ElectionService { ctx }
    }

    /// Gives the candidate's key a new value, if it is still the same key. The revision of that.
    async fn proclaimed(&self, place: &Place, value: Bytes, lease: i64) -> Result<i64, Status> {
        let txn = pb::TxnRequest {
            compare: vec![queue::created_at(&place.key, place.created)],
            success: vec![queue::put(&place.key, value, lease)],
            failure: Vec::new(),
        };
        let placed = queue::run(&self.ctx, txn).await?;
        if placed.succeeded { Ok(placed.revision) } else { Err(not_leader()) }
    }
}

fn not_leader() -> Status {
    Status::unknown("election: not leader")
}

fn leader_missing() -> Status {
    Status::unknown(r#""leader" field must be provided"#)
}

#[tonic::async_trait]
impl Election for ElectionService {
    type ObserveStream = BoxStream<'static, Result<epb::LeaderResponse, Status>>;

    async fn campaign(
        &self,
        request: Request<epb::CampaignRequest>,
    ) -> Result<Response<epb::CampaignResponse>, Status> {
        let r = request.into_inner();
        let ctx = &self.ctx;
        let lease = queue::session(ctx, r.lease).await?;
        let (prefix, key) = (queue::prefix(&r.name), queue::key(&r.name, lease));
        let txn = pb::TxnRequest {
            compare: vec![queue::created_at(&key, 0)],
            success: vec![queue::put(&key, r.value.clone(), lease)],
            failure: vec![queue::get(queue::one(&key))],
        };
        let placed = queue::run(ctx, txn).await?;
        let earlier = placed.ranges.first().and_then(|kvs| kvs.first());
        let created = earlier.map_or(placed.revision, |own| own.create_revision);
        let place = Place { key: key.clone(), created };
        let abandon = placed.succeeded.then(|| Abandon::new(ctx, place.clone()));
        if earlier.is_some_and(|own| own.value != r.value) {
            self.proclaimed(&place, r.value, lease).await?;
        }
        let turn = queue::wait_for_turn(ctx, &prefix, &place).await?;
        if let Some(abandon) = abandon {
            abandon.keep();
        }
        turn.ok_or_else(not_leader)?;
        let leader = epb::LeaderKey { name: r.name, key, rev: created, lease };
        let header = Some(ctx.header(placed.revision));
        Ok(Response::new(epb::CampaignResponse { header, leader: Some(leader) }))
    }

    async fn proclaim(
        &self,
        request: Request<epb::ProclaimRequest>,
    ) -> Result<Response<epb::ProclaimResponse>, Status> {
        let r = request.into_inner();
        let leader = r.leader.ok_or_else(leader_missing)?;
        let lease = queue::session(&self.ctx, leader.lease).await?;
        let place = Place { key: leader.key, created: leader.rev };
        let revision = self.proclaimed(&place, r.value, lease).await?;
        Ok(Response::new(epb::ProclaimResponse { header: Some(self.ctx.header(revision)) }))
    }

    async fn leader(&self, request: Request<epb::LeaderRequest>) -> Result<Response<epb::LeaderResponse>, Status> {
        let prefix = queue::prefix(&request.into_inner().name);
        let (revision, leader) = queue::read(&self.ctx, queue::first(&prefix)).await?;
        let leader = leader.ok_or_else(|| Status::unknown("election: no leader"))?;
        let kv = fairlead_proto::encoded::KeyValue(leader.encode_to_vec().into());
        Ok(Response::new(epb::LeaderResponse { header: Some(self.ctx.header(revision)), kv: Some(kv) }))
    }

    async fn observe(&self, request: Request<epb::LeaderRequest>) -> Result<Response<Self::ObserveStream>, Status> {
        let prefix = queue::prefix(&request.into_inner().name);
        Ok(Response::new(Observing::new(self.ctx.clone(), prefix).into_stream().boxed()))
    }

    async fn resign(&self, request: Request<epb::ResignRequest>) -> Result<Response<epb::ResignResponse>, Status> {
        let leader = request.into_inner().leader.ok_or_else(leader_missing)?;
        // One that does not lead any more has nothing to give up, and that is no error.
        let txn = pb::TxnRequest {
            compare: vec![queue::created_at(&leader.key, leader.rev)],
            success: vec![queue::delete(&leader.key)],
            failure: Vec::new(),
        };
        let placed = queue::run(&self.ctx, txn).await?;
        Ok(Response::new(epb::ResignResponse { header: Some(self.ctx.header(placed.revision)) }))
    }
}
