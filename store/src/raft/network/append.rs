//! Pipelined appends: one bidirectional stream a peer, many requests outstanding, replies in order.
//!
//! openraft waits for ever on a stream that hangs while heartbeats pass, so each outstanding reply has a deadline here, and
//! a late one ends the stream: openraft then probes afresh. An idle stream has none.
//!
//! The requests end with the replies. The transport keeps a request stream for as long as its connection lives, and each of
//! openraft's streams reads from the state that all of them share: one that was polled after openraft had given it up would
//! steal its successor's entries, or ask the log for entries that were purged meanwhile, which ends the leader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairlead_proto::peer::{Frame, raft_client::RaftClient};
use futures::{Stream, StreamExt, stream};
use openraft::base::BoxStream;
use openraft::errors::RPCError;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::super::silence::Gate;
use super::super::types::{AppendRequest, LogId, StreamAppendResult, TypeConfig};
use super::super::wire;
use super::client::{Greeted, unreachable};
use crate::planted::{self, Bug};

type RpcResult<T> = Result<T, RPCError<TypeConfig>>;

/// When each request without a reply was sent, oldest first. openraft bounds how many there are.
#[derive(Default)]
struct Outstanding {
    sent: Mutex<VecDeque<Instant>>,
    first: Notify,
    /// The last entry that was sent, for [`Bug::AppendAssumed`] alone.
    assumed: Mutex<Option<LogId>>,
}

impl Outstanding {
    fn push(&self) {
        let mut sent = self.sent.lock().expect("no holder panics");
        sent.push_back(Instant::now());
        if sent.len() == 1 {
            self.first.notify_one();
        }
    }

    fn pop(&self) {
        self.sent.lock().expect("no holder panics").pop_front();
    }

    fn assume(&self, request: &AppendRequest) {
        if planted::is(Bug::AppendAssumed) {
            let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
            *self.assumed.lock().expect("no holder panics") = last;
        }
    }

    /// The end of a stream that has failed.
    fn failed(&self, error: RPCError<TypeConfig>) -> RpcResult<StreamAppendResult> {
        match *self.assumed.lock().expect("no holder panics") {
            None => Err(error),
            assumed => Ok(Ok(assumed)),
        }
    }

    fn unopened<'s>(&self, error: RPCError<TypeConfig>) -> RpcResult<BoxStream<'s, RpcResult<StreamAppendResult>>> {
        let last = self.failed(error)?;
        Ok(Box::pin(stream::iter([Ok(last)])))
    }

    fn oldest(&self) -> Option<Instant> {
        self.sent.lock().expect("no holder panics").front().copied()
    }
}

/// Opens the stream; the result yields a reply per request until one is an error.
pub(super) async fn pipelined<'s>(
    client: &'s mut RaftClient<Greeted>,
    input: impl Stream<Item = AppendRequest> + Send + Unpin + 'static,
    gate: Gate,
    deadline: Duration,
) -> RpcResult<BoxStream<'s, RpcResult<StreamAppendResult>>> {
    let outstanding = Arc::new(Outstanding::default());
    let sent = Arc::clone(&outstanding);
    let over = CancellationToken::new();
    let mut requests = Box::pin(gated(input, gate).take_until(over.clone().cancelled_owned()).peekable());
    // openraft backs off in the request stream: a call that failed before it asked for one would be tried again at once.
    if requests.as_mut().peek().await.is_none() {
        return Ok(Box::pin(stream::empty()));
    }
    let frames = requests.map(move |request| {
        fail::fail_point!("raftBeforeLeaderSend");
        sent.push();
        sent.assume(&request);
        Frame { body: wire::encode_append(&request) }
    });
    let over = over.drop_guard();
    let opened = tokio::time::timeout(deadline, client.stream_append(frames)).await;
    let replies = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return outstanding.unopened(unreachable(status.message())),
        Err(_) => return outstanding.unopened(unreachable("append stream did not open in time")),
    };
    let state = Some((replies, outstanding, over));
    Ok(Box::pin(stream::unfold(state, move |state| async move {
        let (mut replies, outstanding, over) = state?;
        let reply = next_reply(&mut replies, &outstanding, deadline).await?;
        let go_on = matches!(reply, Ok(Ok(_)));
        let reply = reply.or_else(|error| outstanding.failed(error));
        // Otherwise the guard goes before openraft sees the error and may purge.
        let rest = go_on.then_some((replies, outstanding, over));
        Some((reply, rest))
    })))
}

/// Asks openraft for the next request only while the gate is open.
fn gated(
    input: impl Stream<Item = AppendRequest> + Send + Unpin + 'static,
    gate: Gate,
) -> impl Stream<Item = AppendRequest> + Send + 'static {
    stream::unfold((input, gate), |(mut input, mut gate)| async move {
        gate.pass().await;
        let request = input.next().await?;
        Some((request, (input, gate)))
    })
}

/// The next reply; `None` where the peer ended the stream with nothing outstanding.
async fn next_reply(
    replies: &mut Streaming<Frame>,
    outstanding: &Outstanding,
    deadline: Duration,
) -> Option<RpcResult<StreamAppendResult>> {
    loop {
        let oldest = outstanding.oldest();
        let due = oldest.map(|sent| sent + deadline);
        tokio::select! {
            biased;
            reply = replies.message() => {
                outstanding.pop();
                return match reply {
                    Ok(Some(frame)) => Some(wire::decode_stream_result(frame.body).map_err(unreachable)),
                    Ok(None) if outstanding.oldest().is_none() && oldest.is_none() => None,
                    Ok(None) => Some(Err(unreachable("peer ended the append stream"))),
                    Err(status) => Some(Err(unreachable(status.message()))),
                };
            }
            () = at(due) => return Some(Err(unreachable("append was not answered in time"))),
            () = outstanding.first.notified(), if due.is_none() => {}
        }
    }
}

/// Sleeps until `due`, or for ever.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::types::Peer;
    use super::super::{Contacts, Identity, Incarnations, Peers};
    use super::*;

    #[tokio::test]
    async fn a_dead_peer_is_not_called_before_there_is_something_to_send() {
        let dial = Arc::new(|url: &str| {
            super::super::Way::Connection(
                tonic::transport::Endpoint::from_shared(url.to_owned()).expect("a URL").connect_lazy(),
            )
        });
        let me = Identity { cluster: 1, member: 1, incarnation: 1 };
        let families = crate::metrics::Metrics::new(prometheus::Registry::new()).expect("a new registry").network;
        let contacts = Contacts::new(me.member, families);
        let peers = Peers::new(me, Incarnations::default(), dial, contacts, 1 << 20);
        let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let peer = Peer { urls: vec![format!("http://{}", closed.expect("a free port"))] };
        let mut client = peers.client(2, &peer, false);
        let nothing = stream::pending::<AppendRequest>();
        let (_open, gate) = Gate::new();
        let called = pipelined(&mut client.raft, nothing, gate, Duration::from_secs(1));
        assert!(tokio::time::timeout(Duration::from_millis(300), called).await.is_err(), "it was called");
    }
}
