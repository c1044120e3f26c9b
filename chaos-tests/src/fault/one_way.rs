//! F-21: one direction is cut: a member that hears nothing from its peers, or that none of them hears.

use super::partition::{Cut, outward, turned};
use super::{Error, Fault, Ground};
use crate::cluster::proxy::LinkState;
use crate::history::Figures;

pub(super) struct OneWay {
    cut: Cut,
    deaf: bool,
}

impl OneWay {
    pub(super) fn deaf(number: u64) -> OneWay {
        OneWay { cut: Cut::new(number), deaf: true }
    }

    pub(super) fn mute(number: u64) -> OneWay {
        OneWay { cut: Cut::new(number), deaf: false }
    }
}

#[tonic::async_trait]
impl Fault for OneWay {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let outward = outward(ground, on);
        let links = if self.deaf { turned(&outward) } else { outward };
        Ok(self.cut.impose(ground, links, LinkState::Hold))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.held(ground)
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}
