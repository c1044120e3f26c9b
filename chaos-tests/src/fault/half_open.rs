//! F-25: the connections of a member's clients fall silent, with no FIN and no RST; new ones pass.

use tokio::time::Instant;

use super::partition::Cut;
use super::{Error, Fault, Ground};
use crate::cluster::proxy::{LinkState, OUTSIDE};
use crate::history::Figures;

pub(super) struct HalfOpen {
    cut: Cut,
    on: Vec<String>,
}

impl HalfOpen {
    pub(super) fn new(number: u64) -> HalfOpen {
        HalfOpen { cut: Cut::new(number), on: Vec::new() }
    }
}

#[tonic::async_trait]
impl Fault for HalfOpen {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        self.on = on.to_vec();
        let ends = |name: &String| [(OUTSIDE.to_owned(), name.clone()), (name.clone(), OUTSIDE.to_owned())];
        let links = on.iter().flat_map(ends).collect();
        Ok(self.cut.impose(ground, links, LinkState::HalfOpen(Instant::now())))
    }

    /// Where another fault has ended the connections before anybody waited at one, those of now fall silent instead.
    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        let held = self.cut.held(ground);
        if held.is_err() {
            let on = self.on.clone();
            self.apply(ground, &on).await?;
        }
        held
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}
