//! The state of every directed link, and who waits for it to change.
//!
//! A link that nobody has touched passes. Changing a link wakes all pumps on it at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// The name under which everything that is not a member of the cluster appears at an end of a link.
pub const OUTSIDE: &str = "outside";

/// What happens to bytes on one directed link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Bytes pass.
    #[default]
    Pass,
    /// Bytes pass, each this much later; the rate stays.
    Delay(Duration),
    /// Bytes wait and connections cannot be opened: a network that drops every packet.
    Hold,
    /// Connections are closed by RST, new ones refused.
    Reset,
}

impl LinkState {
    /// Whether bytes get through, late or not.
    pub fn is_open(self) -> bool {
        matches!(self, LinkState::Pass | LinkState::Delay(_))
    }
}

type ByEnds = HashMap<(String, String), watch::Sender<LinkState>>;

/// All directed links of a cluster. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Links {
    by_ends: Arc<Mutex<ByEnds>>,
}

impl Links {
    /// Sets the link that carries bytes from `from` to `to`.
    pub fn set(&self, from: &str, to: &str, state: LinkState) {
        self.with(from, to, |link| {
            link.send_replace(state);
        });
    }

    /// The present state of a link.
    pub fn get(&self, from: &str, to: &str) -> LinkState {
        self.with(from, to, |link| *link.borrow())
    }

    /// Lets every link pass again, those to and from [`OUTSIDE`] included.
    pub fn heal(&self) {
        let links = self.by_ends.lock().unwrap_or_else(PoisonError::into_inner);
        for link in links.values() {
            link.send_replace(LinkState::Pass);
        }
    }

    /// Links that do not pass, as (from, to, state), sorted.
    pub fn faults(&self) -> Vec<(String, String, LinkState)> {
        let links = self.by_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults: Vec<_> = links
            .iter()
            .map(|((from, to), link)| (from.clone(), to.clone(), *link.borrow()))
            .filter(|(_, _, state)| *state != LinkState::Pass)
            .collect();
        faults.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        faults
    }

    pub(crate) fn subscribe(&self, from: &str, to: &str) -> watch::Receiver<LinkState> {
        self.with(from, to, watch::Sender::subscribe)
    }

    fn with<T>(&self, from: &str, to: &str, f: impl FnOnce(&watch::Sender<LinkState>) -> T) -> T {
        let mut links = self.by_ends.lock().unwrap_or_else(PoisonError::into_inner);
        f(links.entry((from.to_owned(), to.to_owned())).or_insert_with(|| watch::Sender::new(LinkState::Pass)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heal_opens_every_link_and_faults_lists_the_broken_ones() {
        let links = Links::default();
        links.set("n1", "n2", LinkState::Hold);
        links.set("n2", "n1", LinkState::Delay(Duration::from_millis(5)));
        assert_eq!(links.faults().len(), 2);
        assert!(links.get("n2", "n1").is_open());
        assert!(!links.get("n1", "n2").is_open());
        links.heal();
        assert!(links.faults().is_empty());
    }
}
