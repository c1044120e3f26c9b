//! The state of every directed link, who imposed what on it, and who waits for it to change.
//!
//! Several faults may act on a link at once: each imposes a state under its own number and lifts it again, and the worst of
//! what is imposed is in force. A link that nobody has touched passes. Changing a link wakes all pumps on it at once. Each
//! link counts what it did to the bytes, so that a fault can show that it had an effect.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The name under which everything that is not a member of the cluster appears at an end of a link.
pub const OUTSIDE: &str = "outside";

/// Under which [`Links::set`] imposes; numbers of faults begin above it.
const BY_HAND: u64 = 0;

/// What happens to bytes on one directed link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Bytes pass.
    #[default]
    Pass,
    /// Bytes pass, each this much later; the rate stays.
    Delay(Duration),
    /// Bytes pass in order, each late by something between the two.
    Jitter(Duration, Duration),
    /// Bytes pass, at most so many a second on each connection.
    Rate(u32),
    /// Connections older than this carry nothing and are told nothing (no FIN, no RST); younger ones pass.
    HalfOpen(Instant),
    /// Bytes wait and connections cannot be opened: a network that drops every packet.
    Hold,
    /// Connections are closed by RST, new ones refused.
    Reset,
}

impl LinkState {
    /// Whether a new connection gets through, late or not.
    pub fn is_open(self) -> bool {
        !matches!(self, LinkState::Hold | LinkState::Reset)
    }

    /// What it means for a connection that was opened at `born`.
    pub(crate) fn of_connection(self, born: Instant) -> LinkState {
        match self {
            LinkState::HalfOpen(since) if born < since => LinkState::Hold,
            LinkState::HalfOpen(_) => LinkState::Pass,
            other => other,
        }
    }

    fn severity(self) -> u8 {
        match self {
            LinkState::Pass => 0,
            LinkState::Delay(_) => 1,
            LinkState::Jitter(..) => 2,
            LinkState::Rate(_) => 3,
            LinkState::HalfOpen(_) => 4,
            LinkState::Hold => 5,
            LinkState::Reset => 6,
        }
    }
}

/// What a link has done to bytes since the cluster was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes handed on.
    pub passed_bytes: u64,
    /// Times that a direction of a connection, or a dial, had to wait at a held link.
    pub held: u64,
    /// Chunks handed on late by a delay or a rate.
    pub late: u64,
    /// Connections reset, or refused by a reset.
    pub reset: u64,
}

impl Counts {
    /// What was added since `before`.
    #[must_use]
    pub fn since(self, before: Counts) -> Counts {
        Counts {
            passed_bytes: self.passed_bytes.saturating_sub(before.passed_bytes),
            held: self.held.saturating_sub(before.held),
            late: self.late.saturating_sub(before.late),
            reset: self.reset.saturating_sub(before.reset),
        }
    }

    fn plus(self, other: Counts) -> Counts {
        Counts {
            passed_bytes: self.passed_bytes + other.passed_bytes,
            held: self.held + other.held,
            late: self.late + other.late,
            reset: self.reset + other.reset,
        }
    }
}

/// The live counters of a link.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    passed_bytes: AtomicU64,
    held: AtomicU64,
    late: AtomicU64,
    reset: AtomicU64,
}

impl Meter {
    pub(crate) fn passed(&self, bytes: usize) {
        self.passed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn held(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.reset.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            passed_bytes: load(&self.passed_bytes),
            held: load(&self.held),
            late: load(&self.late),
            reset: load(&self.reset),
        }
    }
}

/// A link as a pump sees it.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    pub(crate) state: watch::Receiver<LinkState>,
    pub(crate) meter: Arc<Meter>,
}

#[derive(Debug)]
struct Link {
    state: watch::Sender<LinkState>,
    imposed: BTreeMap<u64, LinkState>,
    meter: Arc<Meter>,
}

impl Default for Link {
    fn default() -> Self {
        Link { state: watch::Sender::new(LinkState::Pass), imposed: BTreeMap::new(), meter: Arc::default() }
    }
}

impl Link {
    fn settle(&self) {
        let worst = self.imposed.values().copied().max_by_key(|state| state.severity()).unwrap_or_default();
        self.state.send_if_modified(|state| std::mem::replace(state, worst) != worst);
    }
}

type ByEnds = HashMap<(String, String), Link>;

/// All directed links of a cluster. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Links {
    by_ends: Arc<Mutex<ByEnds>>,
}

impl Links {
    /// Sets the link that carries bytes from `from` to `to`, beside what faults have imposed on it.
    pub fn set(&self, from: &str, to: &str, state: LinkState) {
        self.impose(BY_HAND, from, to, state);
    }

    /// Imposes a state on a link under the number of a fault, in place of what that fault had imposed on it.
    pub fn impose(&self, fault: u64, from: &str, to: &str, state: LinkState) {
        self.with(from, to, |link| {
            match state {
                LinkState::Pass => link.imposed.remove(&fault),
                _ => link.imposed.insert(fault, state),
            };
            link.settle();
        });
    }

    /// Takes back everything that a fault has imposed.
    pub fn lift(&self, fault: u64) {
        for link in self.by_ends.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            if link.imposed.remove(&fault).is_some() {
                link.settle();
            }
        }
    }

    /// Whether another fault does something worse to every link that this one acts on, so that this one cannot have an effect.
    pub fn is_masked(&self, fault: u64) -> bool {
        let links = self.by_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut on = links.values().filter_map(|link| Some((link, link.imposed.get(&fault)?))).peekable();
        on.peek().is_some() && on.all(|(link, own)| link.state.borrow().severity() > own.severity())
    }

    /// Whether none of the others hears this member.
    pub fn is_cut_off(&self, member: &str, others: &[String]) -> bool {
        others.iter().filter(|other| *other != member).all(|other| !self.get(member, other).is_open())
    }

    /// The present state of a link.
    pub fn get(&self, from: &str, to: &str) -> LinkState {
        self.with(from, to, |link| *link.state.borrow())
    }

    /// What links have done so far, all that `wanted` names by their ends together.
    pub fn counts(&self, wanted: impl Fn(&str, &str) -> bool) -> Counts {
        let links = self.by_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = links.iter().filter(|((from, to), _)| wanted(from, to));
        wanted.fold(Counts::default(), |sum, (_, link)| sum.plus(link.meter.read()))
    }

    /// Lets every link pass again, those to and from [`OUTSIDE`] included, whoever imposed what.
    pub fn heal(&self) {
        for link in self.by_ends.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            link.imposed.clear();
            link.settle();
        }
    }

    /// Links that do not pass, as (from, to, state), sorted.
    pub fn faults(&self) -> Vec<(String, String, LinkState)> {
        let links = self.by_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults: Vec<_> = links
            .iter()
            .map(|((from, to), link)| (from.clone(), to.clone(), *link.state.borrow()))
            .filter(|(_, _, state)| *state != LinkState::Pass)
            .collect();
        faults.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        faults
    }

    pub(crate) fn tap(&self, from: &str, to: &str) -> Tap {
        self.with(from, to, |link| Tap { state: link.state.subscribe(), meter: Arc::clone(&link.meter) })
    }

    fn with<T>(&self, from: &str, to: &str, f: impl FnOnce(&mut Link) -> T) -> T {
        let mut links = self.by_ends.lock().unwrap_or_else(PoisonError::into_inner);
        f(links.entry((from.to_owned(), to.to_owned())).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_masked_while_all_its_links_are_under_a_worse_one() {
        let links = Links::default();
        assert!(!links.is_masked(1), "it acts on none");
        let late = LinkState::Delay(Duration::from_millis(5));
        links.impose(1, "n1", "n2", late);
        links.impose(1, "n2", "n1", late);
        links.impose(2, "n1", "n2", LinkState::Hold);
        links.impose(3, "n2", "n1", late);
        assert!(!links.is_masked(1), "the other way it acts");
        links.impose(2, "n2", "n1", LinkState::Hold);
        assert!(links.is_masked(1) && !links.is_masked(2));
        links.lift(2);
        assert!(!links.is_masked(1));
        links.impose(4, "n1", "n2", LinkState::Hold);
        let others = ["n1", "n2", "n3"].map(str::to_owned);
        assert!(!links.is_cut_off("n1", &others), "n3 hears it");
        links.impose(4, "n1", "n3", LinkState::Hold);
        assert!(links.is_cut_off("n1", &others) && !links.is_cut_off("n2", &others));
    }

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

    #[test]
    fn the_worst_of_what_is_imposed_is_in_force_and_lifting_one_fault_leaves_the_other() {
        let links = Links::default();
        let delay = LinkState::Delay(Duration::from_millis(5));
        links.impose(1, "n1", "n2", LinkState::Hold);
        links.impose(2, "n1", "n2", delay);
        assert_eq!(links.get("n1", "n2"), LinkState::Hold);
        links.lift(1);
        assert_eq!(links.get("n1", "n2"), delay);
        links.lift(2);
        assert_eq!(links.get("n1", "n2"), LinkState::Pass);
    }
}
