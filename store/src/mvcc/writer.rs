//! The writer: the single hand that changes the store, one group at a time.
//!
//! A group is everything that one log entry (or several) asks for, command by command, each its own revision, and reaches the
//! engine as one batch with whatever apply adds to it. Commands see what earlier ones of the group did.
//! Promises: the outcome is a function of the log alone, whatever is cached here and however far removal of compacted rows
//! has come on this member. A refused command changes nothing.
//! Does not: wait for anybody but the engine's write.
//! Source: etcd `server/storage/mvcc/kvstore_txn.go`, `server/etcdserver/txn/{put,delete,txn}.go`.

use std::cell::OnceCell;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use fairlead_proto::encoded;
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_proto::served::etcdserverpb::request_op::Request;
use fairlead_proto::served::etcdserverpb::response_op::Response;

use super::error::Error;
use super::fence::{Fenced, count_change};
use super::header_cache::HeaderCache;
use super::key_range::KeyRange;
use super::overlay::{Overlaid, Overlay};
use super::record::KeyValue;
use super::revision::{FIRST_REVISION, State};
use super::size::Account;
use super::store::{Published, Shared};
use super::txn;
use super::view::View;
use crate::apply::Refusal;
use crate::engine::{self, Batch, Engine, Family, Op, Snapshot, schema};
use crate::planted::{self, Bug};
use crate::watch::{Event, RevisionEvents};

/// A command's answer, or why it changed nothing; the outer error ends the process.
pub type Answer<T> = Result<Result<T, Refusal>, Error>;

/// The single writer's half of the store, owned by apply.
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) state: State,
    pub(crate) headers: HeaderCache,
}

impl Writer {
    /// Begins a group. One dropped without a commit leaves no trace.
    pub fn begin(&mut self) -> Group<'_> {
        Group {
            shared: &self.shared,
            engine: &*self.engine,
            _hold: self.shared.published(),
            snapshot: OnceCell::new(),
            committed: &mut self.state,
            headers: &mut self.headers,
            headers_are_ahead: false,
            group: Changes::default(),
        }
        .started()
    }

    /// The revision after the last commit.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.state.revision
    }
}

/// What a group has done so far.
#[derive(Default)]
pub(crate) struct Changes {
    pub batch: Batch,
    pub overlay: Overlay,
    pub state: Option<State>,
    /// Closed revisions.
    pub events: Vec<RevisionEvents>,
    /// (written, live) of the size account after each of them.
    pub accounts: Vec<(i64, i64)>,
    /// Changes of the revision that is being made.
    pub open: Vec<Event>,
}

/// Commands applied together.
pub struct Group<'w> {
    pub(crate) shared: &'w Shared,
    pub(crate) engine: &'w dyn Engine,
    /// Keeps the files that the snapshot may need; taken before the snapshot is.
    pub(crate) _hold: Arc<Published>,
    pub(crate) snapshot: OnceCell<Box<dyn Snapshot + 'w>>,
    pub(crate) committed: &'w mut State,
    pub(crate) headers: &'w mut HeaderCache,
    /// The cache knows changes that are not committed.
    pub(crate) headers_are_ahead: bool,
    pub(crate) group: Changes,
}

impl<'w> Group<'w> {
    fn started(mut self) -> Self {
        self.group.state = Some(*self.committed);
        self
    }

    /// The revision after the last change.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.state().revision
    }

    /// The compact revision after the last change.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.state().compaction.revision
    }

    /// The size account after the last change.
    #[must_use]
    pub fn sizes(&self) -> super::Sizes {
        self.state().account.sizes()
    }

    /// What goes to the engine with the group: apply adds its own records.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.group.batch
    }

    /// Puts a key.
    ///
    /// # Errors
    /// What ends the process.
    pub fn put(&mut self, r: &pb::PutRequest, lease_exists: &dyn Fn(i64) -> bool) -> Answer<pb::PutResponse> {
        if r.lease != 0 && !lease_exists(r.lease) {
            return Ok(Err(Refusal::LeaseNotFound));
        }
        let response = self.put_one(r)?;
        self.close_revision();
        Ok(response)
    }

    /// Deletes a key or a range.
    ///
    /// # Errors
    /// What ends the process.
    pub fn delete_range(&mut self, r: &pb::DeleteRangeRequest) -> Answer<pb::DeleteRangeResponse> {
        let response = self.delete_keys(r)?;
        self.close_revision();
        Ok(Ok(response))
    }

    /// Runs a transaction. Headers within are filled, the outer one is not.
    ///
    /// # Errors
    /// What ends the process.
    pub fn txn(&mut self, r: &pb::TxnRequest, lease_exists: &dyn Fn(i64) -> bool) -> Answer<pb::TxnResponse> {
        let path = {
            let before = self.overlaid();
            let path = txn::decide(&before, r)?;
            if let Err(refusal) = txn::check_puts(&before, r, &path, lease_exists)? {
                return Ok(Err(refusal));
            }
            if let Err(error) = txn::check_ranges(&before, r, &path) {
                return Ok(Err(error.into_refusal()?));
            }
            path
        };
        let response = self.run(r, &mut path.into_iter())?;
        self.close_revision();
        Ok(Ok(response))
    }

    /// Deletes all keys attached to `lease`, in their order, in one revision, and says how many there were. The lease's own
    /// record is apply's.
    ///
    /// # Errors
    /// What ends the process.
    pub fn revoke(&mut self, lease: i64) -> Result<i64, Error> {
        let keys = self.lease_keys(lease)?;
        for key in &keys {
            self.delete_one(key, false)?;
        }
        self.close_revision();
        Ok(i64::try_from(keys.len()).unwrap_or(i64::MAX))
    }

    /// Keys attached to `lease`, sorted.
    ///
    /// # Errors
    /// What ends the process.
    pub fn lease_keys(&self, lease: i64) -> Result<Vec<Bytes>, Error> {
        let mut keys = self.view().lease_keys(lease)?;
        keys.retain(|key| self.group.overlay.last(key).is_none());
        let attached = |(key, version): (&Bytes, &super::overlay::Version)| {
            version.live.as_ref().is_some_and(|(head, _)| head.lease == lease).then(|| key.clone())
        };
        keys.extend(self.group.overlay.iter().filter_map(attached));
        keys.sort_unstable();
        Ok(keys)
    }

    /// Records a compaction: rows that `revision` does not need are invisible from here on, and removed in the background.
    ///
    /// # Errors
    /// What ends the process.
    pub fn compact(&mut self, revision: i64) -> Answer<()> {
        let state = *self.state();
        if revision <= state.compaction.revision {
            return Ok(Err(Refusal::Compacted));
        }
        if revision > state.revision {
            return Ok(Err(Refusal::FutureRevision));
        }
        fail::fail_point!("compactBeforeCommitScheduledCompact");
        let (written, live) = self.account_at(revision)?;
        let state = self.state_mut();
        state.compaction =
            super::revision::Compaction { revision, ceiling: state.revision, prior: state.compaction.revision };
        state.account.compact(written, live);
        Ok(Ok(()))
    }

    /// Writes the group, publishes its revision, and returns its events for the hub.
    ///
    /// # Errors
    /// What ends the process: the engine's state is unknown then.
    pub fn commit(mut self) -> Result<Vec<RevisionEvents>, engine::Error> {
        debug_assert!(self.group.open.is_empty(), "every command closes its revision");
        fail::fail_point!("beforeCommit");
        let defragmented = self.shared.take_defragmented();
        let state = self.state_mut();
        if defragmented {
            state.account.defragment();
        }
        let state = *state;
        let mut batch = mem::take(&mut self.group.batch);
        if state != *self.committed {
            batch.put(Family::Meta, schema::META_MVCC, state.encode());
        }
        if !batch.ops.is_empty() {
            self.write(batch, state.revision)?;
        }
        fail::fail_point!("afterCommit");
        assert_eq!(
            state.revision - self.committed.revision,
            i64::try_from(self.group.events.len()).unwrap_or(-1),
            "each revision has its events"
        );
        let compacted = state.compaction != self.committed.compaction;
        *self.committed = state;
        self.headers_are_ahead = false;
        self.shared.publish(&state, compacted);
        if compacted {
            fail::fail_point!("compactAfterCommitScheduledCompact");
        }
        Ok(mem::take(&mut self.group.events))
    }

    /// Writes the batch, measured: some tens of nanoseconds for a group.
    fn write(&self, batch: Batch, revision: i64) -> Result<(), engine::Error> {
        let metrics = &self.shared.config.metrics;
        let begun = Instant::now();
        // Against removal's look at a grave before it takes it, and against new fences; readers never touch this.
        let _gate = self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = Instant::now();
        if planted::is(Bug::AppliedApart) {
            write_in_two(self.engine, batch)?;
        } else {
            self.engine.write(batch)?;
        }
        let written = Instant::now();
        self.keep_fences(revision)?;
        let ended = Instant::now();
        metrics.commit_wait.observe((admitted - begun).as_secs_f64());
        metrics.commit_write.observe((written - admitted).as_secs_f64());
        metrics.commit_count.observe((ended - written).as_secs_f64());
        metrics.commit.observe((ended - begun).as_secs_f64());
        Ok(())
    }

    pub(crate) fn state(&self) -> &State {
        self.group.state.as_ref().expect("a group starts with a state")
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        self.group.state.as_mut().expect("a group starts with a state")
    }

    /// What was committed before the group, under the group's compact revision.
    pub(crate) fn view(&self) -> View<'_> {
        let snapshot = self.snapshot.get_or_init(|| self.engine.snapshot());
        View::new(&**snapshot, State { revision: self.committed.revision, ..*self.state() })
    }

    /// The store as the next command, or the rest of a transaction, sees it.
    pub(crate) fn overlaid(&self) -> Overlaid<'_> {
        let revision = self.state().revision + i64::from(!self.group.open.is_empty());
        Overlaid { below: self.view(), overlay: &self.group.overlay, revision }
    }

    fn run(&mut self, r: &pb::TxnRequest, path: &mut dyn Iterator<Item = bool>) -> Result<pb::TxnResponse, Error> {
        let succeeded = path.next().expect("the path has one choice for each transaction on it");
        let mut responses = Vec::new();
        for op in txn::branch(r, succeeded) {
            let response = match &op.request {
                Some(Request::RequestRange(range)) => {
                    Some(Response::ResponseRange(txn::answer_range(&self.overlaid(), range)?))
                }
                Some(Request::RequestPut(put)) => {
                    let mut response = self.put_one(put)?.unwrap_or_default();
                    response.header = Some(txn::header_at(self.revision() + 1));
                    Some(Response::ResponsePut(response))
                }
                Some(Request::RequestDeleteRange(delete)) => {
                    let mut response = self.delete_keys(delete)?;
                    let changed = i64::from(!self.group.open.is_empty());
                    response.header = Some(txn::header_at(self.revision() + changed));
                    Some(Response::ResponseDeleteRange(response))
                }
                Some(Request::RequestTxn(inner)) => {
                    Some(Response::ResponseTxn(txn::with_empty_header(self.run(inner, path)?)))
                }
                None => None,
            };
            responses.push(pb::ResponseOp { response });
        }
        Ok(pb::TxnResponse { header: None, succeeded, responses })
    }

    fn put_one(&mut self, r: &pb::PutRequest) -> Answer<pb::PutResponse> {
        let reads = r.prev_kv || r.ignore_value || r.ignore_lease;
        let prior = self.prior(&r.key, reads)?;
        let before = prior.kv().cloned();
        let (mut value, mut lease) = (&r.value[..], r.lease);
        if r.ignore_value || r.ignore_lease {
            let Some(before) = &before else { return Ok(Err(Refusal::KeyNotFound)) };
            let read = KeyValue::read(before).ok_or_else(|| Error::undecodable(Family::Latest, &r.key))?;
            value = if r.ignore_value { read.value } else { value };
            lease = if r.ignore_lease { read.lease } else { lease };
        }
        self.write_put(&r.key, value, lease, prior);
        let prev_kv = before.filter(|_| r.prev_kv).map(encoded::KeyValue);
        Ok(Ok(pb::PutResponse { header: None, prev_kv }))
    }

    fn delete_keys(&mut self, r: &pb::DeleteRangeRequest) -> Result<pb::DeleteRangeResponse, Error> {
        let keys = KeyRange::new(&r.key, &r.range_end);
        let removed = match &keys {
            KeyRange::One(key) => self.delete_one(key, r.prev_kv)?.into_iter().collect(),
            KeyRange::Span(..) => self.delete_span(&keys, r.prev_kv)?,
        };
        let deleted = i64::try_from(removed.len()).unwrap_or(i64::MAX);
        let prev_kvs = removed.into_iter().flatten().map(encoded::KeyValue).collect();
        Ok(pb::DeleteRangeResponse { header: None, deleted, prev_kvs })
    }

    /// Ends the revision of a command that changed something.
    fn close_revision(&mut self) {
        if self.group.open.is_empty() {
            return;
        }
        let events = mem::take(&mut self.group.open);
        let state = self.state_mut();
        state.revision += 1;
        let revision = state.revision;
        let Account { written, live, .. } = state.account;
        self.group.accounts.push((written, live));
        self.group.events.push(RevisionEvents { revision, events });
    }

    /// Publishes fences that know of the group.
    fn keep_fences(&self, revision: i64) -> Result<(), engine::Error> {
        let published = self.shared.published();
        let Some(fenced) = &published.fenced else { return Ok(()) };
        let events = || self.group.events.iter().flat_map(|revision| &revision.events);
        if !events().any(|event| count_change(event.kind).is_some()) {
            fenced.still_valid(revision);
            return Ok(());
        }
        let mut fences = fenced.fences.clone();
        fences.apply(events(), || self.engine.snapshot())?;
        let fenced = Some(Arc::new(Fenced::new(fences, revision)));
        self.shared.update_published(|now| Published {
            engine: now.engine.clone(),
            generation: now.generation.clone(),
            fenced,
        });
        Ok(())
    }

    /// (written, live) of the size account after `revision`.
    fn account_at(&self, revision: i64) -> Result<(i64, i64), Error> {
        if revision <= FIRST_REVISION {
            return Ok((0, 0));
        }
        if let Ok(newer) = usize::try_from(revision - self.committed.revision) {
            let Account { written, live, .. } = self.committed.account;
            return Ok(if newer == 0 { (written, live) } else { self.group.accounts[newer - 1] });
        }
        self.view().account_at(revision)
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if self.headers_are_ahead {
            self.headers.clear();
        }
    }
}

/// What is applied, and how far that is.
fn write_in_two(engine: &dyn Engine, batch: Batch) -> Result<(), engine::Error> {
    let is_applied = |op: &Op| matches!(op, Op::Put(Family::Meta, key, _) if key[..] == *schema::META_APPLIED);
    let (applied, rest) = batch.ops.into_iter().partition(is_applied);
    engine.write(Batch { ops: rest })?;
    engine.write(Batch { ops: applied })
}
