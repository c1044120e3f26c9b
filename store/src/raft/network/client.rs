//! The calling side: openraft's network traits over gRPC channels.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairlead_proto::peer::{Frame, forward_client::ForwardClient, raft_client::RaftClient, snapshot_client};
use futures::{Stream, StreamExt};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, stream_append_sequential};
use openraft::raft::{SnapshotResponse, TransferLeaderResponse};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

use super::super::silence::Gate;
use super::super::snapshot::{Exporter, SnapshotData};
use super::super::types::{
    AppendRequest, AppendResponse, Peer, StreamAppendResult, TransferRequest, TypeConfig, Vote, VoteRequest,
    VoteResponse,
};
use super::super::wire;
use super::contact::{Contact, Contacts};
use super::hello::{self, Identity, Incarnations};
use super::metered::Called;
use super::way::Way;
use super::{append, snapshot};

/// Heartbeat intervals after which a heartbeat is late: this member is too busy to send it in time. etcd's measure.
const LATE_INTERVALS: u32 = 2;

/// Makes a way to a peer URL, lazily.
pub type Dial = Arc<dyn Fn(&str) -> Way + Send + Sync>;

/// Puts the hello on each call.
#[derive(Clone)]
pub(crate) struct Greeter {
    me: Identity,
    target: u64,
    incarnations: Incarnations,
}

impl tonic::service::Interceptor for Greeter {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        hello::put(request.metadata_mut(), self.me, self.target, &self.incarnations);
        Ok(request)
    }
}

pub(crate) type Greeted = InterceptedService<Called, Greeter>;

/// The channels to one peer. Separate, so that a snapshot or a flood of forwarded writes never delays a heartbeat.
#[derive(Clone)]
struct Channels {
    url: String,
    raft: Way,
    snapshot: Way,
    forward: Way,
}

/// All peers: who we are, how to call them.
#[derive(Clone)]
pub(crate) struct Peers {
    me: Identity,
    incarnations: Incarnations,
    dial: Dial,
    channels: Arc<Mutex<BTreeMap<u64, Channels>>>,
    contacts: Contacts,
    /// Largest message, bytes: a batch of requests and its frame.
    message_bytes_max: usize,
}

impl Peers {
    pub(crate) fn new(
        me: Identity,
        incarnations: Incarnations,
        dial: Dial,
        contacts: Contacts,
        message_bytes_max: usize,
    ) -> Self {
        Self { me, incarnations, dial, channels: Arc::default(), contacts, message_bytes_max }
    }

    pub(super) fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// The members that this one can call, by their ids.
    pub(super) fn known(&self) -> Vec<u64> {
        self.channels.lock().expect("no holder panics").keys().copied().collect()
    }

    fn channels(&self, target: u64, url: &str) -> Channels {
        let mut all = self.channels.lock().expect("no holder panics");
        if let Some(known) = all.get(&target).filter(|known| known.url == url) {
            return known.clone();
        }
        let dial = || (self.dial)(url);
        let fresh = Channels { url: url.to_owned(), raft: dial(), snapshot: dial(), forward: dial() };
        all.insert(target, fresh.clone());
        fresh
    }

    fn greet(&self, target: u64, way: Way) -> Greeted {
        let greeter = Greeter { me: self.me, target, incarnations: self.incarnations.clone() };
        InterceptedService::new(Called::new(way, self.contacts.to(target)), greeter)
    }

    /// The client for requests that only `target` can serve; `None` where its address is not known yet.
    pub(crate) fn forward(&self, target: u64) -> Option<ForwardClient<Greeted>> {
        let channel = self.channels.lock().expect("no holder panics").get(&target)?.forward.clone();
        let client = ForwardClient::new(self.greet(target, channel));
        let client = client.max_decoding_message_size(self.message_bytes_max);
        Some(client.max_encoding_message_size(self.message_bytes_max))
    }

    /// Makes the channels of all members known before openraft first needs them.
    pub(crate) fn learn<'a>(&self, members: impl IntoIterator<Item = (&'a u64, &'a Peer)>) {
        for (id, peer) in members {
            if let Some(url) = peer.urls.first().filter(|_| *id != self.me.member) {
                self.channels(*id, url);
            }
        }
    }

    pub(super) fn client(&self, target: u64, peer: &Peer, unary: bool) -> Client {
        let url = peer.urls.first().map_or("", String::as_str);
        let channels = self.channels(target, url);
        let raft = RaftClient::new(self.greet(target, channels.raft));
        let raft = raft.max_decoding_message_size(self.message_bytes_max);
        let raft = raft.max_encoding_message_size(self.message_bytes_max);
        let snapshot = snapshot_client::SnapshotClient::new(self.greet(target, channels.snapshot));
        Client { target, unary, raft, snapshot, contact: self.contacts.to(target) }
    }
}

/// openraft's maker of clients.
pub(crate) struct Factory {
    pub(crate) peers: Peers,
    pub(crate) exporter: Exporter,
    /// The longest wait for one reply of a stream.
    pub(crate) reply_deadline: Duration,
    /// Between two heartbeats.
    pub(crate) heartbeat: Duration,
    pub(crate) gate: Gate,
}

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = Network;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Network {
        self.network(target, node, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Peer) -> Network {
        self.network(target, node, true)
    }
}

impl Factory {
    fn network(&self, target: u64, node: &Peer, unary: bool) -> Network {
        Network {
            client: self.peers.client(target, node, unary),
            exporter: self.exporter.clone(),
            reply_deadline: self.reply_deadline,
            heartbeat: self.heartbeat,
            gate: self.gate.clone(),
            regular: false,
        }
    }
}

pub(super) struct Client {
    target: u64,
    /// Heartbeats ask one thing at a time: a stream per heartbeat would be opened and closed each time.
    unary: bool,
    pub(super) raft: RaftClient<Greeted>,
    snapshot: snapshot_client::SnapshotClient<Greeted>,
    contact: Arc<Contact>,
}

/// openraft's client to one peer.
pub(crate) struct Network {
    client: Client,
    exporter: Exporter,
    reply_deadline: Duration,
    heartbeat: Duration,
    gate: Gate,
    /// The last heartbeat was answered, so that the next one is due after the interval.
    regular: bool,
}

type RpcResult<T> = Result<T, RPCError<TypeConfig>>;

/// A failed call. Everything backs off: a peer that refuses or times out is not asked again at once.
pub(super) fn unreachable(reason: impl ToString) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(reason))
}

/// Runs a unary call within `deadline`, and decodes its answer.
async fn call<T>(
    deadline: Duration,
    call: impl Future<Output = Result<tonic::Response<Frame>, Status>>,
    decode: impl FnOnce(bytes::Bytes) -> Result<T, wire::Error>,
) -> RpcResult<T> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(reply)) => decode(reply.into_inner().body).map_err(unreachable),
        Ok(Err(status)) => Err(unreachable(status.message())),
        Err(_) => Err(unreachable("no answer in time")),
    }
}

impl RaftNetworkV2<TypeConfig> for Network {
    type SnapshotData = SnapshotData;

    async fn append_entries(&mut self, rpc: AppendRequest, option: RPCOption) -> RpcResult<AppendResponse> {
        let frame = Frame { body: wire::encode_append(&rpc) };
        let since = self.client.contact.appends();
        if self.regular && since.is_some_and(|since| since > LATE_INTERVALS * self.heartbeat) {
            self.exporter.metrics().server.heartbeat_send_failures_total.inc();
        }
        let answer = call(option.hard_ttl(), self.client.raft.append(frame), wire::decode_append_response).await;
        self.regular = answer.is_ok();
        answer
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> openraft::base::BoxFuture<'s, RpcResult<openraft::base::BoxStream<'s, RpcResult<StreamAppendResult>>>>
    where
        S: Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        if self.client.unary {
            return stream_append_sequential(self, input, option);
        }
        let deadline = self.reply_deadline;
        let contact = Arc::clone(&self.client.contact);
        let input = input.inspect(move |_| {
            contact.appends();
        });
        Box::pin(append::pipelined(&mut self.client.raft, input, self.gate.clone(), deadline))
    }

    async fn vote(&mut self, rpc: VoteRequest, option: RPCOption) -> RpcResult<VoteResponse> {
        let frame = Frame { body: wire::encode_vote_request(&rpc) };
        call(option.hard_ttl(), self.client.raft.vote(frame), wire::decode_vote_response).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest, option: RPCOption) -> RpcResult<VoteResponse> {
        let frame = Frame { body: wire::encode_vote_request(&rpc) };
        call(option.hard_ttl(), self.client.raft.pre_vote(frame), wire::decode_vote_response).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        _snapshot: openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        snapshot::send(&mut self.client.snapshot, self.client.target, vote, &self.exporter, cancel).await
    }

    async fn transfer_leader(
        &mut self,
        req: TransferRequest,
        option: RPCOption,
    ) -> RpcResult<TransferLeaderResponse<TypeConfig>> {
        let frame = Frame { body: wire::encode_transfer(&req) };
        call(option.hard_ttl(), self.client.raft.transfer_leader(frame), wire::decode_transfer_response).await
    }

    fn backoff(&self) -> Option<Backoff> {
        let first = Duration::from_millis(20);
        let max = Duration::from_millis(200);
        Some(Backoff::new(std::iter::successors(Some(first), move |last| Some((*last * 2).min(max)))))
    }
}
