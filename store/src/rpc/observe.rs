//! Observe: who leads, and each value that a leader proclaims, in order.
//!
//! Promises: the newest leader's newest value is always delivered; values in between may be skipped only where a leader
//! went and another came before this looked, or history was compacted. Events come from this member's hub.
//! Source: etcd `client/v3/concurrency/election.go` (`observe`).

use std::collections::VecDeque;

use bytes::Bytes;
use fairlead_proto::encoded;
use fairlead_proto::etcd::mvccpb::{self, event::EventType};
use fairlead_proto::served::v3electionpb as epb;
use futures::{Stream as Items, stream};
use prost::Message;
use tonic::Status;

use super::{Context, queue};
use crate::watch::{Filters, KeyRange, Output, Stream};

/// One observer.
pub(super) struct Observing {
    ctx: Context,
    prefix: Bytes,
    /// A watch on the leader's key, while one is known.
    leader: Option<Stream>,
    ready: VecDeque<epb::LeaderResponse>,
}

impl Observing {
    pub(super) fn new(ctx: Context, prefix: Bytes) -> Observing {
        Observing { ctx, prefix, leader: None, ready: VecDeque::new() }
    }

    pub(super) fn into_stream(self) -> impl Items<Item = Result<epb::LeaderResponse, Status>> {
        stream::try_unfold(self, |mut observing| async move {
            loop {
                if let Some(response) = observing.ready.pop_front() {
                    return Ok(Some((response, observing)));
                }
                match observing.leader.take() {
                    None => observing.find().await?,
                    Some(stream) => observing.follow(stream).await?,
                }
            }
        })
    }

    /// Finds the leader, or waits for one.
    async fn find(&mut self) -> Result<(), Status> {
        let (revision, leader) = queue::read(&self.ctx, queue::first(&self.prefix)).await?;
        let found = match leader {
            Some(leader) => Some((revision, leader)),
            None => self.first_put(revision + 1).await?.map(|kv| (kv.mod_revision, kv)),
        };
        if let Some((revision, leader)) = found {
            let key = KeyRange::Key(leader.key.clone());
            self.leader = Some(queue::watch(&self.ctx, key, Filters::default(), revision + 1)?);
            self.tell(revision, &leader);
        }
        Ok(())
    }

    /// The first key put under the prefix from a revision on; `None` where the watch lost its history: look again.
    async fn first_put(&self, from: i64) -> Result<Option<mvccpb::KeyValue>, Status> {
        let no_deletes = Filters { no_put: false, no_delete: true };
        let mut stream = queue::watch(&self.ctx, queue::under(&self.prefix)?, no_deletes, from)?;
        loop {
            match queue::next(&self.ctx, &mut stream).await? {
                Output::Progress { .. } => {}
                Output::Compacted { .. } => return Ok(None),
                Output::Events(delivery) => {
                    let events = queue::events(&self.ctx, &delivery).await?;
                    if let Some(kv) = events.into_iter().find_map(|event| event.kv) {
                        return Ok(Some(kv));
                    }
                }
            }
        }
    }

    /// Takes the next events of the leader's key; keeps following unless the key is gone.
    async fn follow(&mut self, mut stream: Stream) -> Result<(), Status> {
        match queue::next(&self.ctx, &mut stream).await? {
            Output::Progress { .. } => {}
            Output::Compacted { .. } => return Ok(()),
            Output::Events(delivery) => {
                for event in queue::events(&self.ctx, &delivery).await? {
                    if event.r#type == EventType::Delete as i32 {
                        return Ok(());
                    }
                    self.tell(delivery.revision(), &event.kv.unwrap_or_default());
                }
            }
        }
        self.leader = Some(stream);
        Ok(())
    }

    fn tell(&mut self, revision: i64, leader: &mvccpb::KeyValue) {
        let header = Some(self.ctx.header(revision));
        let kv = Some(encoded::KeyValue(leader.encode_to_vec().into()));
        self.ready.push_back(epb::LeaderResponse { header, kv });
    }
}
