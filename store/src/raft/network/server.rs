//! The called side: peers' messages into openraft, forwarded requests into this member's node.

use std::pin::Pin;
use std::sync::Arc;

use fairlead_proto::peer::forward_server::{Forward, ForwardServer};
use fairlead_proto::peer::raft_server::{self, RaftServer};
use fairlead_proto::peer::snapshot_server::{Snapshot, SnapshotServer};
use fairlead_proto::peer::{
    Frame, LeaseRemainingReply, LeaseRemainingRequest, ProbeReply, ProbeRequest, ProposeReply, ProposeRequest,
    ReadIndexReply, ReadIndexRequest, RenewLeaseReply, RenewLeaseRequest,
};
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::super::node::Node;
use super::super::wire;
use super::hello;
use super::metered::Serving;
use super::snapshot::next_frame;

/// All peer services of one member.
#[derive(Clone)]
pub(crate) struct PeerService {
    pub(crate) node: Arc<Node>,
}

/// The peer services as routes for the peer listener.
pub(crate) fn services(node: Arc<Node>, message_bytes_max: usize) -> tonic::service::Routes {
    let contacts = node.peers().contacts().clone();
    let service = PeerService { node };
    let raft = RaftServer::new(service.clone());
    let raft = raft.max_decoding_message_size(message_bytes_max).max_encoding_message_size(message_bytes_max);
    let forward = ForwardServer::new(service.clone());
    let forward = forward.max_decoding_message_size(message_bytes_max);
    tonic::service::Routes::new(Serving::new(raft, contacts.clone()))
        .add_service(Serving::new(SnapshotServer::new(service), contacts.clone()))
        .add_service(Serving::new(forward, contacts))
}

impl PeerService {
    /// Turns away whoever must not talk to this member.
    fn admit<T>(&self, request: &Request<T>) -> Result<u64, Status> {
        let checked = hello::check(request.metadata(), self.node.identity(), self.node.incarnations());
        checked.map_err(|refused| {
            tracing::warn!(target: "raft", reason = %refused, "peer call refused");
            if matches!(refused, hello::Refused::WeAreReplaced { .. }) {
                self.node.replaced(&refused.to_string());
            }
            refused.into()
        })
    }
}

fn bad(error: wire::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

fn dead(error: impl ToString) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl raft_server::Raft for PeerService {
    type StreamAppendStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

    async fn stream_append(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Self::StreamAppendStream>, Status> {
        self.admit(&request)?;
        let node = Arc::clone(&self.node);
        let frames = request.into_inner();
        // A frame that does not decode ends the stream, as a broken connection would.
        let requests = frames.scan((), move |(), frame| {
            let request = frame.ok().and_then(|frame| wire::decode_append(frame.body).ok());
            if let Some(request) = &request {
                node.heard_leader(&request.vote);
            }
            std::future::ready(request)
        });
        let results = self.node.raft().stream_append(requests);
        let replies = results.inspect(|_| {
            fail::fail_point!("raftBeforeFollowerSend");
        });
        let replies = replies.map(|result| match result {
            Ok(result) => Ok(Frame { body: wire::encode_stream_result(&result) }),
            Err(fatal) => Err(dead(fatal)),
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn append(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.admit(&request)?;
        let append = wire::decode_append(request.into_inner().body).map_err(bad)?;
        self.node.heard_leader(&append.vote);
        let response = self.node.raft().append_entries(append).await.map_err(dead)?;
        Ok(Response::new(Frame { body: wire::encode_append_response(&response) }))
    }

    async fn vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.admit(&request)?;
        let vote = wire::decode_vote_request(request.into_inner().body).map_err(bad)?;
        let response = self.node.raft().vote(vote).await.map_err(dead)?;
        Ok(Response::new(Frame { body: wire::encode_vote_response(&response) }))
    }

    async fn pre_vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.admit(&request)?;
        let vote = wire::decode_vote_request(request.into_inner().body).map_err(bad)?;
        let response = self.node.raft().pre_vote(vote).await.map_err(dead)?;
        Ok(Response::new(Frame { body: wire::encode_vote_response(&response) }))
    }

    async fn transfer_leader(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.admit(&request)?;
        let transfer = wire::decode_transfer(request.into_inner().body).map_err(bad)?;
        let response = self.node.raft().handle_transfer_leader(transfer).await.map_err(dead)?;
        Ok(Response::new(Frame { body: wire::encode_transfer_response(&response) }))
    }
}

#[tonic::async_trait]
impl Snapshot for PeerService {
    async fn install(&self, request: Request<Streaming<Frame>>) -> Result<Response<Frame>, Status> {
        let from = self.admit(&request)?;
        let mut incoming = request.into_inner();
        let vote = next_frame(&mut incoming).await?.ok_or_else(|| Status::invalid_argument("empty snapshot"))?;
        let vote = wire::decode_vote(vote).map_err(bad)?;
        let mut staging = self.node.stage_snapshot(from).await.map_err(dead)?;
        while let Some(piece) = next_frame(&mut incoming).await? {
            staging.write(piece).await.map_err(dead)?;
        }
        let vote = self.node.install_snapshot(vote, staging).await.map_err(dead)?;
        Ok(Response::new(Frame { body: wire::encode_vote(&vote) }))
    }
}

#[tonic::async_trait]
impl Forward for PeerService {
    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<ProposeReply>, Status> {
        self.admit(&request)?;
        let payload = request.into_inner().payload;
        Ok(Response::new(self.node.propose_forwarded(payload).await))
    }

    async fn probe(&self, request: Request<ProbeRequest>) -> Result<Response<ProbeReply>, Status> {
        self.admit(&request)?;
        Ok(Response::new(ProbeReply {}))
    }

    async fn read_index(&self, request: Request<ReadIndexRequest>) -> Result<Response<ReadIndexReply>, Status> {
        self.admit(&request)?;
        let index = self.node.read_index_as_leader().await;
        let reply = match index {
            Some(index) => ReadIndexReply { confirmed: true, index, leader: 0 },
            None => ReadIndexReply { confirmed: false, index: None, leader: self.node.leader_hint() },
        };
        Ok(Response::new(reply))
    }

    async fn renew_lease(&self, request: Request<RenewLeaseRequest>) -> Result<Response<RenewLeaseReply>, Status> {
        self.admit(&request)?;
        let renewed = self.node.renew_as_leader(request.into_inner().id).await;
        Ok(Response::new(match renewed {
            Some(ttl) => RenewLeaseReply { confirmed: true, ttl: ttl.unwrap_or(0) },
            None => RenewLeaseReply { confirmed: false, ttl: 0 },
        }))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseRemainingRequest>,
    ) -> Result<Response<LeaseRemainingReply>, Status> {
        self.admit(&request)?;
        let time = self.node.lease_time_as_leader(request.into_inner().id).await;
        Ok(Response::new(match time {
            Some(Some(time)) => {
                LeaseRemainingReply { confirmed: true, remaining: time.remaining, granted: time.granted }
            }
            Some(None) => LeaseRemainingReply { confirmed: true, remaining: -1, granted: 0 },
            None => LeaseRemainingReply { confirmed: false, remaining: -1, granted: 0 },
        }))
    }
}
