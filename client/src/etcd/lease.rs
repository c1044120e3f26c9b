//! Leases: grant, revoke, ask, and keep alive.
//!
//! A [`KeepAlive`] renews at a third of the TTL at whatever end-point answers. It counts the time from *sending* a renewal
//! that was answered, by this process' clock, so it says "lost" no later than the server can let the lease expire
//! (clock rates aside; a leader may grant more time, never less).
//! Does not: revoke when dropped; the lease then runs out.
//! Source: etcd `client/v3/lease.go`.

use std::time::Duration;

use futures::Stream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use fairlead_proto::etcd::etcdserverpb::lease_client::LeaseClient;

use super::error::{Effect, Error};
use super::{Channel, Client, pb};

/// Pause before the next end-point is tried when one has failed.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

fn stub(channel: Channel) -> LeaseClient<Channel> {
    LeaseClient::new(channel).max_decoding_message_size(usize::MAX)
}

impl Client {
    /// A new lease for at least `ttl` seconds; the server chooses its id when `id` is 0.
    ///
    /// # Errors
    /// As for [`Client::put`].
    pub async fn lease_grant(&self, ttl: i64, id: i64) -> Result<pb::LeaseGrantResponse, Error> {
        let send = |channel, request| async move { stub(channel).lease_grant(request).await };
        self.call(Effect::Write, pb::LeaseGrantRequest { ttl, id }, send).await
    }

    /// Ends a lease and deletes its keys.
    ///
    /// # Errors
    /// As for [`Client::put`].
    pub async fn lease_revoke(&self, id: i64) -> Result<pb::LeaseRevokeResponse, Error> {
        let send = |channel, request| async move { stub(channel).lease_revoke(request).await };
        self.call(Effect::Write, pb::LeaseRevokeRequest { id }, send).await
    }

    /// What is left of a lease, and with `keys` what hangs on it. A TTL of -1 says that there is no such lease.
    ///
    /// # Errors
    /// As for [`Client::range`].
    pub async fn lease_time_to_live(&self, id: i64, keys: bool) -> Result<pb::LeaseTimeToLiveResponse, Error> {
        let send = |channel, request| async move { stub(channel).lease_time_to_live(request).await };
        self.call(Effect::Read, pb::LeaseTimeToLiveRequest { id, keys }, send).await
    }

    /// All leases.
    ///
    /// # Errors
    /// As for [`Client::range`].
    pub async fn leases(&self) -> Result<pb::LeaseLeasesResponse, Error> {
        let send = |channel, request| async move { stub(channel).lease_leases(request).await };
        self.call(Effect::Read, pb::LeaseLeasesRequest {}, send).await
    }

    /// Renews a lease once; returns its TTL in seconds.
    ///
    /// # Errors
    /// [`Error::LeaseNotFound`], or that no end-point has answered.
    pub async fn lease_renew(&self, id: i64) -> Result<i64, Error> {
        // Renewing twice is renewing once, so this may fail over like a read.
        let send = |channel, id| async move {
            let mut answers = open(channel, futures::stream::iter([pb::LeaseKeepAliveRequest { id }])).await?;
            let answer = answers.message().await?;
            answer.map(tonic::Response::new).ok_or_else(|| Status::unavailable("the stream has ended"))
        };
        let answer = self.call(Effect::Read, id, send).await?;
        if answer.ttl > 0 { Ok(answer.ttl) } else { Err(Error::LeaseNotFound { lease: id }) }
    }

    /// Renews a lease now and keeps it alive until the handle is dropped.
    ///
    /// ```no_run
    /// # async fn run(client: fairlead_client::etcd::Client) -> anyhow::Result<()> {
    /// let lease = client.lease_grant(10, 0).await?.id;
    /// let mut keep_alive = client.keep_alive(lease).await?;
    /// tokio::select! {
    ///     lost = keep_alive.lost() => anyhow::bail!("no longer the owner: {lost}"),
    ///     () = work() => {}
    /// }
    /// # Ok(())
    /// # }
    /// # async fn work() {}
    /// ```
    ///
    /// # Errors
    /// As for [`Client::lease_renew`].
    pub async fn keep_alive(&self, id: i64) -> Result<KeepAlive, Error> {
        let sent = Instant::now();
        let ttl = seconds(self.lease_renew(id).await?);
        let (state, seen) = watch::channel(State::Alive { until: sent + ttl });
        let keeper = Keeper { client: self.clone(), id, ttl, sent, state };
        Ok(KeepAlive { id, state: seen, task: tokio::spawn(keeper.run()) })
    }
}

/// Keeps a lease alive while it exists.
#[derive(Debug)]
pub struct KeepAlive {
    id: i64,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

/// Why a lease is no longer to be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No renewal was answered for a whole TTL.
    #[error("lease has run out by the local clock")]
    Expired,
    /// The server does not know it, or no longer.
    #[error("lease was revoked or has expired at the server")]
    Gone,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Alive { until: Instant },
    Lost(Lost),
}

impl KeepAlive {
    /// Which lease.
    #[must_use]
    pub fn lease(&self) -> i64 {
        self.id
    }

    /// Until when it is certain to live; `None` once it is lost.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        match *self.state.borrow() {
            State::Alive { until } if until > Instant::now() => Some(until),
            _ => None,
        }
    }

    /// Returns when the lease is lost.
    ///
    /// # Cancel safety
    /// Nothing is lost; it can be awaited again.
    pub async fn lost(&mut self) -> Lost {
        match self.state.wait_for(|state| matches!(state, State::Lost(_))).await.as_deref() {
            Ok(State::Lost(lost)) => *lost,
            // The keeper ends only after it has said why; without it nobody renews.
            Ok(State::Alive { .. }) | Err(_) => Lost::Expired,
        }
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task behind a [`KeepAlive`].
struct Keeper {
    client: Client,
    id: i64,
    ttl: Duration,
    /// When the last renewal that was answered had been sent.
    sent: Instant,
    state: watch::Sender<State>,
}

/// How a stream of renewals ends.
enum Ended {
    CutOff,
    Gone,
}

impl Keeper {
    async fn run(mut self) {
        let lost = loop {
            sleep_until(self.due()).await;
            match self.renew_at_one_endpoint().await {
                Ended::Gone => break Lost::Gone,
                Ended::CutOff => sleep_until(self.until().min(Instant::now() + RETRY_PAUSE)).await,
            }
            if Instant::now() >= self.until() {
                break Lost::Expired;
            }
        };
        self.state.send_replace(State::Lost(lost));
    }

    fn until(&self) -> Instant {
        self.sent + self.ttl
    }

    fn due(&self) -> Instant {
        self.sent + self.ttl / 3
    }

    /// Renews until the end-point fails, or leaves a renewal unanswered for so long that another should have a chance.
    async fn renew_at_one_endpoint(&mut self) -> Ended {
        let client = self.client.clone();
        let endpoint = client.endpoint();
        match self.renew(endpoint.channel.clone()).await {
            Ok(ended) => ended,
            Err(status) => {
                tracing::debug!(endpoint = endpoint.name, lease = self.id, %status, "keep-alive was cut off");
                endpoint.failed();
                Ended::CutOff
            }
        }
    }

    async fn renew(&mut self, channel: Channel) -> Result<Ended, Status> {
        let late = |_| Status::deadline_exceeded("no answer in time");
        let ended = || Status::unavailable("the stream has ended");
        let (requests, outgoing) = mpsc::channel(1);
        // Some servers send the stream's headers with the first answer, so the first request goes before it opens.
        let mut sent = self.request(&requests)?;
        let opening = open(channel, ReceiverStream::new(outgoing));
        let mut answers = timeout_at(self.patience(sent), opening).await.map_err(late)??;
        loop {
            let answer = timeout_at(self.patience(sent), answers.message()).await.map_err(late)??;
            let answer = answer.ok_or_else(ended)?;
            if answer.ttl <= 0 {
                return Ok(Ended::Gone);
            }
            (self.sent, self.ttl) = (sent, seconds(answer.ttl));
            self.state.send_replace(State::Alive { until: self.until() });
            sleep_until(self.due()).await;
            sent = self.request(&requests)?;
        }
    }

    fn request(&self, requests: &mpsc::Sender<pb::LeaseKeepAliveRequest>) -> Result<Instant, Status> {
        let sent = Instant::now();
        let request = pb::LeaseKeepAliveRequest { id: self.id };
        requests.try_send(request).map_err(|_| Status::unavailable("the connection takes no more"))?;
        Ok(sent)
    }

    /// Leaves time for four end-points between the first try, at a third of the TTL, and its end.
    fn patience(&self, sent: Instant) -> Instant {
        self.until().min(sent + self.ttl / 6)
    }
}

async fn open(
    channel: Channel,
    requests: impl Stream<Item = pb::LeaseKeepAliveRequest> + Send + 'static,
) -> Result<Streaming<pb::LeaseKeepAliveResponse>, Status> {
    Ok(stub(channel).lease_keep_alive(requests).await?.into_inner())
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or_default())
}

#[cfg(test)]
mod lease_test;
