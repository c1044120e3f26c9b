//! A cluster's members and their upkeep.
//!
//! What concerns one member ([`Client::status`], [`Client::hash_kv`], [`Client::snapshot`]) is answered by whichever
//! member's turn it is: narrow the client down with [`Client::only`] first.
//! Does not: change the membership yet.

use tonic::Streaming;

use fairlead_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use fairlead_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;

use super::error::{Effect, Error};
use super::pb::alarm_request::AlarmAction;
use super::{Channel, Client, pb};

fn stub(channel: Channel) -> MaintenanceClient<Channel> {
    MaintenanceClient::new(channel).max_decoding_message_size(usize::MAX)
}

impl Client {
    /// The members; `linearizable` asks for a quorum's agreement.
    ///
    /// # Errors
    /// As for [`Client::range`].
    pub async fn member_list(&self, linearizable: bool) -> Result<pb::MemberListResponse, Error> {
        let send = |channel, request| async move { ClusterClient::<Channel>::new(channel).member_list(request).await };
        self.call(Effect::Read, pb::MemberListRequest { linearizable }, send).await
    }

    /// How a member is: version, sizes, leader, term and indexes.
    ///
    /// # Errors
    /// As for [`Client::range`].
    pub async fn status(&self) -> Result<pb::StatusResponse, Error> {
        let send = |channel, request| async move { stub(channel).status(request).await };
        self.call(Effect::Read, pb::StatusRequest {}, send).await
    }

    /// The hash of a member's keys at a revision; 0 is the current one.
    ///
    /// # Errors
    /// As for [`Client::range`].
    pub async fn hash_kv(&self, revision: i64) -> Result<pb::HashKvResponse, Error> {
        let send = |channel, request| async move { stub(channel).hash_kv(request).await };
        self.call(Effect::Read, pb::HashKvRequest { revision }, send).await
    }

    /// Lists, raises or clears alarms.
    ///
    /// # Errors
    /// As for [`Client::range`] when it lists, else as for [`Client::put`].
    pub async fn alarm(&self, request: pb::AlarmRequest) -> Result<pb::AlarmResponse, Error> {
        let effect = if request.action == AlarmAction::Get as i32 { Effect::Read } else { Effect::Write };
        self.call(effect, request, |channel, request| async move { stub(channel).alarm(request).await }).await
    }

    /// Hands leadership to another member. Only the leader does this: see [`Client::only`].
    ///
    /// # Errors
    /// As for [`Client::put`].
    pub async fn move_leader(&self, target: u64) -> Result<pb::MoveLeaderResponse, Error> {
        let send = |channel, request| async move { stub(channel).move_leader(request).await };
        self.call(Effect::Write, pb::MoveLeaderRequest { target_id: target }, send).await
    }

    /// A member's whole state, as the file that a restore takes.
    ///
    /// # Errors
    /// As for [`Client::range`].
    pub async fn snapshot(&self) -> Result<SnapshotStream, Error> {
        let open = |channel, request| async move { stub(channel).snapshot(request).await };
        Ok(SnapshotStream { parts: self.call(Effect::Read, pb::SnapshotRequest {}, open).await? })
    }
}

/// The parts of a snapshot file, in order.
#[derive(Debug)]
pub struct SnapshotStream {
    parts: Streaming<pb::SnapshotResponse>,
}

impl SnapshotStream {
    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// That the connection was lost: what has come so far is not a snapshot.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<pb::SnapshotResponse>, Error> {
        let part = self.parts.message().await;
        part.map_err(|status| Error::from_status(Effect::Read, "snapshot stream", status))
    }
}
