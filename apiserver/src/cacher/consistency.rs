//! Who answers a read: the cache, the cache once it is new enough, or the store. Pure.
//!
//! | | progress trusted | not trusted |
//! |---|---|---|
//! | any | cache | cache |
//! | not older than N | cache, once it is there | the same if it is there, else the store |
//! | most recent, list | cache, once it has the store's revision | store |
//! | most recent, get | store: one read either way | store |
//! | exact, continued | store | store |
//!
//! Source: apiserver `storage/cacher/delegator.go`.

use crate::storage::{At, Revision};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Store,
    Cache,
    /// Once it has reached this revision.
    CacheFrom(Revision),
    /// Once it has reached the revision that the store has now.
    CacheUpToDate,
}

/// Whether a list is the store's matter, whatever the cache has.
pub(crate) fn is_for_the_store(at: At, has_token: bool) -> bool {
    has_token || matches!(at, At::Exact(_))
}

/// What a list without a token is answered from.
pub(crate) fn for_list(at: At, cached: Revision, is_progress_trusted: bool) -> Source {
    match at {
        At::Exact(_) => Source::Store,
        At::Any => Source::Cache,
        At::NotOlderThan(revision) if is_progress_trusted || cached >= revision => Source::CacheFrom(revision),
        At::MostRecent if is_progress_trusted => Source::CacheUpToDate,
        At::NotOlderThan(_) | At::MostRecent => Source::Store,
    }
}

/// What a get is answered from.
pub(crate) fn for_get(at: At, cached: Revision, is_progress_trusted: bool) -> Source {
    match at {
        At::MostRecent => Source::Store,
        at => for_list(at, cached, is_progress_trusted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_answered_by_whoever_can_keep_their_promise() {
        let [five, nine] = [5, 9].map(Revision::new);
        // with the cache at 7: how new → where progress is trusted, where not
        for (at, trusted, untrusted) in [
            (At::Any, Source::Cache, Source::Cache),
            (At::NotOlderThan(five), Source::CacheFrom(five), Source::CacheFrom(five)),
            (At::NotOlderThan(nine), Source::CacheFrom(nine), Source::Store),
            (At::MostRecent, Source::CacheUpToDate, Source::Store),
            (At::Exact(five), Source::Store, Source::Store),
        ] {
            for (is_trusted, expected) in [(true, trusted), (false, untrusted)] {
                assert_eq!(for_list(at, Revision::new(7), is_trusted), expected, "{at:?} {is_trusted}");
            }
            assert_eq!(is_for_the_store(at, false), matches!(at, At::Exact(_)));
            assert!(is_for_the_store(at, true), "a page goes on where the list began");
        }
        assert_eq!(for_get(At::MostRecent, nine, true), Source::Store);
        assert_eq!(for_get(At::NotOlderThan(nine), five, true), Source::CacheFrom(nine));
    }
}
