//! F-30: a connection between a member and the others carries no more than so many bytes a second.

use super::partition::{Cut, between};
use super::{Error, Fault, Ground, figures};
use crate::cluster::proxy::LinkState;
use crate::history::Figures;

pub(super) struct Bandwidth {
    cut: Cut,
    bytes_per_second: u32,
}

impl Bandwidth {
    pub(super) fn new(number: u64, bytes_per_second: u32) -> Bandwidth {
        Bandwidth { cut: Cut::new(number), bytes_per_second }
    }
}

#[tonic::async_trait]
impl Fault for Bandwidth {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        Ok(self.cut.impose(ground, between(ground, on), LinkState::Rate(self.bytes_per_second)))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let since = self.cut.since(ground);
        match since.late {
            0 => Err(Error::NoEffect("nothing had to wait for the rate".to_owned())),
            late => Ok(figures([("late", late), ("passed_bytes", since.passed_bytes)])),
        }
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}
