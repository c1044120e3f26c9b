//! F-28: everything between a member and the others is late, by the same or by something between two bounds.

use std::time::Duration;

use super::partition::{Cut, between};
use super::{Error, Fault, Ground, figures};
use crate::cluster::proxy::LinkState;
use crate::history::Figures;

pub(super) struct Delay {
    cut: Cut,
    state: LinkState,
}

impl Delay {
    pub(super) fn new(number: u64, ms: u64, jitter_ms: u64) -> Delay {
        let (least, most) = (Duration::from_millis(ms), Duration::from_millis(ms + jitter_ms));
        let state = if jitter_ms == 0 { LinkState::Delay(least) } else { LinkState::Jitter(least, most) };
        Delay { cut: Cut::new(number), state }
    }
}

#[tonic::async_trait]
impl Fault for Delay {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        Ok(self.cut.impose(ground, between(ground, on), self.state))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        match self.cut.since(ground).late {
            0 => Err(Error::NoEffect("nothing was late".to_owned())),
            late => Ok(figures([("late", late)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}
