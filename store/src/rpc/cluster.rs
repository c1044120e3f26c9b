//! Cluster: who the members are.
//!
//! The header's revision is 0, as etcd's is. Changes of membership are a later issue and say so.
//! Source: etcd `server/etcdserver/api/v3rpc/member.go`.

use fairlead_proto::served::etcdserverpb as pb;
use pb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::Context;

/// The service.
#[derive(Clone)]
pub struct ClusterService {
    ctx: Context,
}

impl ClusterService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> ClusterService {
        ClusterService { ctx }
    }
}

fn fixed() -> Status {
    Status::unimplemented("fairlead: members cannot be changed yet: this version serves the cluster it was started as")
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.ctx.consensus.read_barrier().await?;
        }
        let header = Some(self.ctx.header(0));
        Ok(Response::new(pb::MemberListResponse { header, members: self.ctx.members.list() }))
    }

    async fn member_add(&self, _: Request<pb::MemberAddRequest>) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(fixed())
    }

    async fn member_remove(
        &self,
        _: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        Err(fixed())
    }

    async fn member_update(
        &self,
        _: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        Err(fixed())
    }

    async fn member_promote(
        &self,
        _: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        Err(fixed())
    }
}
