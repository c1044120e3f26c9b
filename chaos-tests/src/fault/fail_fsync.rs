//! F-55: each fsync and fdatasync of a member fails with EIO. By strace.
//!
//! A member must not go on as if nothing had been: pages are marked clean after a failed fsync, so that a later success
//! means nothing (ATC'20). It may end or refuse; it is restarted in any case.

use super::tracer::Tracer;
use super::{Error, Fault, Ground, figures};
use crate::cluster::process::State;
use crate::history::Figures;

#[derive(Default)]
pub(super) struct FailFsync {
    on: Vec<String>,
    tracers: Vec<Tracer>,
}

#[tonic::async_trait]
impl Fault for FailFsync {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        self.on = on.to_vec();
        for name in on {
            ground.tell(name);
            self.tracers.push(Tracer::attach(ground, name, "error=EIO").await?);
        }
        Ok(Figures::new())
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let failed: u64 = self.tracers.iter().map(Tracer::injected).sum();
        let mut ended = 0;
        for name in &self.on {
            ended += u64::from(ground.cluster.member(name)?.state() == State::Stopped);
        }
        match failed {
            0 => Err(Error::NoEffect("no sync was tried meanwhile".to_owned())),
            failed => Ok(figures([("failed", failed), ("ended", ended)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        for tracer in self.tracers.drain(..) {
            tracer.detach(ground).await?;
        }
        for name in &self.on {
            let member = ground.cluster.member(name)?;
            match member.exit_status() {
                Some(status) if member.state() == State::Stopped => ground.ended(name, &status.to_string()),
                _ => ground.kill(name).await?,
            }
            ground.start(name).await?;
        }
        Ok(Figures::new())
    }
}
