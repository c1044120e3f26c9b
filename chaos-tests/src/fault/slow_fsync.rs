//! F-56: each fsync and fdatasync of a member is held: the gray disk. By strace.

use super::tracer::Tracer;
use super::{Error, Fault, Ground, figures};
use crate::history::Figures;

pub(super) struct SlowFsync {
    delay_ms: u64,
    tracers: Vec<Tracer>,
}

impl SlowFsync {
    pub(super) fn new(delay_ms: u64) -> SlowFsync {
        SlowFsync { delay_ms, tracers: Vec::new() }
    }
}

#[tonic::async_trait]
impl Fault for SlowFsync {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let inject = format!("delay_enter={}", self.delay_ms * 1000);
        for name in on {
            self.tracers.push(Tracer::attach(ground, name, &inject).await?);
        }
        Ok(figures([("delay_ms", self.delay_ms)]))
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        let held: Vec<u64> = self.tracers.iter().map(Tracer::injected).collect();
        match held.iter().min() {
            None | Some(0) => Err(Error::NoEffect("a member has synced nothing meanwhile".to_owned())),
            Some(least) => Ok(figures([("held", held.iter().sum()), ("held_least", *least)])),
        }
    }

    /// While strace lets go, a sync may already be as fast as it is.
    fn ends_before_heal(&self) -> bool {
        true
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        for tracer in self.tracers.drain(..) {
            tracer.detach(ground).await?;
        }
        Ok(Figures::new())
    }
}
