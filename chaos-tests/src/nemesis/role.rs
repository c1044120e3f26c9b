//! Who a fault is meant for, and which members that is now.

use serde::{Deserialize, Serialize};

/// A part that members play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Whoever leads.
    Leader,
    /// One that does not lead: the so-many-th, counted round.
    Follower(u8),
    /// As many as a cluster can do without, the leader among them.
    Minority,
    /// Just enough for a quorum, without the leader where that is possible.
    Majority,
    /// Everybody.
    All,
}

impl Role {
    /// The members, of those that are `up` in a cluster of `all`; the leader is one of them, or unknown.
    pub(crate) fn resolve(self, all: &[String], up: &[String], leader: Option<&str>) -> Vec<String> {
        let is_leader = |name: &&String| leader == Some(name.as_str());
        let leader_first: Vec<&String> =
            up.iter().filter(is_leader).chain(up.iter().filter(|name| !is_leader(name))).collect();
        let followers: Vec<&String> = up.iter().filter(|name| !is_leader(name)).collect();
        let chosen: Vec<&String> = match self {
            Role::Leader => leader_first.into_iter().take(1).collect(),
            Role::Follower(number) => {
                followers.get(usize::from(number) % followers.len().max(1)).copied().into_iter().collect()
            }
            Role::Minority => leader_first.into_iter().take(all.len().saturating_sub(1) / 2).collect(),
            Role::Majority => {
                followers.into_iter().chain(up.iter().filter(is_leader)).take(all.len() / 2 + 1).collect()
            }
            Role::All => up.iter().collect(),
        };
        chosen.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_played_by_those_that_are_up() {
        let all: Vec<String> = (1..=5).map(|n| format!("n{n}")).collect();
        let resolve = |role: Role| role.resolve(&all, &all, Some("n3")).join(" ");
        assert_eq!(resolve(Role::Leader), "n3");
        assert_eq!(resolve(Role::Follower(5)), "n2");
        assert_eq!(resolve(Role::Minority), "n3 n1");
        assert_eq!(resolve(Role::Majority), "n1 n2 n4");
        assert_eq!(resolve(Role::All).len(), 14);
        assert_eq!(Role::Follower(0).resolve(&all, &all[1..], Some("n3")), ["n2"]);
        assert!(Role::Follower(0).resolve(&all[..1], &all[..1], Some("n1")).is_empty());
    }
}
