//! Lists from the store: page by page, all at one revision, until there is enough or nothing left.
//!
//! A selector may select little, so that one page of the answer takes many of the store: these grow, since asking ten
//! thousand times for a few keys costs more than reading some in vain.
//! Source: apiserver `storage/etcd3/store.go` (`GetList`).

use std::sync::Arc;

use super::backend::{Backend, Range, Ranged};
use super::{At, Codec, ContinueToken, Error, List, ListOptions, Object, Revision, decode};

/// Records asked for at a time at most, as upstream's.
const PAGE_RECORDS_MAX: usize = 10_000;

/// Lists as the options say.
///
/// # Errors
/// As [`super::Storage::list`].
pub(crate) async fn list(backend: &dyn Backend, codec: &dyn Codec, options: &ListOptions) -> Result<List, Error> {
    let mut paging = Paging::begin(options)?;
    loop {
        let ranged = backend.range(paging.range()).await;
        let ranged = ranged.map_err(|error| paging.with_token(error))?;
        if let Some(list) = paging.take(codec, &ranged)? {
            return Ok(list);
        }
    }
}

/// A list under way. Pure: pages come in, the list comes out.
struct Paging<'a> {
    options: &'a ListOptions,
    limit: usize,
    /// Records to ask for next.
    page: usize,
    start: Option<String>,
    /// The list's revision, once it is known.
    revision: Option<Revision>,
    has_token: bool,
    objects: Vec<Arc<Object>>,
}

impl<'a> Paging<'a> {
    fn begin(options: &'a ListOptions) -> Result<Self, Error> {
        let token = options.continue_token.as_deref().map(|token| ContinueToken::decode(token, &options.scope));
        let token = token.transpose()?;
        let limit = options.limit.map_or(usize::MAX, Into::into);
        let revision = match (&token, options.at) {
            (Some(token), _) => token.revision,
            (None, At::Exact(revision)) => Some(revision),
            (None, At::MostRecent | At::Any | At::NotOlderThan(_)) => None,
        };
        Ok(Paging {
            options,
            limit,
            page: limit.min(PAGE_RECORDS_MAX),
            has_token: token.is_some(),
            start: token.map(|token| token.start),
            revision,
            objects: Vec::new(),
        })
    }

    fn range(&self) -> Range<'_> {
        let start = self.start.as_deref();
        Range { scope: &self.options.scope, start, limit: Some(self.page), revision: self.revision }
    }

    /// A page; returns the list when it is complete.
    fn take(&mut self, codec: &dyn Codec, ranged: &Ranged) -> Result<Option<List>, Error> {
        if let (At::NotOlderThan(requested), false) = (self.options.at, self.has_token)
            && ranged.revision < requested
        {
            return Err(Error::TooLargeRevision { requested, current: ranged.revision });
        }
        let revision = *self.revision.get_or_insert(ranged.revision);
        self.objects.reserve(ranged.records.len().min(self.limit));
        let mut examined = 0;
        for record in &ranged.records {
            if self.objects.len() == self.limit {
                break;
            }
            examined += 1;
            let object = decode(codec, record).map_err(Error::Undecodable)?;
            if self.options.predicate.matches(&object.attributes) {
                self.objects.push(object);
            }
        }
        let left = ranged.count.saturating_sub(examined);
        let last = examined.checked_sub(1).map(|last| ranged.records[last].key.as_str());
        match last {
            Some(last) if left > 0 => {
                let token = ContinueToken::after(last, Some(revision));
                if self.objects.len() < self.limit {
                    self.start = Some(token.start);
                    self.page = (self.page * 2).min(PAGE_RECORDS_MAX);
                    return Ok(None);
                }
                let token = token.encode(&self.options.scope);
                let remaining = self.options.predicate.is_everything().then_some(left);
                Ok(Some(self.list(revision, Some(token), remaining)))
            }
            _ => Ok(Some(self.list(revision, None, None))),
        }
    }

    fn list(&mut self, revision: Revision, continue_token: Option<String>, remaining: Option<usize>) -> List {
        List { objects: std::mem::take(&mut self.objects), revision, continue_token, remaining }
    }

    /// A list that was promised a next page gets it even when its revision is gone, if it wants it so.
    fn with_token(&self, error: Error) -> Error {
        match (error, &self.start) {
            (Error::Expired { requested, compacted, .. }, Some(start)) if self.has_token => {
                let token = ContinueToken { revision: None, start: start.clone() }.encode(&self.options.scope);
                Error::Expired { requested, compacted, continue_token: Some(token) }
            }
            (error, _) => error,
        }
    }
}
