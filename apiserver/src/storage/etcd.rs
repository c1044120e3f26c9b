//! Storage's backend on any etcd v3 store.
//!
//! Speaks plain etcd v3 only, so that a real etcd can stand in for our store. A write is one transaction: compare the key's
//! mod_revision, then write or read back.
//! Does not: retry a write; start compactions by itself ([`super::compactor`]).
//! Source: apiserver `storage/etcd3/store.go`, `storage/feature/feature_support_checker.go`.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use fairlead_client::etcd::mvccpb::event::EventType;
use fairlead_client::etcd::pb::compare::{CompareResult, CompareTarget, TargetUnion};
use fairlead_client::etcd::pb::request_op::Request;
use fairlead_client::etcd::pb::response_op::Response;
use fairlead_client::etcd::{self, Client, WatchOptions, mvccpb, pb};
use tokio::time::Instant;

use super::backend::{Backend, BackendWatch, Range, Ranged, RawChange, Swapped, Update, Write};
use super::lease::{Lease, LeasePool};
use super::{Error, Key, Record, Revision, Scope};

/// etcd's words, which are part of its contract.
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";
const TOO_LARGE: &str = "etcdserver: request is too large";
/// A lease may expire, or be revoked by somebody, between its grant and its use.
const LEASE_NOT_FOUND: &str = "etcdserver: requested lease not found";

/// An etcd v3 store.
#[derive(Debug)]
pub struct Etcd {
    client: Client,
    leases: Mutex<LeasePool>,
    /// What the members' versions say of progress, once all have been asked.
    is_progress_trusted: OnceLock<bool>,
}

impl Etcd {
    /// The store behind this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Etcd { client, leases: Mutex::default(), is_progress_trusted: OnceLock::new() }
    }

    /// Reads after a refusal, so that the caller learns how far the store is.
    async fn too_large(&self, requested: Revision) -> Error {
        match self.revision().await {
            Ok(current) => Error::TooLargeRevision { requested, current },
            Err(error) => error,
        }
    }

    async fn lease(&self, ttl: Duration) -> Result<i64, Error> {
        let asked = Instant::now();
        let ttl = match self.pool().take(asked, ttl) {
            Lease::Reuse(id) => return Ok(id),
            Lease::Grant(ttl) => ttl,
        };
        // An unknown outcome leaves at worst a lease that nothing hangs on.
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).max(1);
        let granted = self.client.lease_grant(seconds, 0).await.map_err(Error::unavailable)?;
        self.pool().granted(granted.id, asked, ttl);
        Ok(granted.id)
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, LeasePool> {
        self.leases.lock().expect("nothing panics under this lock")
    }

    async fn write(&self, key: &Key, write: Write) -> Result<Request, Error> {
        let key = key.as_str().to_owned().into();
        Ok(match write {
            Write::Delete => Request::RequestDeleteRange(pb::DeleteRangeRequest { key, ..Default::default() }),
            Write::Put { value, ttl } => {
                let lease = match ttl {
                    None => 0,
                    Some(ttl) => self.lease(ttl).await?,
                };
                Request::RequestPut(pb::PutRequest { key, value, lease, ..Default::default() })
            }
        })
    }
}

#[async_trait]
impl Backend for Etcd {
    async fn range(&self, range: Range<'_>) -> Result<Ranged, Error> {
        let request = pb::RangeRequest {
            key: range.start.unwrap_or(range.scope.as_str()).to_owned().into(),
            range_end: range.scope.end().into(),
            limit: range.limit.map_or(0, |limit| i64::try_from(limit).unwrap_or(i64::MAX)),
            revision: range.revision.map_or(0, Revision::to_wire),
            ..Default::default()
        };
        let requested = range.revision.unwrap_or_default();
        let response = match self.client.range(request).await {
            Ok(response) => response,
            Err(error) if error.message() == FUTURE => return Err(self.too_large(requested).await),
            Err(error) => return Err(read_error(error, requested)),
        };
        let records: Result<_, _> = response.kvs.into_iter().map(record).collect();
        Ok(Ranged {
            records: records?,
            count: usize::try_from(response.count).unwrap_or_default(),
            revision: header_revision(response.header),
        })
    }

    async fn count(&self, scope: &Scope) -> Result<usize, Error> {
        let request = pb::RangeRequest {
            key: scope.as_str().to_owned().into(),
            range_end: scope.end().into(),
            count_only: true,
            ..Default::default()
        };
        let response = self.client.range(request).await.map_err(|error| read_error(error, Revision::ZERO))?;
        Ok(usize::try_from(response.count).unwrap_or_default())
    }

    async fn swap(&self, key: &Key, expected: Option<Revision>, write: Write) -> Result<Swapped<Record>, Error> {
        let compare = pb::Compare {
            key: key.as_str().to_owned().into(),
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            target_union: Some(TargetUnion::ModRevision(expected.map_or(0, Revision::to_wire))),
            ..Default::default()
        };
        let read = pb::RangeRequest { key: compare.key.clone(), ..Default::default() };
        let op = |request| vec![pb::RequestOp { request: Some(request) }];
        let txn = pb::TxnRequest {
            compare: vec![compare],
            success: op(self.write(key, write).await?),
            failure: op(Request::RequestRange(read)),
        };
        let response = self.client.txn(txn).await.map_err(|error| {
            if error.message() == LEASE_NOT_FOUND {
                *self.pool() = LeasePool::default();
            }
            write_error(error)
        })?;
        if response.succeeded {
            return Ok(Swapped::Done(header_revision(response.header)));
        }
        match response.responses.into_iter().next().and_then(|op| op.response) {
            Some(Response::ResponseRange(range)) => {
                Ok(Swapped::Lost(range.kvs.into_iter().next().map(record).transpose()?))
            }
            _ => Err(Error::unavailable("a transaction's answer lacks what was read")),
        }
    }

    fn watch(&self, scope: &Scope, from: Revision) -> Box<dyn BackendWatch> {
        let (key, range_end) = (scope.as_str().to_owned().into(), scope.end().into());
        let options = WatchOptions::new(pb::WatchCreateRequest { key, range_end, ..Default::default() });
        Box::new(EtcdWatch(self.client.watch(options.from(from.to_wire()).with_previous())))
    }

    async fn revision(&self) -> Result<Revision, Error> {
        // A key that nobody has: the header is all.
        let response = self.client.range(etcd::kv::key("\0")).await;
        response.map(|response| header_revision(response.header)).map_err(|error| read_error(error, Revision::ZERO))
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        let request = pb::CompactionRequest { revision: revision.to_wire(), physical: false };
        match self.client.compact(request).await {
            Ok(_) => Ok(()),
            Err(error) if error.message() == COMPACTED => Err(expired(revision, None)),
            Err(error) if error.message() == FUTURE => Err(self.too_large(revision).await),
            Err(error) => Err(write_error(error)),
        }
    }

    async fn is_progress_trusted(&self) -> bool {
        if let Some(known) = self.is_progress_trusted.get() {
            return *known;
        }
        for endpoint in self.client.endpoints() {
            let only = self.client.only(endpoint).expect("it is one of the client's");
            match only.status().await {
                Ok(status) if reports_progress_in_order(&status.version) => {}
                Ok(status) => {
                    tracing::info!(
                        endpoint,
                        status.version,
                        "progress cannot be trusted: consistent reads go to the store"
                    );
                    return *self.is_progress_trusted.get_or_init(|| false);
                }
                // It may be of any version: asked again next time.
                Err(error) => {
                    tracing::warn!(endpoint, %error, "version of a store's member is not known");
                    return false;
                }
            }
        }
        *self.is_progress_trusted.get_or_init(|| true)
    }
}

/// A watch of an etcd v3 store.
struct EtcdWatch(etcd::Watch);

#[async_trait]
impl BackendWatch for EtcdWatch {
    async fn next(&mut self) -> Result<Update, Error> {
        let from = Revision::from_wire(self.0.next_revision());
        match self.0.next().await.map_err(|error| read_error(error, from))? {
            etcd::Update::Progress { revision } => Ok(Update::Progress(Revision::from_wire(revision))),
            etcd::Update::Events { events, .. } => {
                Ok(Update::Changes(events.into_iter().map(change).collect::<Result<_, _>>()?))
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), Error> {
        let from = Revision::from_wire(self.0.next_revision());
        self.0.request_progress().await.map_err(|error| read_error(error, from))
    }
}

/// Below these, etcd may report progress ahead of events (etcd issues 15220, 17507).
fn reports_progress_in_order(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or_default());
    let mut number = || numbers.next().unwrap_or_default();
    match (number(), number(), number()) {
        (3, 4, patch) => patch >= 31,
        (3, 5, patch) => patch >= 13,
        version => version >= (3, 6, 0),
    }
}

fn change(event: mvccpb::Event) -> Result<RawChange, Error> {
    let is_delete = event.r#type == EventType::Delete as i32;
    let kv = event.kv.ok_or_else(|| Error::unavailable("an event has no key"))?;
    let created = !is_delete && kv.create_revision == kv.mod_revision;
    let previous = event.prev_kv.map(record).transpose()?;
    let Record { key, revision, value } = record(kv)?;
    Ok(RawChange { key, revision, value: (!is_delete).then_some(value), previous, created })
}

fn record(kv: mvccpb::KeyValue) -> Result<Record, Error> {
    let key = std::str::from_utf8(&kv.key).map_err(Error::unavailable)?;
    Ok(Record { key: Key::new(key), revision: Revision::from_wire(kv.mod_revision), value: kv.value })
}

fn header_revision(header: Option<pb::ResponseHeader>) -> Revision {
    Revision::from_wire(header.map_or(0, |header| header.revision))
}

fn expired(requested: Revision, compacted: Option<Revision>) -> Error {
    Error::Expired { requested, compacted, continue_token: None }
}

fn read_error(error: etcd::Error, requested: Revision) -> Error {
    match &error {
        etcd::Error::Compacted { compact_revision } => expired(requested, Some(Revision::from_wire(*compact_revision))),
        _ if error.message() == COMPACTED => expired(requested, None),
        _ => Error::unavailable(error),
    }
}

fn write_error(error: etcd::Error) -> Error {
    match &error {
        _ if error.message() == TOO_LARGE => Error::RequestTooLarge,
        _ if error.is_outcome_unknown() => Error::OutcomeUnknown { source: std::sync::Arc::new(error.into()) },
        _ => Error::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_trusted_from_the_releases_on_that_have_it_in_order() {
        for (version, trusted) in [
            ("3.4.23", false),
            ("3.4.31", true),
            ("3.5.0", false),
            ("3.5.12", false),
            ("3.5.13", true),
            ("3.6.0-rc.1", true),
            ("3.7.1", true),
            ("4.0.0", true),
            ("3.3.27", false),
            ("", false),
        ] {
            assert_eq!(reports_progress_in_order(version), trusted, "{version}");
        }
    }

    #[test]
    fn a_change_tells_creation_from_update_and_deletion() {
        let kv = |create, modified, value: &'static str| mvccpb::KeyValue {
            key: "k".into(),
            create_revision: create,
            mod_revision: modified,
            value: value.into(),
            ..Default::default()
        };
        let event = |kind: EventType, kv, prev_kv| mvccpb::Event { r#type: kind as i32, kv: Some(kv), prev_kv };
        let created = change(event(EventType::Put, kv(2, 2, "a"), None)).unwrap();
        assert!(created.created && created.value.is_some() && created.previous.is_none());
        let updated = change(event(EventType::Put, kv(2, 3, ""), Some(kv(2, 2, "a")))).unwrap();
        assert_eq!((updated.created, updated.value.as_deref()), (false, Some(&b""[..])), "an empty value is a value");
        assert_eq!(updated.previous.unwrap().revision, Revision::new(2));
        let deleted = change(event(EventType::Delete, kv(0, 4, ""), Some(kv(2, 3, "b")))).unwrap();
        assert_eq!((deleted.created, deleted.value, deleted.revision), (false, None, Revision::new(4)));
    }
}
