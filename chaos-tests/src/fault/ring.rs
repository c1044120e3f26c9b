//! F-22: no two members see the same majority. Of three, the leader and one follower do not hear each other while both hear
//! the third (Cloudflare 2020); of five, each hears its two neighbours in a ring.

use super::partition::Cut;
use super::{Error, Fault, Ground};
use crate::cluster::proxy::LinkState;
use crate::history::Figures;

pub(super) struct Ring {
    cut: Cut,
}

impl Ring {
    pub(super) fn new(number: u64) -> Ring {
        Ring { cut: Cut::new(number) }
    }
}

/// Directed links that are cut; `first` is where the ring begins, the leader.
fn links(names: &[String], first: usize) -> Vec<(String, String)> {
    let count = names.len();
    // Neighbours on either side that make a majority with oneself.
    let reach = count / 4 + usize::from(count % 4 >= 2);
    let mut links = Vec::new();
    for (at, from) in names.iter().enumerate() {
        for (other, to) in names.iter().enumerate().filter(|(other, _)| *other != at) {
            let steps = at.abs_diff(other);
            let apart = match count {
                // A ring of three is whole: the one link that is missing is the leader's to the next.
                3 => [at, other].contains(&first) && [at, other].contains(&((first + 1) % 3)),
                _ => steps.min(count - steps) > reach,
            };
            if apart {
                links.push((from.clone(), to.clone()));
            }
        }
    }
    links
}

#[tonic::async_trait]
impl Fault for Ring {
    async fn apply(&mut self, ground: &Ground, on: &[String]) -> Result<Figures, Error> {
        let names = ground.names();
        let first = on.first().and_then(|leader| names.iter().position(|name| name == leader)).unwrap_or(0);
        Ok(self.cut.impose(ground, links(&names, first), LinkState::Hold))
    }

    async fn witness(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.held(ground)
    }

    async fn heal(&mut self, ground: &Ground) -> Result<Figures, Error> {
        self.cut.lift(ground);
        Ok(Figures::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_three_one_link_is_missing_and_of_five_each_sees_another_majority() {
        let names = |count: usize| (1..=count).map(|n| format!("n{n}")).collect::<Vec<_>>();
        let mut three = links(&names(3), 2);
        three.sort();
        assert_eq!(three, [("n1".into(), "n3".into()), ("n3".into(), "n1".into())]);
        let five = links(&names(5), 0);
        for name in names(5) {
            let heard = 4 - five.iter().filter(|(from, _)| *from == name).count();
            assert_eq!(heard, 2, "{name} with itself is a majority");
        }
    }
}
