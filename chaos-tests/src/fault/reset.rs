//! F-24: connections between a member and the others, clients included, are closed by RST, and new ones are refused.

use super::partition::{Cut, between};
use super::{Error, Fault, Ground, figures};
use crate::cluster::proxy::{LinkState, OUTSIDE};
use crate::history::Figures;

pub(super) struct Reset {
    cut: Cut,
}

impl Reset {
    pub(super) fn new(number: u64) -> Reset {
        Reset { cut: Cut::new(number) }
    }
}

#[tonic::async_trait]
impl Fault for Reset {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let mut links = between(ground, on);
        links.extend(on.iter().map(|name| (OUTSIDE.to_owned(), name.clone())));
        Ok(self.cut.impose(ground, links, LinkState::Reset))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        match self.cut.since(ground).reset {
            0 => Err(Error::NoEffect("there was no connection to reset".to_owned())),
            reset => Ok(figures([("reset", reset)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}
