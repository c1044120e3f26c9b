//! Maintenance: what operators ask of one member.
//!
//! Answers about this member as it is (Status, HashKV, Hash, Snapshot) pass no barrier. Defragment returns at once: space
//! comes back by itself, and the account only drops what is dead. A downgrade can be asked about and not made.
//! Source: etcd `server/etcdserver/api/v3rpc/maintenance.go`, `server/etcdserver/v3_server.go` (downgrade).

use fairlead_proto::served::etcdserverpb as pb;
use futures::StreamExt;
use futures::stream::BoxStream;
use pb::alarm_request::AlarmAction;
use pb::downgrade_request::DowngradeAction;
use pb::maintenance_server::Maintenance;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use super::kv::mismatched;
use super::status::{
    INVALID_DOWNGRADE_TARGET_VERSION, NO_INFLIGHT_DOWNGRADE, NO_LEADER, NOT_LEADER, WRONG_DOWNGRADE_VERSION_FORMAT,
};
use super::{CLUSTER_VERSION, Context, SERVER_VERSION, snapshot_stream};
use crate::apply::{Command, Outcome};
use crate::mvcc;
use crate::raft::MemberId;

/// The service.
#[derive(Clone)]
pub struct MaintenanceService {
    ctx: Context,
}

impl MaintenanceService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> MaintenanceService {
        MaintenanceService { ctx }
    }

    /// The hash at `revision`, 0 for now, and the store's revision.
    async fn hashed(&self, revision: i64) -> Result<(i64, mvcc::Hashed), Status> {
        let (now, hashed) = self.ctx.read(true, move |view| (view.revision(), view.hash_kv(revision))).await?;
        Ok((now, hashed?))
    }
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = BoxStream<'static, Result<pb::SnapshotResponse, Status>>;

    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        let r = request.into_inner();
        let alarms = match AlarmAction::try_from(r.action) {
            Ok(AlarmAction::Get) => {
                self.ctx.consensus.read_barrier().await?;
                let mut alarms = self.ctx.alarms.list();
                alarms.retain(|alarm| r.alarm == pb::AlarmType::None as i32 || alarm.alarm == r.alarm);
                alarms
            }
            Ok(AlarmAction::Activate | AlarmAction::Deactivate) => {
                match self.ctx.propose(Command::Alarm(r)).await?.outcome? {
                    Outcome::Alarm(alarms) => alarms,
                    other => return Err(mismatched(&other)),
                }
            }
            Err(_) => Vec::new(),
        };
        let header = Some(self.ctx.header(self.ctx.mvcc.revision()));
        Ok(Response::new(pb::AlarmResponse { header, alarms }))
    }

    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let ctx = &self.ctx;
        let (raft, sizes) = (ctx.consensus.status(), ctx.mvcc.sizes());
        let no_leader = raft.leader.is_none().then(|| NO_LEADER.text.to_owned());
        let alarms = ctx.alarms.list().into_iter().map(|alarm| {
            let name = pb::AlarmType::try_from(alarm.alarm).map_or("UNKNOWN", |alarm| alarm.as_str_name());
            format!("memberID:{} alarm:{name}", alarm.member_id)
        });
        Ok(Response::new(pb::StatusResponse {
            header: Some(ctx.header(ctx.mvcc.revision())),
            version: SERVER_VERSION.into(),
            db_size: sizes.total,
            leader: raft.leader.unwrap_or(0),
            raft_index: raft.committed_index,
            raft_term: raft.term,
            raft_applied_index: raft.applied_index,
            errors: no_leader.into_iter().chain(alarms).collect(),
            db_size_in_use: sizes.in_use,
            is_learner: raft.learner,
            storage_version: CLUSTER_VERSION.into(),
            db_size_quota: ctx.quota.bytes().unwrap_or(-1),
            downgrade_info: Some(pb::DowngradeInfo::default()),
        }))
    }

    async fn defragment(&self, _: Request<pb::DefragmentRequest>) -> Result<Response<pb::DefragmentResponse>, Status> {
        let begun = Instant::now();
        let before = self.ctx.mvcc.sizes();
        fail::fail_point!("defragBeforeCopy");
        self.ctx.mvcc.defragmented();
        let after = self.ctx.mvcc.sizes();
        self.ctx.metrics.disk.backend_defrag_duration_seconds.observe(begun.elapsed().as_secs_f64());
        tracing::info!(before = before.total, after = after.total, in_use = after.in_use, "finished defragment");
        Ok(Response::new(pb::DefragmentResponse::default()))
    }

    async fn hash(&self, _: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let timer = self.ctx.metrics.mvcc.hash_duration_seconds.start_timer();
        let (revision, hashed) = self.hashed(0).await?;
        timer.observe_duration();
        Ok(Response::new(pb::HashResponse { header: Some(self.ctx.header(revision)), hash: hashed.hash }))
    }

    async fn hash_kv(&self, request: Request<pb::HashKvRequest>) -> Result<Response<pb::HashKvResponse>, Status> {
        let timer = self.ctx.metrics.mvcc.hash_rev_duration_seconds.start_timer();
        let (revision, hashed) = self.hashed(request.into_inner().revision).await?;
        timer.observe_duration();
        Ok(Response::new(pb::HashKvResponse {
            header: Some(self.ctx.header(revision)),
            hash: hashed.hash,
            compact_revision: hashed.compact_revision,
            hash_revision: hashed.hash_revision,
        }))
    }

    async fn snapshot(&self, _: Request<pb::SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        Ok(Response::new(snapshot_stream::open(&self.ctx).await?.boxed()))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        let raft = self.ctx.consensus.status();
        if raft.leader != Some(raft.member) {
            return Err(NOT_LEADER.into());
        }
        self.ctx.consensus.move_leader(MemberId(request.into_inner().target_id)).await?;
        Ok(Response::new(pb::MoveLeaderResponse::default()))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        let r = request.into_inner();
        match DowngradeAction::try_from(r.action) {
            Ok(DowngradeAction::Validate) => {
                downgrade_target(&r.version)?;
                let header = Some(self.ctx.header(self.ctx.mvcc.revision()));
                Ok(Response::new(pb::DowngradeResponse { header, version: cluster_minor().into() }))
            }
            Ok(DowngradeAction::Enable) => {
                downgrade_target(&r.version)?;
                Err(Status::unimplemented("fairlead: there is no older version whose form of data it could go back to"))
            }
            Ok(DowngradeAction::Cancel) => Err(NO_INFLIGHT_DOWNGRADE.into()),
            Err(_) => Err(Status::new(Code::Unknown, "etcdserver: unknown method")),
        }
    }
}

/// The cluster's version as etcd shows it to operators: major and minor.
pub(crate) fn cluster_minor() -> &'static str {
    CLUSTER_VERSION.rsplit_once('.').map_or(CLUSTER_VERSION, |(minor, _)| minor)
}

/// Checks that `target` (`3.6` or `3.6.0`) is one minor version below the cluster's.
fn downgrade_target(target: &str) -> Result<(), Status> {
    let minor = |version: &str| -> Option<(u64, u64)> {
        let numbers: Option<Vec<u64>> = version.split('.').map(|number| number.parse().ok()).collect();
        match numbers?[..] {
            [major, minor] | [major, minor, _] => Some((major, minor)),
            _ => None,
        }
    };
    let target = minor(target).ok_or(WRONG_DOWNGRADE_VERSION_FORMAT)?;
    let cluster = minor(CLUSTER_VERSION).expect("the constant is a version");
    if target == (cluster.0, cluster.1 - 1) { Ok(()) } else { Err(INVALID_DOWNGRADE_TARGET_VERSION.into()) }
}

#[cfg(test)]
#[path = "maintenance_test.rs"]
mod tests;
