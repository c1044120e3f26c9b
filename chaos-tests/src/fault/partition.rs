//! F-20: the members and the rest do not hear each other; and what all cuts have in common.

use super::{Error, Fault, Ground, figures};
use crate::cluster::proxy::{Counts, LinkState};
use crate::history::Figures;

/// Directed links under one state, imposed and lifted together.
pub(super) struct Cut {
    number: u64,
    links: Vec<(String, String)>,
    before: Counts,
}

impl Cut {
    pub(super) fn new(number: u64) -> Cut {
        Cut { number, links: Vec::new(), before: Counts::default() }
    }

    /// Imposes a state on links.
    pub(super) fn impose(&mut self, ground: &Ground, links: Vec<(String, String)>, state: LinkState) -> Figures {
        self.links = links;
        self.before = self.counts(ground, Counts::default());
        for (from, to) in &self.links {
            ground.cluster.links().impose(self.number, from, to, state);
        }
        figures([("links", self.links.len() as u64)])
    }

    /// What the links have done since.
    pub(super) fn since(&self, ground: &Ground) -> Counts {
        self.counts(ground, self.before)
    }

    pub(super) fn lift(&mut self, ground: &Ground) {
        ground.cluster.links().lift(self.number);
    }

    /// What a held link shows: somebody had to wait.
    pub(super) fn held(&self, ground: &Ground) -> Result<Figures, Error> {
        let since = self.since(ground);
        match since.held {
            0 => Err(Error::NoEffect("nobody waited at the links that were held".to_owned())),
            held => Ok(figures([("held", held), ("passed_bytes", since.passed_bytes)])),
        }
    }

    fn counts(&self, ground: &Ground, before: Counts) -> Counts {
        let ours = |from: &str, to: &str| self.links.iter().any(|(f, t)| f == from && t == to);
        ground.cluster.links().counts(ours).since(before)
    }
}

/// Directed links from every member in one set to every one outside of it.
pub(super) fn outward(ground: &Ground, on: &[String]) -> Vec<(String, String)> {
    let others: Vec<String> = ground.names().into_iter().filter(|name| !on.contains(name)).collect();
    on.iter().flat_map(|from| others.iter().map(move |to| (from.clone(), to.clone()))).collect()
}

/// The same links the other way round.
pub(super) fn turned(links: &[(String, String)]) -> Vec<(String, String)> {
    links.iter().map(|(from, to)| (to.clone(), from.clone())).collect()
}

/// Both directions between a set and the rest.
pub(super) fn between(ground: &Ground, on: &[String]) -> Vec<(String, String)> {
    let mut links = outward(ground, on);
    links.extend(turned(&links));
    links
}

pub(super) struct Partition {
    cut: Cut,
}

impl Partition {
    pub(super) fn new(number: u64) -> Partition {
        Partition { cut: Cut::new(number) }
    }
}

#[tonic::async_trait]
impl Fault for Partition {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        Ok(self.cut.impose(ground, between(ground, on), LinkState::Hold))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.held(ground)
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}
