//! ReadIndex rounds: one proof of leadership serves all reads that waited for it.
//!
//! ```text
//! reads   a   b c d        e f
//! rounds  |---a---|---bcd---|---ef---|          a read joins only a round that has not begun; a few may overlap
//! ```
//! A round that began before the read may have read the commit index too early, so it never serves it (Raft §6.4).

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// Rounds under way at the same time (`read_rounds_max`): on a follower a strictly serial round would chain two trips.
const READ_ROUNDS_MAX: usize = 4;

/// What one attempt gives: the next index after the one to wait for (0 for an empty log), or `None` where leadership was
/// not proved.
pub(crate) type Attempt = Option<u64>;

type Operation = Arc<dyn Fn() -> BoxFuture<'static, Attempt> + Send + Sync>;

#[derive(Default)]
struct State {
    waiting: Vec<oneshot::Sender<Attempt>>,
    running: usize,
}

/// Shares attempts among reads.
#[derive(Clone)]
pub(crate) struct Rounds {
    state: Arc<Mutex<State>>,
    operation: Operation,
}

impl Rounds {
    pub(crate) fn new(operation: impl Fn() -> BoxFuture<'static, Attempt> + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), operation: Arc::new(operation) }
    }

    /// Joins the next round.
    pub(crate) async fn join(&self) -> Attempt {
        self.enter().await.unwrap_or(None)
    }

    fn enter(&self) -> oneshot::Receiver<Attempt> {
        let (waiter, result) = oneshot::channel();
        let mut state = self.state.lock().expect("no holder panics");
        state.waiting.push(waiter);
        if state.running < READ_ROUNDS_MAX {
            state.running += 1;
            let first = std::mem::take(&mut state.waiting);
            tokio::spawn(self.clone().run(first));
        }
        result
    }

    /// Runs rounds as long as reads wait.
    async fn run(self, mut served: Vec<oneshot::Sender<Attempt>>) {
        loop {
            let attempt = (self.operation)().await;
            for waiter in served {
                // A read that gave up wants no answer.
                waiter.send(attempt).ok();
            }
            let mut state = self.state.lock().expect("no holder panics");
            if state.waiting.is_empty() {
                state.running -= 1;
                return;
            }
            served = std::mem::take(&mut state.waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_read_never_joins_a_round_that_has_begun() {
        let begun = Arc::new(AtomicU64::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let rounds = {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            Rounds::new(move || {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                let gate = Arc::clone(&gate);
                Box::pin(async move {
                    gate.acquire().await.expect("open").forget();
                    Some(number)
                })
            })
        };
        let spawn = || {
            let rounds = rounds.clone();
            tokio::spawn(async move { rounds.join().await })
        };
        let early: Vec<_> = (0..READ_ROUNDS_MAX).map(|_| spawn()).collect();
        while begun.load(Ordering::SeqCst) < READ_ROUNDS_MAX as u64 {
            tokio::task::yield_now().await;
        }
        let late: Vec<_> = (0..10).map(|_| spawn()).collect();
        tokio::task::yield_now().await;
        gate.add_permits(100);
        for read in early {
            assert!(read.await.unwrap() <= Some(READ_ROUNDS_MAX as u64));
        }
        for read in late {
            assert_eq!(read.await.unwrap(), Some(READ_ROUNDS_MAX as u64 + 1), "ten reads share the next round");
        }
        assert_eq!(begun.load(Ordering::SeqCst), READ_ROUNDS_MAX as u64 + 1);
    }
}
