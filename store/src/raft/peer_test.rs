//! A whole member among peers that are played: what it really puts on the wire, and what it does with a peer that hangs.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::peer::Frame;
use fairlead_proto::peer::raft_server::{Raft, RaftServer};
use futures::{Stream, StreamExt, stream};
use pb::kv_client::KvClient;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status, Streaming};

use super::types::{AppendResponse, LogId, StreamAppendError, StreamAppendResult, Vote, VoteResponse};
use super::wire;
use crate::config::{self, InitialCluster, Url};
use crate::{Error, Store};

const ELECTION: Duration = Duration::from_millis(500);
/// For what must come; generous, as machines may be loaded.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a played peer answers pre-votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PreVotes {
    Fail,
    Refuse,
    Grant,
}

/// How it takes appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Appends {
    /// The stream is never answered, not even by headers.
    Hang,
    /// The stream is opened, its requests are never answered.
    HangOpen,
    Answer,
}

/// What the played peers do and have seen, both together.
struct Stage {
    pre_votes: PreVotes,
    appends: Appends,
    /// Terms asked for.
    pre_vote_terms: Vec<u64>,
    vote_terms: Vec<u64>,
    heartbeats: u64,
    /// How long each stream that hung was held.
    held: Vec<Duration>,
}

/// The peers' common part; each change is told.
#[derive(Clone)]
struct Peers(watch::Sender<u64>, Arc<Mutex<Stage>>);

impl Peers {
    fn change<T>(&self, change: impl FnOnce(&mut Stage) -> T) -> T {
        let result = change(&mut self.1.lock().unwrap());
        self.0.send_modify(|changes| *changes += 1);
        result
    }

    /// Waits until `done` of what has been seen.
    async fn until(&self, what: &str, done: impl Fn(&Stage) -> bool) {
        let mut changes = self.0.subscribe();
        let waited = async {
            while !done(&self.1.lock().unwrap()) {
                changes.changed().await.unwrap();
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "{what} was not seen");
    }
}

/// One of them.
struct Peer {
    peers: Peers,
    last: Arc<Mutex<Option<LogId>>>,
}

/// Notes how long a stream was held.
struct Held(Peers, Instant);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.change(|stage| stage.held.push(self.1.elapsed()));
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

/// What a follower that has `last` says to an append.
fn take(last: &mut Option<LogId>, frame: Frame) -> StreamAppendResult {
    let append = wire::decode_append(frame.body).unwrap();
    if append.prev_log_id > *last {
        return Err(StreamAppendError::Conflict(append.prev_log_id.unwrap()));
    }
    let newest = append.entries.last().map(|entry| entry.log_id);
    *last = newest.or(*last);
    Ok(newest.or(append.prev_log_id))
}

#[tonic::async_trait]
impl Raft for Peer {
    type StreamAppendStream = Answers;

    async fn stream_append(&self, request: Request<Streaming<Frame>>) -> Result<Response<Answers>, Status> {
        let (last, frames) = (Arc::clone(&self.last), request.into_inner());
        let held = Held(self.peers.clone(), Instant::now());
        match self.peers.change(|stage| stage.appends) {
            Appends::Answer => Ok(Response::new(Box::pin(frames.map(move |frame| {
                let result = take(&mut last.lock().unwrap(), frame?);
                Ok(Frame { body: wire::encode_stream_result(&result) })
            })))),
            Appends::HangOpen => Ok(Response::new(Box::pin(stream::pending().map(move |frame: Frame| {
                let _held = (&held, &frames);
                Ok(frame)
            })))),
            Appends::Hang => {
                let _held = (held, frames);
                std::future::pending().await
            }
        }
    }

    async fn append(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.peers.change(|stage| stage.heartbeats += 1);
        let response = match take(&mut self.last.lock().unwrap(), request.into_inner()) {
            Ok(_) => AppendResponse::Success,
            Err(_) => AppendResponse::Conflict,
        };
        Ok(Response::new(Frame { body: wire::encode_append_response(&response) }))
    }

    async fn vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let asked = wire::decode_vote_request(request.into_inner().body).unwrap();
        let granting = self.peers.change(|stage| {
            stage.vote_terms.push(asked.vote.leader_id.term);
            stage.pre_votes == PreVotes::Grant
        });
        match granting {
            true => {
                let response = VoteResponse::new(asked.vote, *self.last.lock().unwrap(), true);
                Ok(Response::new(Frame { body: wire::encode_vote_response(&response) }))
            }
            false => Err(Status::unavailable("not now")),
        }
    }

    async fn pre_vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let asked = wire::decode_vote_request(request.into_inner().body).unwrap();
        let pre_votes = self.peers.change(|stage| {
            stage.pre_vote_terms.push(asked.vote.leader_id.term);
            stage.pre_votes
        });
        if pre_votes == PreVotes::Fail {
            return Err(Status::unavailable("not now"));
        }
        let response = VoteResponse::new(Vote::new(0, 0), *self.last.lock().unwrap(), pre_votes == PreVotes::Grant);
        Ok(Response::new(Frame { body: wire::encode_vote_response(&response) }))
    }

    async fn transfer_leader(&self, _: Request<Frame>) -> Result<Response<Frame>, Status> {
        Err(Status::unimplemented("nobody is asked to lead here"))
    }
}

/// A member under test, its peers, and what ends them.
struct Scene {
    peers: Peers,
    url: String,
    stop: CancellationToken,
    member: tokio::task::JoinHandle<Result<(), Error>>,
    _ends: (TempDir, DropGuard),
}

impl Scene {
    async fn play(pre_votes: PreVotes, appends: Appends) -> Scene {
        let stage = Stage {
            pre_votes,
            appends,
            pre_vote_terms: Vec::new(),
            vote_terms: Vec::new(),
            heartbeats: 0,
            held: Vec::new(),
        };
        let (peers, over) = (Peers(watch::channel(0).0, Arc::new(Mutex::new(stage))), CancellationToken::new());
        let mut urls = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.push(format!("http://{}", listener.local_addr().unwrap()));
            let peer = RaftServer::new(Peer { peers: peers.clone(), last: Arc::default() });
            let server = tonic::transport::Server::builder().add_service(peer);
            let ended = over.clone().cancelled_owned();
            tokio::spawn(server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), ended));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut free = Vec::new();
        for _ in 0..2 {
            free.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let own: Vec<Url> = free
            .iter()
            .map(|socket| Url::parse(&format!("http://{}", socket.local_addr().unwrap())).unwrap())
            .collect();
        drop(free);
        let initial = format!("n1={},n2={},n3={}", own[1], urls[0], urls[1]);
        let config = config::Config {
            name: "n1".into(),
            data_dir: folder.path().join("n1"),
            listen_client_urls: vec![own[0].clone()],
            advertise_client_urls: vec![own[0].clone()],
            listen_peer_urls: vec![own[1].clone()],
            initial_advertise_peer_urls: vec![own[1].clone()],
            initial_cluster: InitialCluster::parse(&initial).unwrap(),
            heartbeat_interval: ELECTION / 10,
            election_timeout: ELECTION,
            ..config::Config::default()
        };
        let stop = CancellationToken::new();
        let shutdown = stop.clone();
        let member = tokio::spawn(async move { Store::build(config).await?.run(shutdown).await });
        Scene { peers, url: own[0].to_string(), stop, member, _ends: (folder, over.drop_guard()) }
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.member).await.expect("it ends in time").unwrap().unwrap();
    }
}

/// H-21: openraft would grant itself what it did not ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pre_vote_is_sent_to_peers_and_only_their_grant_makes_an_election() {
    let scene = Scene::play(PreVotes::Fail, Appends::Answer).await;
    let peers = &scene.peers;
    peers.until("a pre-vote", |stage| stage.pre_vote_terms.len() >= 2).await;
    // Founding a cluster begins with an election of its own.
    let founding = peers.change(|stage| stage.vote_terms.clone());
    peers.until("another pre-vote", |stage| stage.pre_vote_terms.len() >= 6).await;
    let asked = peers.change(|stage| (stage.pre_votes = PreVotes::Refuse, stage.pre_vote_terms.len()).1);
    peers.until("a pre-vote that was refused", |stage| stage.pre_vote_terms.len() >= asked + 4).await;
    let (votes, terms) = peers.change(|stage| (stage.vote_terms.clone(), stage.pre_vote_terms.clone()));
    assert_eq!(votes, founding, "an error and a refusal are no grants");
    assert!(terms.iter().all(|term| *term == terms[0]), "the term rises without a grant: {terms:?}");
    peers.change(|stage| stage.pre_votes = PreVotes::Grant);
    peers.until("an election", |stage| stage.vote_terms.len() > founding.len()).await;
    assert_eq!(peers.change(|stage| stage.vote_terms[founding.len()]), terms[0], "the term that was asked for");
    peers.until("a leader's heartbeat", |stage| stage.heartbeats > 0).await;
    scene.end().await;
}

async fn a_hanging_stream_is_given_up(hang: Appends) {
    let scene = Scene::play(PreVotes::Grant, hang).await;
    let peers = &scene.peers;
    // Both peers, more than once; the first stream of each may ask whether the peer is there.
    peers.until("the end of a stream that hung", |stage| stage.held.len() >= 6).await;
    let (held, beats) = peers.change(|stage| (stage.held.clone(), stage.heartbeats));
    // It begins with the first request, which may wait for its turn on a loaded machine.
    assert!(held.iter().all(|held| *held < 4 * ELECTION), "held too long: {held:?}");
    peers.until("heartbeats besides", |stage| stage.heartbeats > beats + 2).await;
    let leading = peers.change(|stage| stage.vote_terms.len());
    let put = tokio::spawn({
        let channel = Endpoint::from_shared(scene.url.clone()).unwrap().connect_lazy();
        let put = pb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
        async move { KvClient::new(channel).put(put).await }
    });
    peers.change(|stage| stage.appends = Appends::Answer);
    let answer = tokio::time::timeout(PATIENCE, put).await.expect("replication goes on").unwrap().unwrap();
    assert_eq!(answer.into_inner().header.unwrap().revision, 2);
    assert_eq!(peers.change(|stage| stage.vote_terms.len()), leading, "its leadership never ended");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_the_connection_and_never_answers_is_given_up_and_replication_goes_on_when_it_does() {
    a_hanging_stream_is_given_up(Appends::Hang).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_opens_the_stream_and_never_answers_is_given_up_and_replication_goes_on_when_it_does() {
    a_hanging_stream_is_given_up(Appends::HangOpen).await;
}
