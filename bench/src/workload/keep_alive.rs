//! 1,000 clients with a lease and a stream each, that renew it in a closed loop.

use fairlead_proto::etcd::etcdserverpb as pb;
use fairlead_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::Error;
use crate::closed_loop::{Client, Done, ONE, Window, drive};
use crate::connect::channels;
use crate::sample::Sample;
use crate::target::Running;

const CLIENTS: usize = 1_000;
/// Longer than a repetition and its preparation; a lease that is left by an interrupted run ends by itself.
const TTL_SECONDS: i64 = 300;

struct Keeper {
    lease: i64,
    requests: mpsc::Sender<pb::LeaseKeepAliveRequest>,
    answers: Streaming<pb::LeaseKeepAliveResponse>,
}

impl Keeper {
    async fn open(mut client: LeaseClient<Channel>) -> Result<Keeper, Status> {
        let grant = pb::LeaseGrantRequest { ttl: TTL_SECONDS, ..Default::default() };
        let lease = client.lease_grant(grant).await?.into_inner().id;
        let (requests, stream) = mpsc::channel(1);
        // A server may answer nothing, not even headers, before it is asked.
        requests.send(pb::LeaseKeepAliveRequest { id: lease }).await.map_err(ended)?;
        let answers = client.lease_keep_alive(ReceiverStream::new(stream)).await?.into_inner();
        let mut keeper = Keeper { lease, requests, answers };
        keeper.answered().await?;
        Ok(keeper)
    }

    async fn answered(&mut self) -> Result<(), Status> {
        match self.answers.message().await? {
            Some(answer) if answer.ttl > 0 => Ok(()),
            Some(_) => Err(Status::not_found("the lease is gone")),
            None => Err(Status::unavailable("the stream has ended")),
        }
    }
}

fn ended<T>(_: T) -> Status {
    Status::unavailable("the stream has ended")
}

impl Client for Keeper {
    async fn step(&mut self) -> Result<Done, Status> {
        self.requests.send(pb::LeaseKeepAliveRequest { id: self.lease }).await.map_err(ended)?;
        self.answered().await?;
        Ok(ONE)
    }
}

pub(super) async fn measure(target: &Running, window: Window) -> Result<Sample, Error> {
    let channels = channels(&target.endpoints, CLIENTS).await?;
    let clients: Vec<_> = channels.into_iter().map(LeaseClient::new).cycle().take(CLIENTS).collect();
    let keepers = all(clients.iter().cloned().map(Keeper::open)).await.map_err(Error::request("grant a lease"))?;
    let leases: Vec<i64> = keepers.iter().map(|keeper| keeper.lease).collect();
    let seen = drive(target, keepers, window).await;
    let revoke = |(id, mut client): (i64, LeaseClient<Channel>)| async move {
        client.lease_revoke(pb::LeaseRevokeRequest { id }).await
    };
    all(leases.into_iter().zip(clients).map(revoke)).await.map_err(Error::request("revoke a lease"))?;
    Ok(seen?.sample())
}

/// Does all of it at the same time.
async fn all<T: Send + 'static>(
    work: impl Iterator<Item = impl Future<Output = Result<T, Status>> + Send + 'static>,
) -> Result<Vec<T>, Status> {
    let mut tasks: JoinSet<_> = work.collect();
    let mut done = Vec::new();
    while let Some(one) = tasks.join_next().await {
        done.push(one.expect("a client does not panic")?);
    }
    Ok(done)
}
