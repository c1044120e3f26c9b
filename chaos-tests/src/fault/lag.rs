//! F-73: a member is cut off until the others' log no longer reaches back to what it has, so that it needs a snapshot.
//!
//! The changes that it misses are written by the fault itself, and recorded. Its witness is the member's own counter of
//! snapshots received, after the cut is lifted.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::partition::{Cut, between};
use super::{Error, Fault, Ground, WITNESS_WITHIN, figures};
use crate::cluster::proxy::LinkState;
use crate::history::{Figures, MemberStep, Put, Request};

/// etcd's name of it, and ours.
const RECEIVED: &str = "etcd_network_snapshot_receive_success";
/// Between two bursts: calls to the lost member have timed out by then and hold no entry of the log any more.
const GIVEN_UP: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Lag {
    cut: Cut,
    number: u64,
    entries: u64,
    writers: u64,
    on: Option<String>,
    received: u64,
}

impl Lag {
    pub(super) fn new(number: u64, entries: u64, writers: u64) -> Lag {
        Lag { cut: Cut::new(number), number, entries, writers, on: None, received: 0 }
    }

    /// Writes through the members that are not cut off.
    async fn burst(&self, ground: &Ground, lagging: &str, part: u64) -> Result<u64, Error> {
        let mut writers = JoinSet::new();
        let first = ground.number(lagging) as usize;
        for writer in 0..self.writers {
            // Another member than the lagging one to begin with; a failure moves the session on.
            let mut session = ground.session(first + (writer % 2) as usize)?;
            let (number, count) = (self.number, self.entries / 2 / self.writers.max(1) + 1);
            writers.spawn(async move {
                let mut written = 0;
                for change in 0..count {
                    let value = format!("lag{number}.{part}.{writer}.{change}");
                    // A key has one writer: searches for an order need not try all of them.
                    let put = Put { key: format!("lag/{writer}/{}", change % 4), value, ..Put::default() };
                    written += u64::from(session.ask(Request::Put(put)).await.ok().is_some());
                }
                written
            });
        }
        let mut written = 0;
        while let Some(done) = writers.join_next().await {
            written += done.map_err(|error| Error::Io { what: "write".to_owned(), source: error.into() })?;
        }
        Ok(written)
    }
}

#[tonic::async_trait]
impl Fault for Lag {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let name = on.first().ok_or_else(|| Error::NoEffect("nobody is to lag".to_owned()))?.clone();
        self.received = ground.metric(&name, RECEIVED).await?;
        self.cut.impose(ground, between(ground, std::slice::from_ref(&name)), LinkState::Hold);
        self.on = Some(name.clone());
        let mut written = self.burst(ground, &name, 0).await?;
        sleep(GIVEN_UP).await;
        written += self.burst(ground, &name, 1).await?;
        Ok(figures([("written", written)]))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let Some(name) = self.on.clone() else { return Err(Error::NoEffect("nobody lagged".to_owned())) };
        self.cut.lift(ground);
        let (healed, until) = (Instant::now(), Instant::now() + WITNESS_WITHIN - Duration::from_secs(5));
        loop {
            let received = ground.metric(&name, RECEIVED).await.unwrap_or(0);
            if received > self.received {
                ground.recorder.member(ground.number(&name), MemberStep::Installed { snapshots: received });
                let after = healed.elapsed().as_millis() as u64;
                return Ok(figures([("snapshots", received - self.received), ("after_heal_ms", after)]));
            }
            if Instant::now() > until {
                return Err(Error::NoEffect(format!("{name} has caught up without a snapshot, or not at all")));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}
