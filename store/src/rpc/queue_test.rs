//! Lock and Election on a cluster of one with a running hub.

use std::sync::Arc;
use std::time::Duration;

use epb::election_server::Election;
use fairlead_proto::etcd::mvccpb;
use fairlead_proto::served::v3electionpb as epb;
use futures::StreamExt;
use prost::Message;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Code;

use super::*;
use crate::rpc::ElectionService;
use crate::rpc::testing::{Single, context};

const SOON: Duration = Duration::from_secs(5);

struct Room {
    ctx: Context,
    lock: LockService,
    election: ElectionService,
    single: Arc<Single>,
}

fn room() -> Room {
    let (ctx, single) = context();
    let (hub, shutdown) = (ctx.hub.clone(), ctx.shutdown.clone());
    tokio::spawn(async move { hub.run(shutdown).await });
    Room { lock: LockService::new(ctx.clone()), election: ElectionService::new(ctx.clone()), ctx, single }
}

impl Room {
    async fn lease(&self, id: i64) -> i64 {
        let grant = pb::LeaseGrantRequest { id, ttl: 60 };
        self.ctx.propose(Command::LeaseGrant(grant)).await.unwrap();
        id
    }

    async fn revoke(&self, id: i64) {
        self.ctx.propose(Command::LeaseRevoke(pb::LeaseRevokeRequest { id })).await.unwrap();
    }

    async fn lock(&self, lease: i64) -> Result<lockpb::LockResponse, Status> {
        let request = lockpb::LockRequest { name: "l".into(), lease };
        timeout(SOON, self.lock.lock(Request::new(request))).await.unwrap().map(Response::into_inner)
    }

    fn locking(&self, lease: i64) -> JoinHandle<Result<lockpb::LockResponse, Status>> {
        let lock = self.lock.clone();
        let request = lockpb::LockRequest { name: "l".into(), lease };
        tokio::spawn(async move { lock.lock(Request::new(request)).await.map(Response::into_inner) })
    }

    async fn unlock(&self, key: &str) {
        let request = lockpb::UnlockRequest { key: key.to_owned().into() };
        self.lock.unlock(Request::new(request)).await.unwrap();
    }

    async fn campaign(&self, lease: i64, value: &str) -> Result<epb::CampaignResponse, Status> {
        let request = epb::CampaignRequest { name: "e".into(), lease, value: value.to_owned().into() };
        self.election.campaign(Request::new(request)).await.map(Response::into_inner)
    }

    async fn leader(&self) -> Result<mvccpb::KeyValue, Status> {
        let request = Request::new(epb::LeaderRequest { name: "e".into() });
        self.election.leader(request).await.map(|response| value(response.into_inner()))
    }

    /// Waits until `count` keys are in line.
    async fn in_line(&self, name: &str, count: usize) {
        let range = pb::RangeRequest {
            key: format!("{name}/").into(),
            range_end: format!("{name}0").into(),
            ..Default::default()
        };
        let waiting = async {
            while self.ctx.mvcc.read(|view| view.range(&range)).unwrap().kvs.len() != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, waiting).await.unwrap();
    }
}

fn value(response: epb::LeaderResponse) -> mvccpb::KeyValue {
    mvccpb::KeyValue::decode(response.kv.unwrap().0).unwrap()
}

async fn done<T>(task: JoinHandle<T>) -> T {
    timeout(SOON, task).await.unwrap().unwrap()
}

#[test]
fn a_key_is_the_lease_in_hexadecimal_as_go_prints_it() {
    assert_eq!(queue::key(b"n", 0x2fab), "n/2fab");
    assert_eq!(queue::key(b"n", -31), "n/-1f");
    assert_eq!(queue::key(b"", i64::MIN), "/-8000000000000000");
}

#[tokio::test]
async fn a_free_lock_is_given_at_once_and_again_to_its_holder() {
    let room = room();
    let lease = room.lease(0x10).await;
    let first = room.lock(lease).await.unwrap();
    assert_eq!((&first.key[..], first.header.unwrap().revision), (&b"l/10"[..], 2));
    let again = room.lock(lease).await.unwrap();
    assert_eq!((&again.key[..], again.header.unwrap().revision), (&b"l/10"[..], 2));
}

#[tokio::test]
async fn a_lock_without_a_lease_gets_one_of_sixty_seconds() {
    let room = room();
    let locked = room.lock(0).await.unwrap();
    let hex = std::str::from_utf8(&locked.key).unwrap().strip_prefix("l/").unwrap().to_owned();
    let id = i64::from_str_radix(&hex, 16).unwrap();
    let time = room.ctx.consensus.lease_time(id).await.unwrap().unwrap();
    assert_eq!(time.granted, 60);
}

#[tokio::test]
async fn waiters_get_the_lock_in_their_order() {
    let room = room();
    for lease in [1, 2, 3] {
        room.lease(lease).await;
    }
    room.lock(1).await.unwrap();
    let second = room.locking(2);
    room.in_line("l", 2).await;
    let third = room.locking(3);
    room.in_line("l", 3).await;
    room.unlock("l/1").await;
    let second = done(second).await.unwrap();
    assert_eq!(&second.key[..], b"l/2");
    assert!(!third.is_finished());
    room.revoke(2).await;
    assert_eq!(&done(third).await.unwrap().key[..], b"l/3");
}

#[tokio::test]
async fn a_waiter_whose_client_gives_up_leaves_the_line() {
    let room = room();
    for lease in [1, 2, 3] {
        room.lease(lease).await;
    }
    room.lock(1).await.unwrap();
    let second = room.locking(2);
    room.in_line("l", 2).await;
    let third = room.locking(3);
    room.in_line("l", 3).await;
    second.abort();
    room.in_line("l", 2).await;
    room.unlock("l/1").await;
    assert_eq!(&done(third).await.unwrap().key[..], b"l/3");
}

#[tokio::test]
async fn a_waiter_whose_lease_ends_is_told_that_its_session_expired() {
    let room = room();
    for lease in [1, 2] {
        room.lease(lease).await;
    }
    room.lock(1).await.unwrap();
    let second = room.locking(2);
    room.in_line("l", 2).await;
    room.revoke(2).await;
    room.unlock("l/1").await;
    let status = done(second).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "mutex: session is expired"));
}

#[tokio::test]
async fn a_lock_under_a_lease_that_is_none_is_refused() {
    let status = room().lock(99).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "etcdserver: requested lease not found"));
}

#[tokio::test]
async fn a_member_that_stops_ends_the_wait() {
    let room = room();
    for lease in [1, 2] {
        room.lease(lease).await;
    }
    room.lock(1).await.unwrap();
    let second = room.locking(2);
    room.in_line("l", 2).await;
    room.ctx.shutdown.cancel();
    assert_eq!(done(second).await.unwrap_err().message(), "etcdserver: server stopped");
}

#[tokio::test]
async fn a_candidate_leads_when_all_before_it_have_gone() {
    let room = room();
    for lease in [1, 2] {
        room.lease(lease).await;
    }
    let first = room.campaign(1, "one").await.unwrap().leader.unwrap();
    assert_eq!((&first.key[..], first.rev, first.lease, &first.name[..]), (&b"e/1"[..], 2, 1, &b"e"[..]));
    let election = room.election.clone();
    let second = tokio::spawn(async move {
        let request = epb::CampaignRequest { name: "e".into(), lease: 2, value: "two".into() };
        election.campaign(Request::new(request)).await.map(Response::into_inner)
    });
    room.in_line("e", 2).await;
    assert_eq!(room.leader().await.unwrap().value, "one");
    let resign = Request::new(epb::ResignRequest { leader: Some(first.clone()) });
    room.election.resign(resign).await.unwrap();
    assert_eq!(done(second).await.unwrap().leader.unwrap().lease, 2);
    assert_eq!(room.leader().await.unwrap().value, "two");
    let late = Request::new(epb::ResignRequest { leader: Some(first) });
    room.election.resign(late).await.unwrap();
    assert_eq!(room.leader().await.unwrap().value, "two", "who does not lead has nothing to give up");
}

#[tokio::test]
async fn a_leader_that_campaigns_again_proclaims_its_new_value() {
    let room = room();
    room.lease(1).await;
    let first = room.campaign(1, "one").await.unwrap().leader.unwrap();
    let again = room.campaign(1, "uno").await.unwrap().leader.unwrap();
    assert_eq!(first, again);
    assert_eq!(room.leader().await.unwrap().value, "uno");
}

#[tokio::test]
async fn only_the_leader_proclaims_and_what_is_missing_is_said() {
    let room = room();
    let unknown = |status: Status, text: &str| assert_eq!((status.code(), status.message()), (Code::Unknown, text));
    unknown(room.leader().await.unwrap_err(), "election: no leader");
    let none = Request::new(epb::ProclaimRequest { leader: None, value: "v".into() });
    unknown(room.election.proclaim(none).await.unwrap_err(), "\"leader\" field must be provided");
    let none = Request::new(epb::ResignRequest { leader: None });
    unknown(room.election.resign(none).await.unwrap_err(), "\"leader\" field must be provided");
    room.lease(1).await;
    let leader = room.campaign(1, "one").await.unwrap().leader.unwrap();
    let wrong = epb::LeaderKey { rev: 77, ..leader.clone() };
    let wrong = Request::new(epb::ProclaimRequest { leader: Some(wrong), value: "v".into() });
    unknown(room.election.proclaim(wrong).await.unwrap_err(), "election: not leader");
    let right = Request::new(epb::ProclaimRequest { leader: Some(leader), value: "v".into() });
    assert_eq!(room.election.proclaim(right).await.unwrap().into_inner().header.unwrap().revision, 3);
}

#[tokio::test]
async fn an_observer_sees_each_leader_and_each_of_its_values() {
    let room = room();
    let request = Request::new(epb::LeaderRequest { name: "e".into() });
    let mut observed = room.election.observe(request).await.unwrap().into_inner();
    let next = async |observed: &mut futures::stream::BoxStream<'static, Result<epb::LeaderResponse, Status>>| {
        let response = timeout(SOON, observed.next()).await.unwrap().unwrap().unwrap();
        let revision = response.header.unwrap().revision;
        (value(response).value, revision)
    };
    for lease in [1, 2] {
        room.lease(lease).await;
    }
    let waiting = tokio::spawn(async move {
        let first = next(&mut observed).await;
        (first, observed)
    });
    let leader = room.campaign(1, "one").await.unwrap().leader.unwrap();
    let (first, mut observed) = done(waiting).await;
    assert_eq!(first, ("one".into(), 2));
    let proclaim = Request::new(epb::ProclaimRequest { leader: Some(leader), value: "uno".into() });
    room.election.proclaim(proclaim).await.unwrap();
    assert_eq!(next(&mut observed).await, ("uno".into(), 3));
    room.revoke(1).await;
    room.campaign(2, "two").await.unwrap();
    assert_eq!(next(&mut observed).await.0, "two");
    room.ctx.shutdown.cancel();
    let end = timeout(SOON, observed.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(end.message(), "etcdserver: server stopped");
    assert!(room.single.proposed() > 0);
}
