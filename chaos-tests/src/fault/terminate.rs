//! F-02: SIGTERM and a start, one member after the other, as an upgrade does it.

use std::time::Duration;

use super::{Error, Fault, Ground, figures};
use crate::cluster::process::State;
use crate::history::Figures;

/// How long a member may take to end in good order.
const END_WITHIN: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(super) struct Terminate {
    on: Vec<String>,
    slowest_ms: u64,
    ended: u64,
}

#[tonic::async_trait]
impl Fault for Terminate {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        self.on = on.to_vec();
        for name in on {
            let member = ground.cluster.member(name)?;
            if member.state() != State::Running {
                continue;
            }
            ground.tell(name);
            let terminated = member.terminate(END_WITHIN).await?;
            ground.ended(name, &terminated.status.to_string());
            self.ended += 1;
            self.slowest_ms = self.slowest_ms.max(terminated.took.as_millis() as u64);
            ground.start(name).await?;
        }
        Ok(figures([("restarted", self.ended)]))
    }

    async fn witness(&mut self, _: &Ground) -> Result<Figures, Error> {
        match self.ended {
            0 => Err(Error::NoEffect("no member was running".to_owned())),
            ended => Ok(figures([("ended", ended), ("slowest_ms", self.slowest_ms)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        for name in &self.on {
            ground.start(name).await?;
        }
        Ok(Figures::new())
    }
}
