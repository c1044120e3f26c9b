//! What a list or a watch asks for, and how resourceVersion parameters say it.
//!
//! The tables are the contract's matrix. Does not: make the answers' texts.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Everything, Predicate, Revision, Scope};

/// How new an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Nothing that was acknowledged before the request is missing.
    MostRecent,
    /// Whatever is at hand.
    Any,
    /// At this revision or a later one.
    NotOlderThan(Revision),
    /// As it was at this revision.
    Exact(Revision),
}

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// `Exact`.
    Exact,
    /// `NotOlderThan`.
    NotOlderThan,
}

/// A combination of list parameters that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Meaningless {
    /// A match without a resourceVersion.
    #[error("resourceVersionMatch is forbidden unless resourceVersion is provided")]
    MatchAlone,
    /// A match with a continue token, which has its own revision.
    #[error("resourceVersionMatch is forbidden when continue is provided")]
    MatchWithContinue,
    /// A resourceVersion with a continue token, which has its own.
    #[error("specifying resource version is not allowed when using continue")]
    VersionWithContinue,
    /// Exactly 0, which is no revision.
    #[error("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"")]
    ExactlyZero,
}

impl At {
    /// For a get: `None` is an absent resourceVersion, and zero is "any".
    #[must_use]
    pub fn for_get(version: Option<Revision>) -> At {
        match version {
            None => At::MostRecent,
            Some(Revision::ZERO) => At::Any,
            Some(revision) => At::NotOlderThan(revision),
        }
    }

    /// For a list, whose token brings its own revision.
    ///
    /// # Errors
    /// [`Meaningless`].
    pub fn for_list(
        version: Option<Revision>,
        matching: Option<Match>,
        has_limit: bool,
        has_token: bool,
    ) -> Result<At, Meaningless> {
        if has_token {
            return match (version, matching) {
                (_, Some(_)) => Err(Meaningless::MatchWithContinue),
                (None | Some(Revision::ZERO), None) => Ok(At::MostRecent),
                (Some(_), None) => Err(Meaningless::VersionWithContinue),
            };
        }
        match (version, matching) {
            (None, Some(_)) => Err(Meaningless::MatchAlone),
            (None, None) => Ok(At::MostRecent),
            (Some(Revision::ZERO), Some(Match::Exact)) => Err(Meaningless::ExactlyZero),
            (Some(Revision::ZERO), _) => Ok(At::Any),
            (Some(revision), Some(Match::Exact)) => Ok(At::Exact(revision)),
            // Legacy: a limit has always meant "exactly" here.
            (Some(revision), None) if has_limit => Ok(At::Exact(revision)),
            (Some(revision), _) => Ok(At::NotOlderThan(revision)),
        }
    }
}

/// A list.
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// Where.
    pub scope: Scope,
    /// How new. Of no effect with a token.
    pub at: At,
    /// Objects in the answer; `None` for all. A cache that may answer with any state ignores it, as upstream's does.
    pub limit: Option<NonZeroUsize>,
    /// Where an earlier answer ended.
    pub continue_token: Option<String>,
    /// Which objects.
    pub predicate: Arc<dyn Predicate>,
}

impl ListOptions {
    /// All objects of a scope.
    #[must_use]
    pub fn new(scope: Scope, at: At) -> Self {
        ListOptions { scope, at, limit: None, continue_token: None, predicate: Arc::new(Everything) }
    }
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFrom {
    /// With the changes after this revision.
    After(Revision),
    /// With the state that is at hand, as objects added.
    Any,
    /// With the most recent state, as objects added.
    MostRecent,
}

/// A watch.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// Where.
    pub scope: Scope,
    /// From when.
    pub from: WatchFrom,
    /// Which objects. An object that enters the selection is added, one that leaves it is deleted.
    pub predicate: Arc<dyn Predicate>,
    /// Whether bookmarks are wanted: about one a minute, and one shortly before the deadline.
    pub bookmarks: bool,
    /// Begins with the current state, as objects added, and a bookmark that says where it ends and that is not older than
    /// `from`, whatever that is.
    pub initial_events: bool,
    /// When the caller will end the watch.
    pub deadline: Option<Instant>,
}

impl WatchOptions {
    /// All changes of a scope, without bookmarks.
    #[must_use]
    pub fn new(scope: Scope, from: WatchFrom) -> Self {
        let predicate = Arc::new(Everything);
        WatchOptions { scope, from, predicate, bookmarks: false, initial_events: false, deadline: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_follows_the_matrix() {
        assert_eq!(At::for_get(None), At::MostRecent);
        assert_eq!(At::for_get(Some(Revision::ZERO)), At::Any);
        assert_eq!(At::for_get(Some(Revision::new(7))), At::NotOlderThan(Revision::new(7)));
    }

    #[test]
    fn a_list_follows_the_matrix() {
        use Match::{Exact, NotOlderThan};
        let (zero, seven) = (Some(Revision::ZERO), Some(Revision::new(7)));
        let not_older = Ok(At::NotOlderThan(Revision::new(7)));
        let exactly = Ok(At::Exact(Revision::new(7)));
        // (resourceVersion, match) → without limit, with limit
        for (version, matching, all, page) in [
            (None, None, Ok(At::MostRecent), Ok(At::MostRecent)),
            (zero, None, Ok(At::Any), Ok(At::Any)),
            (seven, None, not_older, exactly),
            (None, Some(Exact), Err(Meaningless::MatchAlone), Err(Meaningless::MatchAlone)),
            (zero, Some(Exact), Err(Meaningless::ExactlyZero), Err(Meaningless::ExactlyZero)),
            (seven, Some(Exact), exactly, exactly),
            (None, Some(NotOlderThan), Err(Meaningless::MatchAlone), Err(Meaningless::MatchAlone)),
            (zero, Some(NotOlderThan), Ok(At::Any), Ok(At::Any)),
            (seven, Some(NotOlderThan), not_older, not_older),
        ] {
            assert_eq!(At::for_list(version, matching, false, false), all, "{version:?} {matching:?}");
            assert_eq!(At::for_list(version, matching, true, false), page, "{version:?} {matching:?} with limit");
        }
        for (version, matching, expected) in [
            (None, None, Ok(At::MostRecent)),
            (zero, None, Ok(At::MostRecent)),
            (seven, None, Err(Meaningless::VersionWithContinue)),
            (None, Some(Exact), Err(Meaningless::MatchWithContinue)),
        ] {
            assert_eq!(At::for_list(version, matching, true, true), expected, "{version:?} {matching:?} with token");
        }
    }
}
