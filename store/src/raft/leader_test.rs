//! A whole member under a leader that is played: what becomes of its proposals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairlead_proto::peer::forward_server::{Forward, ForwardServer};
use fairlead_proto::peer::{
    LeaseRemainingReply, LeaseRemainingRequest, ProbeReply, ProbeRequest, ProposeReply, ProposeRequest, ReadIndexReply,
    ReadIndexRequest, RenewLeaseReply, RenewLeaseRequest, propose_reply::Outcome,
};
use futures::stream;
use openraft::entry::RaftEntry;
use openraft::network::RPCOption;
use openraft::storage::RaftStateMachine;
use openraft::{RaftNetworkFactory, RaftNetworkV2};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

use super::network::{Contacts, Factory, Identity, Incarnations, Peers};
use super::silence::Gate;
use super::snapshot::Exporter;
use super::suite_test::{Builder, Storage};
use super::types::{AppendRequest, AppendResponse, Entry, Membership, Peer, Vote, log_id};
use crate::Store;
use crate::config::{self, InitialCluster, Url};
use crate::data_dir::initial_ids;
use crate::member::cluster_id;

const ELECTION: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);
/// Where the played leader says that the first proposal was committed. Later ones are far behind it.
const COMMITTED: u64 = 7;

/// When the member has proposed something to the leader.
#[derive(Clone)]
struct Proposals(watch::Sender<Vec<Instant>>);

#[tonic::async_trait]
impl Forward for Proposals {
    async fn propose(&self, _: Request<ProposeRequest>) -> Result<Response<ProposeReply>, Status> {
        let before = self.0.borrow().len() as u64;
        self.0.send_modify(|proposed| proposed.push(Instant::now()));
        let outcome = Outcome::Committed.into();
        Ok(Response::new(ProposeReply { outcome, index: COMMITTED + 100 * before, leader: 0 }))
    }

    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeReply>, Status> {
        Ok(Response::new(ProbeReply {}))
    }

    async fn read_index(&self, _: Request<ReadIndexRequest>) -> Result<Response<ReadIndexReply>, Status> {
        Err(Status::unimplemented("nobody reads here"))
    }

    async fn renew_lease(&self, _: Request<RenewLeaseRequest>) -> Result<Response<RenewLeaseReply>, Status> {
        Err(Status::unimplemented("there are no leases here"))
    }

    async fn lease_time_to_live(
        &self,
        _: Request<LeaseRemainingRequest>,
    ) -> Result<Response<LeaseRemainingReply>, Status> {
        Err(Status::unimplemented("there are no leases here"))
    }
}

async fn free_url() -> (TcpListener, Url) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", socket.local_addr().unwrap())).unwrap();
    (socket, url)
}

fn membership(ids: &[(String, u64, Vec<String>)]) -> Membership {
    let nodes: BTreeMap<u64, Peer> = ids.iter().map(|(_, id, urls)| (*id, Peer { urls: urls.clone() })).collect();
    let voters = ids.iter().map(|(_, id, _)| *id).collect();
    Membership::new(vec![voters], nodes).unwrap()
}

/// The state of a leader that is far ahead.
async fn ahead(members: Membership) -> Storage {
    let mut storage = Builder { purged: None }.storage().await;
    let entries = [Entry::new_membership(log_id(0, 0), members), Entry::new_blank(log_id(5, COMMITTED + 2))];
    storage.machine.apply(stream::iter(entries.map(|entry| Ok((entry, None))))).await.unwrap();
    storage
}

/// One batch is in flight a member: waiting in vain for the answer of this one would hold up all that come after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_entry_came_in_a_snapshot_does_not_hold_up_those_behind_it() {
    let ((socket, leader), (other, third)) = (free_url().await, free_url().await);
    let ((own_peer, peer), (own_client, client)) = (free_url().await, free_url().await);
    drop((other, own_peer, own_client));
    let folder = tempfile::tempdir().unwrap();
    let config = config::Config {
        name: "n1".into(),
        data_dir: folder.path().join("n1"),
        listen_client_urls: vec![client.clone()],
        advertise_client_urls: vec![client],
        listen_peer_urls: vec![peer.clone()],
        initial_advertise_peer_urls: vec![peer.clone()],
        initial_cluster: InitialCluster::parse(&format!("n1={peer},n2={leader},n3={third}")).unwrap(),
        heartbeat_interval: ELECTION / 10,
        election_timeout: ELECTION,
        ..config::Config::default()
    };
    let ids = initial_ids(&config);
    let (target, me) = (ids[0].1, ids[1].1);
    let proposals = Proposals(watch::Sender::new(Vec::new()));
    let over = CancellationToken::new();
    let server = tonic::transport::Server::builder().add_service(ForwardServer::new(proposals.clone()));
    tokio::spawn(server.serve_with_incoming_shutdown(TcpListenerStream::new(socket), over.clone().cancelled_owned()));
    let (stop, mut seen) = (CancellationToken::new(), proposals.0.subscribe());
    let shutdown = stop.clone();
    let member = tokio::spawn(async move { Store::build(config).await?.run(shutdown).await });

    let Storage { folder: _kept, mut machine, state, metrics, .. } = ahead(membership(&ids)).await;
    let cluster = cluster_id(&ids.iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    let contacts = Contacts::new(me, metrics.network.clone());
    let exporter = Exporter { state, folder: folder.path().to_owned(), cluster, member: me, metrics };
    let dial = Arc::new(|url: &str| {
        crate::raft::Way::Connection(Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy())
    });
    let identity = Identity { cluster, member: me, incarnation: 1 };
    let peers = Peers::new(identity, Incarnations::default(), dial, contacts, 1 << 20);
    let (_open, gate) = Gate::new();
    let mut factory = Factory { peers, exporter, reply_deadline: ELECTION, heartbeat: ELECTION / 10, gate };
    let mut network = factory.new_client(target, &Peer { urls: vec![peer.to_string()] }).await;
    let vote = Vote::new_committed(5, me);
    // Entry 0 is the same for every member that founds this cluster.
    let entries = vec![Entry::new_membership(log_id(0, 0), membership(&ids))];
    let lead = AppendRequest { vote, prev_log_id: None, entries, leader_commit: None };
    let led = async {
        // Until it listens.
        while !matches!(
            network.append_entries(lead.clone(), RPCOption::new(ELECTION)).await,
            Ok(AppendResponse::Success)
        ) {
            tokio::time::sleep(ELECTION / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, led).await.expect("it follows");
    // It publishes itself, and waits to apply that.
    tokio::time::timeout(PATIENCE, seen.wait_for(|seen| seen.len() == 1)).await.expect("it proposes").unwrap();

    let snapshot = machine.get_current_snapshot().await.unwrap();
    let snapshot = match snapshot {
        Some(snapshot) => snapshot,
        None => {
            let mut builder = machine.get_snapshot_builder().await;
            openraft::RaftSnapshotBuilder::build_snapshot(&mut builder).await.unwrap()
        }
    };
    let never = std::future::pending();
    let sent = network.full_snapshot(vote, snapshot, never, RPCOption::new(PATIENCE)).await;
    sent.expect("it installs the snapshot");
    let installed = Instant::now();
    tokio::time::timeout(PATIENCE, seen.wait_for(|seen| seen.len() == 2)).await.expect("it proposes again").unwrap();
    // The budget of the first would have been 5 s and two elections.
    let waited = installed.elapsed();
    assert!(waited < Duration::from_secs(3), "the next batch waited for {waited:?}");
    stop.cancel();
    tokio::time::timeout(PATIENCE, member).await.expect("it ends in time").unwrap().unwrap();
    over.cancel();
}
