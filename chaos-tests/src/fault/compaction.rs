//! F-72: the store is compacted to a little behind the present again and again, through any member.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Error, Fault, Ground, figures};
use crate::history::{Compact, Figures, Range, Request};

/// Revisions left behind the present.
const BEHIND: i64 = 30;

pub(super) struct Compaction {
    every: Duration,
    done: Arc<AtomicU64>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Compaction {
    pub(super) fn new(every_ms: u64) -> Compaction {
        Compaction { every: Duration::from_millis(every_ms), done: Arc::default(), running: None }
    }
}

#[tonic::async_trait]
impl Fault for Compaction {
    async fn apply(&mut self, ground: &Ground, _: &[String]) -> Result<Figures, Error> {
        let mut session = ground.session(0)?;
        let (every, done, stop) = (self.every, Arc::clone(&self.done), CancellationToken::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            // An operation is never left half way: it would stay open in the history.
            while !stopped.is_cancelled() {
                let now = Request::Range(Range { key: "r/0".into(), ..Range::default() });
                if let Some(now) = session.ask(now).await.revision().filter(|now| *now > BEHIND) {
                    let compact = Request::Compact(Compact { revision: now - BEHIND, physical: false });
                    done.fetch_add(u64::from(session.ask(compact).await.ok().is_some()), Ordering::Relaxed);
                }
                session.move_on();
                sleep(every).await;
            }
        });
        self.running = Some((stop, task));
        Ok(Figures::new())
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        match self.done.load(Ordering::Relaxed) {
            0 => Err(Error::NoEffect("no compaction succeeded".to_owned())),
            done => Ok(figures([("compactions", done)])),
        }
    }

    async fn heal(&mut self, _: &Ground) -> Result<Figures, Error> {
        if let Some((stop, task)) = self.running.take() {
            stop.cancel();
            let ended = task.await;
            ended.map_err(|error| Error::Io { what: "the compactor".to_owned(), source: error.into() })?;
        }
        Ok(Figures::new())
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        if let Some((stop, _)) = &self.running {
            stop.cancel();
        }
    }
}
