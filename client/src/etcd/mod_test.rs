//! What a client does with a member that answers, refuses, breaks off or is silent.

use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_proto::served::etcdserverpb as served;
use fairlead_proto::served::etcdserverpb::kv_server::{Kv, KvServer};
use tower::ServiceExt;

use super::*;

/// What a member does with every request.
#[derive(Clone, Copy)]
enum Member {
    Answers,
    Refuses(Code, &'static str),
    BreaksOff,
    IsSilent,
    IsUnreachable,
}

struct Fake {
    member: Member,
    received: Arc<AtomicUsize>,
}

impl Fake {
    async fn answer<T: Default>(&self) -> Result<Response<T>, Status> {
        self.received.fetch_add(1, Ordering::Relaxed);
        match self.member {
            Member::Refuses(code, text) => Err(Status::new(code, text)),
            Member::IsSilent => std::future::pending().await,
            _ => Ok(Response::new(T::default())),
        }
    }
}

#[tonic::async_trait]
impl Kv for Fake {
    type RangeStreamStream = tokio_stream::Empty<Result<served::RangeStreamResponse, Status>>;

    async fn range(&self, _: tonic::Request<served::RangeRequest>) -> Result<Response<served::RangeResponse>, Status> {
        self.answer().await
    }
    async fn range_stream(
        &self,
        _: tonic::Request<served::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("unknown method RangeStream"))
    }
    async fn put(&self, _: tonic::Request<served::PutRequest>) -> Result<Response<served::PutResponse>, Status> {
        self.answer().await
    }
    async fn delete_range(
        &self,
        _: tonic::Request<served::DeleteRangeRequest>,
    ) -> Result<Response<served::DeleteRangeResponse>, Status> {
        self.answer().await
    }
    async fn txn(&self, _: tonic::Request<served::TxnRequest>) -> Result<Response<served::TxnResponse>, Status> {
        self.answer().await
    }
    async fn compact(
        &self,
        _: tonic::Request<served::CompactionRequest>,
    ) -> Result<Response<served::CompactionResponse>, Status> {
        self.answer().await
    }
}

struct Cluster {
    client: Client,
    received: Vec<Arc<AtomicUsize>>,
}

impl Cluster {
    fn of(members: &[Member]) -> Self {
        let received: Vec<_> = members.iter().map(|_| Arc::default()).collect();
        let channels = members.iter().zip(&received).enumerate();
        let channels = channels.map(|(at, (member, received))| (format!("n{at}"), channel(*member, received)));
        Cluster { client: Client::over(channels, Options::default()).unwrap(), received }
    }

    fn received(&self) -> Vec<usize> {
        self.received.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

fn channel(member: Member, received: &Arc<AtomicUsize>) -> Channel {
    let fake = KvServer::new(Fake { member, received: Arc::clone(received) });
    match member {
        Member::IsUnreachable => {
            let refuse = || async { Err::<tokio::io::DuplexStream, _>(std::io::ErrorKind::ConnectionRefused.into()) };
            Channel::connector("http://nowhere".parse().unwrap(), ConnectOptions::default(), refuse)
        }
        // It receives the request, and its answer is lost.
        Member::BreaksOff => Channel::service(tower::service_fn(move |request| {
            let answered = fake.clone().oneshot(request);
            async {
                drop(answered.await);
                Err::<http::Response<tonic::body::Body>, _>(BoxError::from("reset"))
            }
        })),
        _ => Channel::service(fake),
    }
}

#[tokio::test]
async fn a_write_that_may_have_been_sent_is_never_sent_again() {
    for member in [
        Member::BreaksOff,
        Member::Refuses(Code::Unavailable, "etcdserver: leader changed"),
        Member::Refuses(Code::Unavailable, "etcdserver: request timed out"),
    ] {
        let cluster = Cluster::of(&[member, Member::Answers]);
        let error = cluster.client.put(kv::put("a", "1")).await.unwrap_err();
        assert!(error.is_outcome_unknown(), "{error}");
        assert_eq!(cluster.received(), [1, 0]);
    }
}

#[tokio::test]
async fn a_refused_write_is_told_apart_and_not_sent_again() {
    let cluster = Cluster::of(&[Member::Refuses(Code::Unavailable, "etcdserver: no leader"), Member::Answers]);
    let error = cluster.client.put(kv::put("a", "1")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert_eq!((error.code(), error.message()), (Some(Code::Unavailable), "etcdserver: no leader"));
    assert_eq!(cluster.received(), [1, 0]);
}

#[tokio::test]
async fn a_write_goes_to_the_next_member_when_no_connection_can_be_made() {
    let cluster = Cluster::of(&[Member::IsUnreachable, Member::Answers]);
    cluster.client.put(kv::put("a", "1")).await.unwrap();
    assert_eq!(cluster.received(), [0, 1]);

    let cluster = Cluster::of(&[Member::IsUnreachable, Member::IsUnreachable]);
    let error = cluster.client.put(kv::put("a", "1")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_read_is_asked_of_the_next_member() {
    for member in
        [Member::BreaksOff, Member::IsUnreachable, Member::Refuses(Code::Unavailable, "etcdserver: leader changed")]
    {
        let cluster = Cluster::of(&[member, Member::Answers]);
        cluster.client.range(kv::key("a")).await.unwrap();
        assert_eq!(cluster.received()[1], 1);
    }
    let cluster =
        Cluster::of(&[Member::Refuses(Code::InvalidArgument, "etcdserver: key is not provided"), Member::Answers]);
    let error = cluster.client.range(kv::key("")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert_eq!(cluster.received(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn silence_leaves_a_write_unknown_and_takes_a_read_elsewhere() {
    let cluster = Cluster::of(&[Member::IsSilent, Member::Answers]);
    let begun = Instant::now();
    cluster.client.range(kv::key("a")).await.unwrap();
    assert_eq!(begun.elapsed(), Options::default().read_attempt_timeout);

    let cluster = Cluster::of(&[Member::IsSilent, Member::Answers]);
    let begun = Instant::now();
    let error = cluster.client.put(kv::put("a", "1")).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(begun.elapsed(), Options::default().request_timeout);
    assert_eq!(cluster.received(), [1, 0]);
}

#[tokio::test]
async fn calls_are_spread_over_the_members_and_can_be_narrowed_down_to_one() {
    let cluster = Cluster::of(&[Member::Answers, Member::Answers]);
    for _ in 0..4 {
        cluster.client.range(kv::key("a")).await.unwrap();
    }
    assert_eq!(cluster.received(), [2, 2]);
    let one = cluster.client.only("n1").unwrap();
    for _ in 0..4 {
        one.range(kv::key("a")).await.unwrap();
    }
    assert_eq!(cluster.received(), [2, 6]);
    assert!(cluster.client.only("n2").is_none());
}
