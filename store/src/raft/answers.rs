//! Who waits for which batch: each member answers its own clients, from its own apply.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::consensus::Unserved;
use super::trace::Progress;
use crate::apply::{Applied, BatchId};

/// A client that waits for its command.
pub(crate) type Waiter = oneshot::Sender<Result<Applied, Unserved>>;

struct Batch {
    waiters: Vec<Waiter>,
    progress: Arc<Progress>,
    /// Told when the batch has been applied here.
    resolved: oneshot::Sender<()>,
}

/// The batches of this boot that are not applied yet. Bounded by the proposer, which bounds what is in flight, and by
/// [`Answers::sweep`], which drops those that nobody waits for any more.
pub(crate) struct Answers {
    member: u64,
    boot: u64,
    batches: Mutex<HashMap<u64, Batch>>,
    /// Entries below it that were not applied here came in a snapshot.
    installed: watch::Sender<u64>,
}

impl Answers {
    pub(crate) fn new(member: u64, boot: u64) -> Self {
        Self { member, boot, batches: Mutex::default(), installed: watch::Sender::new(0) }
    }

    /// The id of this boot's batch number `batch`.
    pub(crate) fn id(&self, batch: u64) -> BatchId {
        BatchId { member: self.member, boot: self.boot, batch }
    }

    /// Notes who waits for a batch; the receiver fires when it has been applied here.
    pub(crate) fn expect(&self, batch: u64, waiters: Vec<Waiter>, progress: Arc<Progress>) -> oneshot::Receiver<()> {
        let (resolved, applied) = oneshot::channel();
        self.batches.lock().expect("no holder panics").insert(batch, Batch { waiters, progress, resolved });
        applied
    }

    /// Notes that a batch is being applied since `begun`, if it is one of ours.
    pub(crate) fn applying(&self, id: &BatchId, begun: Instant) {
        if id.member == self.member && id.boot == self.boot {
            let batches = self.batches.lock().expect("no holder panics");
            if let Some(batch) = batches.get(&id.batch) {
                batch.progress.applying(begun);
            }
        }
    }

    /// Hands out the answers of an applied batch, if it is one of ours.
    pub(crate) fn complete(&self, id: BatchId, answers: Vec<Applied>) {
        if id.member != self.member || id.boot != self.boot {
            return;
        }
        let Some(batch) = self.batches.lock().expect("no holder panics").remove(&id.batch) else { return };
        for (waiter, answer) in batch.waiters.into_iter().zip(answers) {
            // A client that has gone away wants no answer.
            waiter.send(Ok(answer)).ok();
        }
        batch.resolved.send(()).ok();
    }

    /// A snapshot has brought every entry below `next`: those that were not applied before never will be.
    pub(crate) fn installed(&self, next: u64) {
        self.installed.send_replace(next);
    }

    /// Waits until a snapshot has brought the entry at `index`.
    pub(crate) async fn covered(&self, index: u64) {
        let covered = self.installed.subscribe().wait_for(|next| *next > index).await.is_ok();
        debug_assert!(covered, "the sender lives in this");
    }

    /// Answers everybody who waits for a batch that has no answer here.
    pub(crate) fn refuse(&self, batch: u64, reason: &Unserved) {
        let Some(batch) = self.batches.lock().expect("no holder panics").remove(&batch) else { return };
        for waiter in batch.waiters {
            waiter.send(Err(reason.clone())).ok();
        }
    }

    /// Drops batches whose outcome nobody waits for any more.
    pub(crate) fn sweep(&self) {
        let mut batches = self.batches.lock().expect("no holder panics");
        batches.retain(|_, batch| batch.waiters.iter().any(|waiter| !waiter.is_closed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Outcome;

    fn applied() -> Applied {
        Applied { revision: 2, index: 1, outcome: Ok(Outcome::LeaseRevoke) }
    }

    #[tokio::test]
    async fn only_this_boots_batches_are_answered() {
        let answers = Answers::new(1, 7);
        let (waiter, answer) = oneshot::channel();
        let resolved = answers.expect(3, vec![waiter], Arc::default());
        answers.complete(BatchId { member: 1, boot: 6, batch: 3 }, vec![applied()]);
        answers.complete(BatchId { member: 2, boot: 7, batch: 3 }, vec![applied()]);
        answers.complete(answers.id(3), vec![applied()]);
        assert_eq!(answer.await, Ok(Ok(applied())));
        assert_eq!(resolved.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_snapshot_that_reaches_an_entry_covers_it() {
        let answers = Answers::new(1, 7);
        let waits = async |index| tokio::time::timeout(std::time::Duration::from_secs(1), answers.covered(index)).await;
        assert!(waits(0).await.is_err());
        answers.installed(5);
        assert!(waits(4).await.is_ok());
        assert!(waits(5).await.is_err());
    }

    #[tokio::test]
    async fn a_batch_that_nobody_waits_for_is_swept() {
        let answers = Answers::new(1, 7);
        let (gone, receiver) = oneshot::channel();
        let (waiter, _answer) = oneshot::channel();
        drop(receiver);
        let _one = answers.expect(1, vec![gone], Arc::default());
        let _two = answers.expect(2, vec![waiter], Arc::default());
        answers.sweep();
        assert_eq!(answers.batches.lock().unwrap().keys().copied().collect::<Vec<_>>(), [2]);
    }
}
