//! F-01: kill -9, and a start when its time is over.

use super::{Error, Fault, Ground, figures};
use crate::cluster::process::State;
use crate::history::Figures;

#[derive(Default)]
pub(super) struct Kill {
    on: Vec<String>,
}

#[tonic::async_trait]
impl Fault for Kill {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        self.on = on.to_vec();
        for name in on {
            ground.kill(name).await?;
        }
        Ok(figures([("killed", on.len() as u64)]))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        for name in &self.on {
            if ground.cluster.member(name)?.state() != State::Stopped {
                return Err(Error::NoEffect(format!("{name} runs")));
            }
        }
        Ok(figures([("down", self.on.len() as u64)]))
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        ground.start_together(&self.on).await?;
        Ok(Figures::new())
    }
}
