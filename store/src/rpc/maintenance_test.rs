//! Maintenance, cluster, auth and health on a cluster of one.

use std::sync::atomic::Ordering;

use fairlead_proto::health as health_pb;
use fairlead_proto::served::etcdserverpb as pb;
use futures::{StreamExt, TryStreamExt};
use pb::auth_server::Auth;
use pb::cluster_server::Cluster;
use pb::kv_server::Kv;
use prost::Message;
use sha2::{Digest, Sha256};

use super::*;
use crate::raft::Unserved;
use crate::rpc::testing::{CLUSTER, MEMBER, context, context_with};
use crate::rpc::{AuthService, ClusterService, HealthService, KvService};

fn header(revision: i64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader { cluster_id: CLUSTER, member_id: MEMBER, revision, raft_term: 5 })
}

fn alarm(action: AlarmAction, alarm: pb::AlarmType) -> Request<pb::AlarmRequest> {
    Request::new(pb::AlarmRequest { action: action as i32, member_id: MEMBER, alarm: alarm as i32 })
}

fn assert_refused<T>(result: Result<Response<T>, Status>, code: Code, text: &str) {
    let status = result.err().unwrap();
    assert_eq!((status.code(), status.message()), (code, text));
}

#[tokio::test]
async fn status_tells_what_is_known_of_the_member() {
    let (ctx, single) = context();
    let maintenance = MaintenanceService::new(ctx.clone());
    let status = || async { maintenance.status(Request::new(pb::StatusRequest {})).await.unwrap().into_inner() };
    let healthy = status().await;
    let expected = pb::StatusResponse {
        header: header(1),
        version: "3.7.1".into(),
        leader: MEMBER,
        raft_index: 11,
        raft_term: 5,
        raft_applied_index: 10,
        storage_version: "3.7.0".into(),
        db_size: healthy.db_size,
        db_size_in_use: healthy.db_size_in_use,
        db_size_quota: 2_147_483_648,
        downgrade_info: Some(pb::DowngradeInfo::default()),
        ..Default::default()
    };
    assert_eq!(healthy, expected);
    single.set_status(|status| status.leader = None);
    ctx.alarms.activate(MEMBER, pb::AlarmType::Nospace);
    let sick = status().await;
    assert_eq!(sick.leader, 0);
    assert_eq!(sick.errors, ["etcdserver: no leader", "memberID:161 alarm:NOSPACE"]);
}

#[tokio::test]
async fn an_alarm_is_raised_listed_and_disarmed() {
    let (ctx, single) = context();
    let maintenance = MaintenanceService::new(ctx);
    let raised = pb::AlarmMember { member_id: MEMBER, alarm: pb::AlarmType::Nospace as i32 };
    let ask = |request| async { maintenance.alarm(request).await.unwrap().into_inner().alarms };
    assert_eq!(ask(alarm(AlarmAction::Get, pb::AlarmType::None)).await, []);
    assert_eq!(ask(alarm(AlarmAction::Activate, pb::AlarmType::Nospace)).await, [raised]);
    assert_eq!(ask(alarm(AlarmAction::Get, pb::AlarmType::None)).await, [raised]);
    assert_eq!(ask(alarm(AlarmAction::Get, pb::AlarmType::Nospace)).await, [raised]);
    assert_eq!(ask(alarm(AlarmAction::Get, pb::AlarmType::Corrupt)).await, []);
    assert_eq!(ask(alarm(AlarmAction::Deactivate, pb::AlarmType::Nospace)).await, [raised]);
    assert_eq!(ask(alarm(AlarmAction::Deactivate, pb::AlarmType::Nospace)).await, []);
    single.refuse(Some(Unserved::Timeout));
    let refused = maintenance.alarm(alarm(AlarmAction::Get, pb::AlarmType::None)).await;
    assert_refused(refused, Code::Unavailable, "etcdserver: request timed out");
}

#[tokio::test]
async fn only_the_leader_moves_leadership() {
    let (ctx, single) = context();
    let maintenance = MaintenanceService::new(ctx);
    let ask = || maintenance.move_leader(Request::new(pb::MoveLeaderRequest { target_id: 7 }));
    assert_eq!(ask().await.unwrap().into_inner().header, None);
    for (unserved, code, text) in [
        (Unserved::BadTransferee, Code::FailedPrecondition, "etcdserver: bad leader transferee"),
        (Unserved::TransferTimeout, Code::Unknown, "etcdserver: request timed out, leader transfer took too long"),
    ] {
        single.refuse(Some(unserved));
        assert_refused(ask().await, code, text);
    }
    single.set_status(|status| status.leader = Some(9));
    assert_refused(ask().await, Code::FailedPrecondition, "etcdserver: not leader");
}

#[tokio::test]
async fn defragment_answers_at_once_and_changes_no_revision() {
    let (ctx, _) = context();
    let maintenance = MaintenanceService::new(ctx.clone());
    let response = maintenance.defragment(Request::new(pb::DefragmentRequest {})).await.unwrap().into_inner();
    assert_eq!(response.header, None);
    assert_eq!(ctx.mvcc.revision(), 1);
}

#[tokio::test]
async fn hashes_carry_the_current_revision_and_refuse_a_future_one() {
    let (ctx, _) = context();
    let put = pb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    KvService::new(ctx.clone()).put(Request::new(put)).await.unwrap();
    let maintenance = MaintenanceService::new(ctx);
    let at = |revision| Request::new(pb::HashKvRequest { revision });
    let now = maintenance.hash_kv(at(0)).await.unwrap().into_inner();
    assert_eq!((now.header, now.hash_revision), (header(2), 2));
    assert_eq!(maintenance.hash_kv(at(2)).await.unwrap().into_inner().hash, now.hash);
    let text = "etcdserver: mvcc: required revision is a future revision";
    assert_refused(maintenance.hash_kv(at(3)).await, Code::OutOfRange, text);
    let whole = maintenance.hash(Request::new(pb::HashRequest {})).await.unwrap().into_inner();
    assert_eq!(whole.header, header(2));
}

#[tokio::test]
async fn a_downgrade_can_be_asked_about_and_not_made() {
    let (ctx, _) = context();
    let maintenance = MaintenanceService::new(ctx);
    let ask = |action: i32, version: &str| {
        maintenance.downgrade(Request::new(pb::DowngradeRequest { action, version: version.into() }))
    };
    let (validate, enable, cancel) = (0, 1, 2);
    for version in ["3.6", "3.6.0", "3.6.9"] {
        let response = ask(validate, version).await.unwrap().into_inner();
        assert_eq!((response.header, response.version.as_str()), (header(1), "3.7"));
    }
    let text = "etcdserver: wrong downgrade target version format";
    for version in ["", "3", "x.y", "3.6.0.1"] {
        assert_refused(ask(validate, version).await, Code::InvalidArgument, text);
        assert_refused(ask(enable, version).await, Code::InvalidArgument, text);
    }
    let text = "etcdserver: invalid downgrade target version";
    for version in ["3.5", "3.7.0", "3.8", "2.6"] {
        assert_refused(ask(validate, version).await, Code::InvalidArgument, text);
    }
    assert_eq!(ask(enable, "3.6").await.err().unwrap().code(), Code::Unimplemented);
    assert_refused(ask(cancel, "").await, Code::FailedPrecondition, "etcdserver: no inflight downgrade job");
    assert_refused(ask(7, "").await, Code::Unknown, "etcdserver: unknown method");
}

#[tokio::test]
async fn a_snapshot_comes_in_blobs_that_count_down_and_ends_with_its_digest() {
    let (ctx, single) = context();
    let maintenance = MaintenanceService::new(ctx);
    let ask = || async { maintenance.snapshot(Request::new(pb::SnapshotRequest {})).await.unwrap().into_inner() };
    let blobs: Vec<pb::SnapshotResponse> = ask().await.try_collect().await.unwrap();
    let (digest, blobs) = blobs.split_last().unwrap();
    let sizes: Vec<(usize, u64)> = blobs.iter().map(|blob| (blob.blob.len(), blob.remaining_bytes)).collect();
    assert_eq!(sizes, [(32_768, 67_232), (32_768, 34_464), (32_768, 1_696), (1_696, 0)]);
    let state: Vec<u8> = blobs.iter().flat_map(|blob| blob.blob.to_vec()).collect();
    assert_eq!((digest.remaining_bytes, &digest.blob[..]), (0, &Sha256::digest(&state)[..]));
    assert!(blobs.iter().all(|blob| blob.version == "3.7.0"));
    single.damage_snapshots.store(true, Ordering::SeqCst);
    let damaged: Result<Vec<_>, Status> = ask().await.try_collect().await;
    assert_eq!(damaged.unwrap_err().code(), Code::DataLoss);
}

#[tokio::test]
async fn members_are_listed_behind_a_barrier_or_without() {
    let (ctx, single) = context();
    ctx.members.put(pb::Member {
        id: MEMBER,
        name: "n1".into(),
        peer_ur_ls: vec!["http://n1:2380".into()],
        client_ur_ls: vec!["http://n1:2379".into()],
        is_learner: false,
    });
    let cluster = ClusterService::new(ctx);
    let list = |linearizable| cluster.member_list(Request::new(pb::MemberListRequest { linearizable }));
    let listed = list(true).await.unwrap().into_inner();
    assert_eq!((listed.header, listed.members[0].name.as_str()), (header(0), "n1"));
    assert_eq!(single.barriers(), 1);
    single.refuse(Some(Unserved::Timeout));
    assert_eq!(list(false).await.unwrap().into_inner().members.len(), 1);
    assert_refused(list(true).await, Code::Unavailable, "etcdserver: request timed out");
    let add = cluster.member_add(Request::new(pb::MemberAddRequest::default())).await;
    assert_eq!(add.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn auth_is_off_and_says_so() {
    let (ctx, _) = context();
    let auth = AuthService::new(ctx);
    let status = auth.auth_status(Request::new(pb::AuthStatusRequest {})).await.unwrap().into_inner();
    assert_eq!(status, pb::AuthStatusResponse { header: header(1), enabled: false, auth_revision: 1 });
    let denied = auth.authenticate(Request::new(pb::AuthenticateRequest::default())).await;
    assert_refused(denied, Code::FailedPrecondition, "etcdserver: authentication is not enabled");
    let enable = auth.auth_enable(Request::new(pb::AuthEnableRequest {})).await;
    assert_eq!(enable.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn health_is_serving_until_the_member_stops() {
    use health_pb::health_check_response::ServingStatus;
    use health_pb::health_server::Health;
    let (ctx, _) = context_with(|_| {});
    let health = HealthService::new(ctx.clone());
    let ask = |service: &str| Request::new(health_pb::HealthCheckRequest { service: service.into() });
    let check = || async { health.check(ask("")).await.unwrap().into_inner().status };
    assert_eq!(check().await, ServingStatus::Serving as i32);
    assert_refused(health.check(ask("nobody")).await, Code::NotFound, "unknown service");
    let mut watch = health.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    ctx.shutdown.cancel();
    assert_eq!(watch.next().await.unwrap().unwrap().status, ServingStatus::NotServing as i32);
    assert_eq!(check().await, ServingStatus::NotServing as i32);
}

#[test]
fn a_status_without_alarms_carries_no_errors_field() {
    assert_eq!(pb::StatusResponse::default().encoded_len(), 0);
    assert_eq!(cluster_minor(), "3.7");
}
