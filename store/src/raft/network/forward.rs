//! Requests that only the leader can serve, sent to it by the member that was asked.

use std::time::Duration;

use bytes::Bytes;
use fairlead_proto::peer::{
    LeaseRemainingRequest, ProposeRequest, ReadIndexRequest, RenewLeaseRequest, propose_reply::Outcome,
};
use tonic::Code;

use super::super::consensus::LeaseTime;
use super::client::Peers;

/// What became of a forwarded proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// Committed at this index; this member will apply it, or install a snapshot that covers it.
    Committed(u64),
    /// Never appended: may be sent again.
    NotAppended,
    /// May be committed or not; must not be sent again.
    Unknown,
}

impl Peers {
    /// Forwards a batch to `leader`.
    pub(crate) async fn propose(&self, leader: u64, payload: Bytes, budget: Duration) -> Forwarded {
        let Some(mut client) = self.forward(leader) else { return Forwarded::NotAppended };
        match tokio::time::timeout(budget, client.propose(ProposeRequest { payload })).await {
            Ok(Ok(reply)) => {
                let reply = reply.into_inner();
                match reply.outcome() {
                    Outcome::Committed => Forwarded::Committed(reply.index),
                    Outcome::NotAppended => Forwarded::NotAppended,
                    Outcome::Unknown => Forwarded::Unknown,
                }
            }
            Ok(Err(status)) if never_sent(&status) => Forwarded::NotAppended,
            Ok(Err(_)) | Err(_) => Forwarded::Unknown,
        }
    }

    /// Asks `leader` for an index that covers everything acknowledged before this call. `None`: not confirmed.
    pub(crate) async fn read_index(&self, leader: u64, budget: Duration) -> Option<Option<u64>> {
        let mut client = self.forward(leader)?;
        let reply = tokio::time::timeout(budget, client.read_index(ReadIndexRequest {})).await.ok()?.ok()?.into_inner();
        reply.confirmed.then_some(reply.index)
    }

    /// Renews a lease on `leader`. `None`: not confirmed; `Some(None)`: no such lease.
    pub(crate) async fn renew_lease(&self, leader: u64, id: i64, budget: Duration) -> Option<Option<i64>> {
        let mut client = self.forward(leader)?;
        let call = client.renew_lease(RenewLeaseRequest { id });
        let reply = tokio::time::timeout(budget, call).await.ok()?.ok()?.into_inner();
        reply.confirmed.then_some((reply.ttl > 0).then_some(reply.ttl))
    }

    /// Asks `leader` for a lease's time. `None`: not confirmed; `Some(None)`: no such lease.
    pub(crate) async fn lease_time(&self, leader: u64, id: i64, budget: Duration) -> Option<Option<LeaseTime>> {
        let mut client = self.forward(leader)?;
        let call = client.lease_time_to_live(LeaseRemainingRequest { id });
        let reply = tokio::time::timeout(budget, call).await.ok()?.ok()?.into_inner();
        let time = LeaseTime { remaining: reply.remaining, granted: reply.granted };
        reply.confirmed.then_some((reply.remaining >= 0).then_some(time))
    }
}

/// Whether a failed call surely never reached the peer's handler.
fn never_sent(status: &tonic::Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    // The peer's hello check, before any handler.
    status.code() == Code::FailedPrecondition
}
