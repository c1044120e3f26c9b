//! The Lease service on a cluster of one.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::*;
use crate::raft::Unserved;
use crate::rpc::testing::{Single, context};

fn service() -> (LeaseService, std::sync::Arc<Single>) {
    let (ctx, single) = context();
    (LeaseService::new(ctx), single)
}

async fn grant(lease: &LeaseService, id: i64, ttl: i64) -> Result<pb::LeaseGrantResponse, Status> {
    lease.lease_grant(Request::new(pb::LeaseGrantRequest { id, ttl })).await.map(Response::into_inner)
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, text: &str) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, text));
}

struct Keeper {
    requests: mpsc::Sender<Result<pb::LeaseKeepAliveRequest, Status>>,
    responses: BoxStream<'static, Result<pb::LeaseKeepAliveResponse, Status>>,
}

fn keeper(lease: &LeaseService) -> Keeper {
    let (requests, incoming) = mpsc::channel(16);
    let requests_stream = ReceiverStream::new(incoming).boxed();
    let leaderless = Box::pin(std::future::pending());
    let keeping = KeepAlive { ctx: lease.ctx.clone(), requests: requests_stream, leaderless };
    Keeper { requests, responses: keeping.into_stream().boxed() }
}

#[tokio::test]
async fn a_grant_chooses_an_id_and_raises_a_short_ttl() {
    let (lease, _) = service();
    for (asked, given) in [(0, 2), (-5, 2), (1, 2), (2, 2), (60, 60), (TTL_MAX, TTL_MAX)] {
        let granted = grant(&lease, 0, asked).await.unwrap();
        assert!(granted.id > 0);
        assert_eq!((granted.ttl, granted.header.unwrap().revision), (given, 1));
    }
    assert_refused(grant(&lease, 0, TTL_MAX + 1).await, Code::OutOfRange, "etcdserver: too large lease TTL");
    for id in [i64::MIN, -1, 1, i64::MAX] {
        assert_eq!(grant(&lease, id, 60).await.unwrap().id, id);
        let again = grant(&lease, id, 60).await;
        assert_refused(again, Code::FailedPrecondition, "etcdserver: lease already exists");
    }
    let listed = lease.lease_leases(Request::new(pb::LeaseLeasesRequest {})).await.unwrap().into_inner();
    assert_eq!(listed.leases.len(), 10);
}

#[tokio::test]
async fn a_revoked_lease_is_gone_with_its_keys_and_an_unknown_one_is_refused() {
    let (lease, _) = service();
    grant(&lease, 7, 60).await.unwrap();
    for key in ["b", "a"] {
        let put = pb::PutRequest { key: key.into(), lease: 7, ..Default::default() };
        lease.ctx.propose(Command::Put(put)).await.unwrap();
    }
    let ask = pb::LeaseTimeToLiveRequest { id: 7, keys: true };
    let time = lease.lease_time_to_live(Request::new(ask)).await.unwrap().into_inner();
    assert_eq!((time.id, time.ttl, time.granted_ttl), (7, 60, 60));
    assert_eq!(time.keys, ["a", "b"]);
    let revoke = || lease.lease_revoke(Request::new(pb::LeaseRevokeRequest { id: 7 }));
    assert_eq!(revoke().await.unwrap().into_inner().header.unwrap().revision, 4, "one revision for both keys");
    assert_refused(revoke().await, Code::NotFound, "etcdserver: requested lease not found");
    let time = lease.lease_time_to_live(Request::new(ask)).await.unwrap().into_inner();
    assert_eq!((time.id, time.ttl, time.granted_ttl, time.keys.len()), (7, -1, 0, 0));
}

/// [keepalive_is_not_replicated]
#[tokio::test]
async fn each_renewal_is_answered_once_and_costs_no_log_entry() {
    let (lease, single) = service();
    grant(&lease, 7, 60).await.unwrap();
    let before = single.proposed();
    let mut keeper = keeper(&lease);
    for (id, ttl) in [(7, 60), (8, 0), (7, 60)] {
        keeper.requests.send(Ok(pb::LeaseKeepAliveRequest { id })).await.unwrap();
        let kept = keeper.responses.next().await.unwrap().unwrap();
        assert_eq!((kept.id, kept.ttl), (id, ttl));
    }
    assert_eq!(single.proposed(), before);
    assert_eq!(lease.ctx.metrics.lease.renewed_total.get(), 2);
    drop(keeper.requests);
    assert!(keeper.responses.next().await.is_none(), "ends when the client has no more requests");
}

#[tokio::test]
async fn a_renewal_without_a_leader_or_on_a_stopping_member_ends_the_stream() {
    let (lease, single) = service();
    let mut first = keeper(&lease);
    single.refuse(Some(Unserved::Timeout));
    first.requests.send(Ok(pb::LeaseKeepAliveRequest { id: 7 })).await.unwrap();
    assert_refused(first.responses.next().await.unwrap(), Code::Unavailable, "etcdserver: request timed out");
    let mut second = keeper(&lease);
    lease.ctx.shutdown.cancel();
    assert_refused(second.responses.next().await.unwrap(), Code::Unavailable, "etcdserver: server stopped");
}
