//! The proposer: packs waiting commands into one log entry, one batch in flight, here or at the leader.
//!
//! Commands are encoded into the next entry as they arrive; while a batch is in flight the next one grows, so that the
//! batch size follows the load and no timer is needed. Bounds: [`Queue`]'s bytes. A batch is sent again only when it was
//! surely not appended; whatever else happens, its clients wait for apply or for their own timeout.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::Waiter;
use super::consensus::Unserved;
use super::network::Forwarded;
use super::node::Node;
use super::trace::{Progress, Trace};
use super::types::Payload;
use crate::apply::{Applied, Command, HEADER_BYTES, encode_header};
use crate::metrics::Server;

/// An entry is closed when it has this many bytes, so that one entry never starves apply.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// A refused batch is tried again at the latest after this long, if nothing has been heard meanwhile.
const RETRY_MAX: Duration = Duration::from_millis(100);

/// An entry that is being packed: room for the header, then encoded commands.
struct Pack {
    entry: BytesMut,
    waiters: Vec<Waiter>,
    progress: Arc<Progress>,
}

impl Pack {
    fn new() -> Self {
        Self { entry: BytesMut::zeroed(HEADER_BYTES), waiters: Vec::new(), progress: Arc::default() }
    }
}

/// Commands that wait for their turn.
pub(crate) struct Queue {
    packs: Mutex<Packs>,
    filled: Notify,
    /// Bytes that may wait or be in flight (`proposals_inflight_bytes_max`).
    bytes_max: usize,
}

#[derive(Default)]
struct Packs {
    waiting: VecDeque<Pack>,
    /// Bytes waiting and in flight.
    bytes: usize,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { packs: Mutex::default(), filled: Notify::new(), bytes_max }
    }

    /// Queues a command; the receiver gets its answer.
    pub(crate) fn push(
        &self,
        command: &Command,
        trace: &Trace,
    ) -> Result<oneshot::Receiver<Result<Applied, Unserved>>, Unserved> {
        let (waiter, answer) = oneshot::channel();
        let mut packs = self.packs.lock().expect("no holder panics");
        let bytes = command.body_len() + 5;
        if packs.bytes + bytes > self.bytes_max {
            return Err(Unserved::TooManyRequests);
        }
        packs.bytes += bytes;
        let open = packs.waiting.back().is_some_and(|pack| pack.entry.len() < ENTRY_BYTES_MAX);
        if !open {
            packs.waiting.push_back(Pack::new());
        }
        let pack = packs.waiting.back_mut().expect("one was just made sure of");
        command.encode(&mut pack.entry);
        pack.waiters.push(waiter);
        trace.follow(&pack.progress);
        drop(packs);
        self.filled.notify_one();
        Ok(answer)
    }

    async fn next(&self) -> Pack {
        loop {
            let next = self.packs.lock().expect("no holder panics").waiting.pop_front();
            match next {
                Some(pack) => return pack,
                None => self.filled.notified().await,
            }
        }
    }

    fn release(&self, bytes: usize) {
        self.packs.lock().expect("no holder panics").bytes -= bytes;
    }
}

/// A proposal under way: one that ends without an answer, also because its client gave it up, has failed.
pub(super) struct Pending<'a> {
    server: &'a Server,
    answered: bool,
}

impl<'a> Pending<'a> {
    pub(super) fn new(server: &'a Server) -> Self {
        server.proposals_pending.inc();
        Self { server, answered: false }
    }

    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.server.proposals_pending.dec();
        if !self.answered {
            self.server.proposals_failed_total.inc();
        }
    }
}

/// Runs until shutdown.
pub(crate) async fn run(node: Arc<Node>, shutdown: CancellationToken) {
    for batch in 1.. {
        let pack = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            pack = node.queue().next() => pack,
        };
        let bytes = pack.entry.len() - HEADER_BYTES;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = propose(&node, batch, pack) => {}
        }
        node.queue().release(bytes);
    }
}

/// Brings one batch into the log, and waits until it is applied here or its outcome stays unknown.
async fn propose(node: &Node, batch: u64, mut pack: Pack) {
    if pack.waiters.iter().all(Waiter::is_closed) {
        return;
    }
    pack.progress.taken();
    node.answers().sweep();
    let count = u32::try_from(pack.waiters.len()).expect("an entry has few commands");
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    encode_header(node.answers().id(batch), count, &mut header);
    pack.entry[..HEADER_BYTES].copy_from_slice(&header);
    let entry = pack.entry.freeze();
    let applied = node.answers().expect(batch, pack.waiters, pack.progress);
    let deadline = Instant::now() + node.budget();
    match tokio::time::timeout_at(deadline, submit(node, entry, applied)).await {
        Ok(Submitted::Resolved | Submitted::Unknown) => {}
        Ok(Submitted::Dead) => node.answers().refuse(batch, &Unserved::Stopped),
        // It has happened, and what it would have answered is not known here.
        Ok(Submitted::Covered) => node.answers().refuse(batch, &Unserved::Timeout),
        // The clients' own deadlines are no later than this one.
        Err(_) => {}
    }
}

enum Submitted {
    Resolved,
    Unknown,
    /// Committed, but a snapshot came in place of the entry.
    Covered,
    Dead,
}

async fn submit(node: &Node, entry: Bytes, mut applied: oneshot::Receiver<()>) -> Submitted {
    loop {
        let leader = node.wait_for_leader().await;
        let forwarded = if leader == node.identity().member {
            match append(node, entry.clone()).await {
                Ok(forwarded) => forwarded,
                Err(Dead) => return Submitted::Dead,
            }
        } else {
            // One that hangs answers nobody: as soon as another leads, what became of the batch is for its log to say, and
            // the next batch must not wait for the connection to be given up.
            tokio::select! {
                biased;
                forwarded = node.peers().propose(leader, entry.clone(), node.budget()) => forwarded,
                () = node.wait_for_leader_other_than(leader) => Forwarded::Unknown,
            }
        };
        match forwarded {
            Forwarded::Committed(index) => {
                return tokio::select! {
                    biased;
                    // An error: the batch was swept, since nobody waits for it.
                    _ = &mut applied => Submitted::Resolved,
                    () = node.answers().covered(index) => Submitted::Covered,
                };
            }
            Forwarded::Unknown => return Submitted::Unknown,
            Forwarded::NotAppended => node.wait_for_news(RETRY_MAX).await,
        }
    }
}

/// openraft's core has ended.
pub(super) struct Dead;

/// Appends a batch as the leader.
pub(super) async fn append(node: &Node, entry: Bytes) -> Result<Forwarded, Dead> {
    let (responder, complete) = ProgressResponder::complete_only();
    node.raft().client_write_ff(Payload(entry), Some(responder)).await.map_err(|_| Dead)?;
    Ok(match complete.await {
        Ok(Ok(written)) => Forwarded::Committed(written.log_id.index()),
        Ok(Err(ClientWriteError::ForwardToLeader(_))) => Forwarded::NotAppended,
        Ok(Err(_)) | Err(_) => Forwarded::Unknown,
    })
}
