//! Lock: a mutex by name, held by a key under a lease.
//!
//! A lock taken without a lease gets one of 60 s that nobody renews. A lock whose lease ended while it waited is not given:
//! "session is expired". Source: etcd `server/etcdserver/api/v3lock/lock.go`, `client/v3/concurrency/mutex.go`.

use bytes::Bytes;
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::v3lockpb as lockpb;
use lockpb::lock_server::Lock;
use tonic::{Request, Response, Status};

use super::kv::mismatched;
use super::queue::{self, Abandon, Place};
use super::{Context, validate};
use crate::apply::{Command, Outcome};

/// The service.
#[derive(Clone)]
pub struct LockService {
    ctx: Context,
}

impl LockService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> LockService {
        LockService { ctx }
    }

    /// Deletes a key; the revision of that.
    async fn deleted(&self, key: Bytes) -> Result<i64, Status> {
        let delete = pb::DeleteRangeRequest { key, ..Default::default() };
        validate::delete_range(&delete)?;
        let applied = self.ctx.propose(Command::DeleteRange(delete)).await?;
        match applied.outcome? {
            Outcome::DeleteRange(_) => Ok(applied.revision),
            other => Err(mismatched(&other)),
        }
    }
}

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(&self, request: Request<lockpb::LockRequest>) -> Result<Response<lockpb::LockResponse>, Status> {
        let r = request.into_inner();
        let ctx = &self.ctx;
        let lease = queue::session(ctx, r.lease).await?;
        let (prefix, key) = (queue::prefix(&r.name), queue::key(&r.name, lease));
        let owner = || queue::get(queue::first(&prefix));
        let placed = queue::run(
            ctx,
            pb::TxnRequest {
                compare: vec![queue::created_at(&key, 0)],
                success: vec![queue::put(&key, "".into(), lease), owner()],
                failure: vec![queue::get(queue::one(&key)), owner()],
            },
        )
        .await?;
        let first = |range: Option<&Vec<_>>| range.and_then(|kvs| kvs.first()).map_or(0, created);
        let created = if placed.succeeded { placed.revision } else { first(placed.ranges.first()) };
        let owner_created = first(placed.ranges.last());
        let answer =
            |revision| Ok(Response::new(lockpb::LockResponse { header: Some(ctx.header(revision)), key: key.clone() }));
        if owner_created == 0 || owner_created == created {
            return answer(placed.revision);
        }
        let place = Place { key: key.clone(), created };
        let abandon = placed.succeeded.then(|| Abandon::new(ctx, place.clone()));
        let turn = queue::wait_for_turn(ctx, &prefix, &place).await?;
        if let Some(abandon) = abandon {
            abandon.keep();
        }
        answer(turn.ok_or_else(|| Status::unknown("mutex: session is expired"))?)
    }

    async fn unlock(
        &self,
        request: Request<lockpb::UnlockRequest>,
    ) -> Result<Response<lockpb::UnlockResponse>, Status> {
        let revision = self.deleted(request.into_inner().key).await.map_err(queue::of_a_client)?;
        Ok(Response::new(lockpb::UnlockResponse { header: Some(self.ctx.header(revision)) }))
    }
}

fn created(kv: &fairlead_proto::etcd::mvccpb::KeyValue) -> i64 {
    kv.create_revision
}

#[cfg(test)]
#[path = "queue_test.rs"]
mod tests;
