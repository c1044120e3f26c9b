//! A client that records everything it asks and is told.
//!
//! Promises: one operation at a time; nothing is sent twice; after an unknown result it goes on under a new number, for it
//! may still happen. A loyal client stays with its member whatever happens, which is how a stale member is caught; another
//! goes to the next member after a failure.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fairlead_client::etcd::{Channel, Client, ConnectOptions, Error, Options};
use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::v3electionpb as election;
use fairlead_proto::etcd::v3lockpb as lock;
use futures::stream;
use pb::lease_client::LeaseClient;
use tonic::{Code as GrpcCode, Status};

use super::wire;
use crate::history::{
    Answer, Answered, Campaign, Code, Failure, Grant, Granted, Held, KeptAlive, Lock, Outcome, Put, Request, TtlLeft,
    text,
};
use crate::record::Recorder;

/// How long the opening of a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// A member as clients see it.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// Its number in the history.
    pub(crate) member: u64,
    /// Where its clients go.
    pub(crate) url: String,
    /// How they get there, where not by a connection of their own.
    pub(crate) way: Option<Channel>,
}

impl Seat {
    /// A member that is reached by a connection.
    pub(crate) fn at(member: u64, url: String) -> Seat {
        Seat { member, url, way: None }
    }

    /// A channel for one client.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub(crate) fn channel(&self, connect: ConnectOptions) -> Result<Channel, Error> {
        self.way.clone().map_or_else(|| Channel::to(&self.url, None, connect), Ok)
    }
}

/// Where an operation may be sent.
#[derive(Clone)]
struct Line {
    member: u64,
    client: Client,
    channel: Channel,
}

/// One client.
pub(crate) struct Session {
    recorder: Arc<Recorder>,
    lines: Vec<Line>,
    at: usize,
    loyal: bool,
    number: u64,
    timeout: Duration,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Ok(Answered),
    Failed(Failure),
    Unknown,
}

impl Told {
    /// The answer, if it was done.
    pub(crate) fn ok(self) -> Option<Answered> {
        match self {
            Told::Ok(answered) => Some(answered),
            Told::Failed(_) | Told::Unknown => None,
        }
    }

    /// The header's revision, if it was done.
    pub(crate) fn revision(&self) -> Option<i64> {
        match self {
            Told::Ok(answered) => Some(answered.revision),
            Told::Failed(_) | Told::Unknown => None,
        }
    }
}

impl Session {
    /// A client of these members that begins with the `first`.
    ///
    /// # Errors
    /// When a URL cannot be used.
    pub(crate) fn open(
        recorder: &Arc<Recorder>,
        seats: &[Seat],
        first: usize,
        loyal: bool,
        timeout: Duration,
    ) -> Result<Session, Error> {
        let connect = ConnectOptions { timeout: CONNECT_WITHIN, ..ConnectOptions::default() };
        let options =
            Options { connect, request_timeout: timeout, read_attempt_timeout: timeout, ..Options::default() };
        let line = |seat: &Seat| {
            let channel = seat.channel(connect)?;
            let client = Client::over([(seat.url.clone(), channel.clone())], options.clone())?;
            Ok(Line { member: seat.member, client, channel })
        };
        let lines = seats.iter().map(line).collect::<Result<Vec<_>, Error>>()?;
        let at = first % lines.len().max(1);
        Ok(Session { recorder: Arc::clone(recorder), lines, at, loyal, number: recorder.client(), timeout })
    }

    /// The present number of the client.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Asks the next member from now on.
    pub(crate) fn move_on(&mut self) {
        self.at = (self.at + 1) % self.lines.len();
    }

    /// Asks, within the session's time.
    pub(crate) async fn ask(&mut self, request: Request) -> Told {
        self.ask_within(request, self.timeout).await
    }

    /// Asks a lock or a campaign, which may wait for another holder.
    pub(crate) async fn ask_within(&mut self, request: Request, timeout: Duration) -> Told {
        let line = self.lines[self.at].clone();
        let op = self.recorder.invoke(self.number, line.member, recorded(&request));
        let outcome = tokio::time::timeout(timeout, send(&line, &request)).await;
        let outcome = outcome.unwrap_or_else(|_| late(&request));
        let told = match &outcome {
            Outcome::Ok(answered) => Told::Ok(answered.clone()),
            Outcome::Failed(failure) => Told::Failed(failure.clone()),
            Outcome::Unknown(_) => Told::Unknown,
        };
        self.recorder.returned(op, outcome);
        if told == Told::Unknown {
            self.number = self.recorder.client();
        }
        if !self.loyal && !matches!(told, Told::Ok(_)) {
            self.move_on();
        }
        told
    }
}

/// A request as it stands in the history: long values as digests, which is how they come back in answers and events.
fn recorded(request: &Request) -> Request {
    match request {
        Request::Put(put) => Request::Put(Put { value: text(put.value.as_bytes()), ..put.clone() }),
        other => other.clone(),
    }
}

/// A read without an answer has not happened; anything else may have.
fn late(request: &Request) -> Outcome {
    match request {
        Request::Range(_) | Request::TimeToLive(_) => failed(Code::Other, "no answer in time"),
        _ => Outcome::Unknown("no answer in time".to_owned()),
    }
}

fn failed(code: Code, message: &str) -> Outcome {
    Outcome::Failed(Failure { code, message: message.to_owned() })
}

async fn send(line: &Line, request: &Request) -> Outcome {
    let client = &line.client;
    match request {
        Request::Range(it) => kv(client.range(wire::range(it)), |answer| (answer.header, wire::ranged(&answer))).await,
        Request::Put(it) => kv(client.put(wire::put(it)), |answer| (answer.header, wire::put_done(&answer))).await,
        Request::Delete(it) => {
            kv(client.delete_range(wire::delete(it)), |answer| (answer.header, wire::deleted(&answer))).await
        }
        Request::Txn(it) => kv(client.txn(wire::txn(it)), |answer| (answer.header, wire::txn_done(&answer))).await,
        Request::Compact(it) => {
            let request = pb::CompactionRequest { revision: it.revision, physical: it.physical };
            kv(client.compact(request), |answer| (answer.header, Answer::Done)).await
        }
        Request::Grant(Grant { lease, ttl }) => {
            let granted =
                |answer: pb::LeaseGrantResponse| (answer.header, Answer::Granted(Granted { ttl: answer.ttl }));
            kv(client.lease_grant(*ttl, *lease), granted).await
        }
        Request::Revoke(it) => kv(client.lease_revoke(it.lease), |answer| (answer.header, Answer::Done)).await,
        Request::TimeToLive(it) => {
            let left = |answer: pb::LeaseTimeToLiveResponse| {
                let left = TtlLeft { granted: answer.granted_ttl, remaining: answer.ttl };
                (answer.header, Answer::TimeToLive(left))
            };
            kv(client.lease_time_to_live(it.lease, false), left).await
        }
        Request::KeepAlive(it) => keep_alive(line, it.lease).await,
        Request::Lock(it) => locked(line, it).await,
        Request::Unlock(it) => {
            let request = lock::UnlockRequest { key: it.key.clone().into() };
            let unlocked = lock::lock_client::LockClient::<Channel>::new(line.channel.clone()).unlock(request).await;
            raw(unlocked, |answer| (answer.header, Answer::Done))
        }
        Request::Campaign(it) => campaign(line, it).await,
        Request::Resign(it) => {
            let leader = election::LeaderKey { key: it.key.clone().into(), rev: it.token, ..Default::default() };
            let request = election::ResignRequest { leader: Some(leader) };
            let stub = election::election_client::ElectionClient::<Channel>::new(line.channel.clone());
            raw({ stub }.resign(request).await, |answer| (answer.header, Answer::Done))
        }
    }
}

async fn locked(line: &Line, it: &Lock) -> Outcome {
    let request = lock::LockRequest { name: it.name.clone().into(), lease: it.lease };
    match lock::lock_client::LockClient::<Channel>::new(line.channel.clone()).lock(request).await {
        Ok(answer) => held(line, answer.into_inner().key).await,
        Err(status) => refusal(&status),
    }
}

async fn campaign(line: &Line, it: &Campaign) -> Outcome {
    let request =
        election::CampaignRequest { name: it.name.clone().into(), lease: it.lease, value: it.value.clone().into() };
    let mut stub = election::election_client::ElectionClient::<Channel>::new(line.channel.clone());
    match stub.campaign(request).await {
        Ok(answer) => held(line, answer.into_inner().leader.unwrap_or_default().key).await,
        Err(status) => refusal(&status),
    }
}

/// Reads the owner key of what is held: a lock's answer has no token, and a campaign's header is that of its beginning and not
/// of its end (etcd `client/v3/concurrency/election.go`). What is true at the read's revision has been since it was won.
async fn held(line: &Line, key: bytes::Bytes) -> Outcome {
    match line.client.range(pb::RangeRequest { key: key.clone(), ..Default::default() }).await {
        Ok(answer) => match answer.kvs.first() {
            Some(kv) => answered(answer.header, Answer::Held(Held { key: text(&key), token: kv.create_revision })),
            None => Outcome::Unknown("it was lost before its token could be read".to_owned()),
        },
        Err(error) => Outcome::Unknown(format!("its token could not be read: {error}")),
    }
}

/// One renewal on a stream of its own; 0 seconds say that there is no such lease.
async fn keep_alive(line: &Line, lease: i64) -> Outcome {
    let requests = stream::iter([pb::LeaseKeepAliveRequest { id: lease }]);
    let mut stub = LeaseClient::<Channel>::new(line.channel.clone());
    let first = async { stub.lease_keep_alive(requests).await?.into_inner().message().await };
    match first.await {
        Ok(Some(answer)) => {
            let kept = Answer::KeptAlive(KeptAlive { ttl: answer.ttl });
            answered(answer.header, kept)
        }
        Ok(None) => Outcome::Unknown("the stream has ended".to_owned()),
        Err(status) => refusal(&status),
    }
}

/// A call through the house's client, which knows what may have happened.
async fn kv<T>(
    call: impl Future<Output = Result<T, Error>>,
    read: impl FnOnce(T) -> (Option<pb::ResponseHeader>, Answer),
) -> Outcome {
    match call.await {
        Ok(answer) => {
            let (header, answer) = read(answer);
            answered(header, answer)
        }
        Err(error @ Error::OutcomeUnknown { .. }) => Outcome::Unknown(error.to_string()),
        Err(error) => failed(code(error.message()), &error.to_string()),
    }
}

fn raw<T>(
    called: Result<tonic::Response<T>, Status>,
    read: impl FnOnce(T) -> (Option<pb::ResponseHeader>, Answer),
) -> Outcome {
    match called {
        Ok(answer) => {
            let (header, answer) = read(answer.into_inner());
            answered(header, answer)
        }
        Err(status) => refusal(&status),
    }
}

/// Services that do several things in one call: only what is said before the first of them says that nothing was done.
fn refusal(status: &Status) -> Outcome {
    match status.code() {
        GrpcCode::NotFound | GrpcCode::InvalidArgument | GrpcCode::FailedPrecondition => {
            failed(code(status.message()), status.message())
        }
        _ => Outcome::Unknown(status.to_string()),
    }
}

fn answered(header: Option<pb::ResponseHeader>, answer: Answer) -> Outcome {
    let header = header.unwrap_or_default();
    Outcome::Ok(Answered { revision: header.revision, term: header.raft_term, answer })
}

/// By etcd's texts (`api/v3rpc/rpctypes/error.go`), for one gRPC code stands for several of them.
fn code(message: &str) -> Code {
    let table = [
        ("required revision has been compacted", Code::Compacted),
        ("required revision is a future revision", Code::FutureRevision),
        ("requested lease not found", Code::LeaseNotFound),
        ("lease already exists", Code::LeaseExists),
    ];
    table.into_iter().find(|(words, _)| message.contains(words)).map_or(Code::Other, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Range;

    #[test]
    fn a_late_read_has_not_happened_and_a_late_write_may_have() {
        assert!(matches!(late(&Request::Range(Range::default())), Outcome::Failed(_)));
        assert!(matches!(late(&Request::Put(Put::default())), Outcome::Unknown(_)));
    }

    #[test]
    fn refusals_are_told_apart_by_etcds_words() {
        assert_eq!(code("etcdserver: mvcc: required revision has been compacted"), Code::Compacted);
        assert_eq!(code("etcdserver: requested lease not found"), Code::LeaseNotFound);
        assert_eq!(code("etcdserver: no leader"), Code::Other);
    }
}
