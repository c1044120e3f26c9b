//! Waiting in line for a name: what Lock and Election share.
//!
//! Each waiter has a key under `name/`, attached to its lease; the one created first is the owner. A waiter waits until
//! every key created before its own is gone, watching only the last of those, so that one release wakes one waiter.
//! Promises: waiting is a watch on this member's hub, and no polling; a waiter whose client gives up takes its key back,
//! so that nobody waits behind a ghost until its lease ends.
//! Source: etcd `client/v3/concurrency/{key,mutex,election}.go`, which runs the same against the server itself.

use bytes::Bytes;
use fairlead_proto::etcd::mvccpb;
use fairlead_proto::served::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request as Op;
use pb::response_op::Response as Answer;
use prost::Message;
use tonic::{Code, Status};

use super::kv::mismatched;
use super::status::STOPPED;
use super::{Context, admission};
use crate::apply::{Command, Outcome};
use crate::quota;
use crate::watch::{Delivery, Filters, KeyRange, Output, Spec, Stream};

/// TTL of the lease that is granted to a caller without one, in seconds: etcd's default for a session. Nobody renews it.
const SESSION_TTL: i64 = 60;

/// A place in line.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The waiter's key.
    pub(super) key: Bytes,
    /// The revision that created it.
    pub(super) created: i64,
}

/// What a transaction on a place answered.
pub(super) struct Placed {
    pub(super) revision: i64,
    pub(super) succeeded: bool,
    /// The ranges among the answers, in order.
    pub(super) ranges: Vec<Vec<mvccpb::KeyValue>>,
}

/// The caller's lease, or a new one where it brings none.
pub(super) async fn session(ctx: &Context, lease: i64) -> Result<i64, Status> {
    match lease {
        0 => granted(ctx).await.map_err(of_a_client),
        lease => Ok(lease),
    }
}

async fn granted(ctx: &Context) -> Result<i64, Status> {
    admission::growth(ctx, quota::lease_cost()).await?;
    let id = ctx.lease_id();
    let grant = pb::LeaseGrantRequest { id, ttl: SESSION_TTL.max(ctx.limits.lease_ttl_min()) };
    match ctx.propose(Command::LeaseGrant(grant)).await?.outcome? {
        Outcome::LeaseGrant { id, .. } => Ok(id),
        other => Err(mismatched(&other)),
    }
}

/// The prefix of all keys in line for `name`.
pub(super) fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The key of a lease in line for `name`: its id in hexadecimal, signed as Go prints it.
pub(super) fn key(name: &[u8], lease: i64) -> Bytes {
    let sign = if lease < 0 { "-" } else { "" };
    [name, b"/", format!("{sign}{:x}", lease.unsigned_abs()).as_bytes()].concat().into()
}

/// That `key` was created at `revision`; 0: that it does not exist.
pub(super) fn created_at(key: &Bytes, revision: i64) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Create as i32,
        key: key.clone(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
        ..Default::default()
    }
}

pub(super) fn put(key: &Bytes, value: Bytes, lease: i64) -> pb::RequestOp {
    let put = pb::PutRequest { key: key.clone(), value, lease, ..Default::default() };
    pb::RequestOp { request: Some(Op::RequestPut(put)) }
}

pub(super) fn get(range: pb::RangeRequest) -> pb::RequestOp {
    pb::RequestOp { request: Some(Op::RequestRange(range)) }
}

pub(super) fn one(key: &Bytes) -> pb::RangeRequest {
    pb::RangeRequest { key: key.clone(), ..Default::default() }
}

pub(super) fn delete(key: &Bytes) -> pb::RequestOp {
    let delete = pb::DeleteRangeRequest { key: key.clone(), ..Default::default() };
    pb::RequestOp { request: Some(Op::RequestDeleteRange(delete)) }
}

/// The key under `prefix` that was created first: the owner's.
pub(super) fn first(prefix: &Bytes) -> pb::RangeRequest {
    by_creation(prefix, SortOrder::Ascend, 0)
}

fn by_creation(prefix: &Bytes, order: SortOrder, max_create_revision: i64) -> pb::RangeRequest {
    // A prefix ends in "/", so the first key behind all that have it ends in "0" there.
    let range_end = [&prefix[..prefix.len() - 1], b"0"].concat().into();
    pb::RangeRequest {
        key: prefix.clone(),
        range_end,
        limit: 1,
        sort_order: order as i32,
        sort_target: SortTarget::Create as i32,
        max_create_revision,
        ..Default::default()
    }
}

/// A refusal as etcd's lock and election give it: they are clients of its own store, and on that way the code is lost, the
/// text is not. Source: etcd `api/v3rpc/rpctypes/error.go`: an `EtcdError` has no gRPC status.
pub(super) fn of_a_client(refusal: impl Into<Status>) -> Status {
    let status = refusal.into();
    match status.code() {
        Code::Cancelled | Code::DeadlineExceeded => status,
        _ => Status::unknown(status.message()),
    }
}

/// Runs a transaction through the log.
pub(super) async fn run(ctx: &Context, txn: pb::TxnRequest) -> Result<Placed, Status> {
    placed(ctx, txn).await.map_err(of_a_client)
}

async fn placed(ctx: &Context, txn: pb::TxnRequest) -> Result<Placed, Status> {
    super::validate::txn(&txn, ctx.limits.txn_ops_max)?;
    admission::growth(ctx, quota::txn_cost(&txn)).await?;
    let command = Command::Txn(txn);
    admission::size(ctx, &command)?;
    let applied = ctx.consensus.propose(command).await?;
    let response = match applied.outcome? {
        Outcome::Txn(response) => response,
        other => return Err(mismatched(&other)),
    };
    let ranges = response.responses.into_iter().filter_map(|answer| match answer.response {
        Some(Answer::ResponseRange(range)) => Some(range.kvs.into_iter().map(|kv| decode(&kv.0)).collect()),
        _ => None,
    });
    let ranges: Result<Vec<Vec<mvccpb::KeyValue>>, Status> = ranges.collect();
    Ok(Placed { revision: applied.revision, succeeded: response.succeeded, ranges: ranges? })
}

/// Reads at most one key, with everything acknowledged before in sight: the revision and the key.
pub(super) async fn read(ctx: &Context, range: pb::RangeRequest) -> Result<(i64, Option<mvccpb::KeyValue>), Status> {
    ctx.consensus.read_barrier().await.map_err(of_a_client)?;
    let large = !range.range_end.is_empty();
    let (revision, ranged) = ctx.read(large, move |view| (view.revision(), view.range(&range))).await?;
    let kv = ranged?.kvs.first().map(|kv| decode(&kv.0)).transpose()?;
    Ok((revision, kv))
}

fn decode(kv: &Bytes) -> Result<mvccpb::KeyValue, Status> {
    mvccpb::KeyValue::decode(kv.clone())
        .map_err(|error| Status::internal(format!("a stored record is malformed: {error}")))
}

/// Waits until no key under `prefix` is older than `place`, then until the place is known to be still there.
///
/// The revision at which it was seen; `None` where the place was lost, with its lease.
pub(super) async fn wait_for_turn(ctx: &Context, prefix: &Bytes, place: &Place) -> Result<Option<i64>, Status> {
    loop {
        let older = by_creation(prefix, SortOrder::Descend, place.created - 1);
        let (revision, Some(before)) = read(ctx, older).await? else { break };
        wait_until_deleted(ctx, before.key, revision + 1).await?;
    }
    let (revision, own) = read(ctx, one(&place.key)).await?;
    Ok(own.filter(|own| own.create_revision == place.created).map(|_| revision))
}

/// Waits for a delete of `key` at `from` or later, or until history there is compacted: then the caller looks again.
async fn wait_until_deleted(ctx: &Context, key: Bytes, from: i64) -> Result<(), Status> {
    let no_puts = Filters { no_put: true, no_delete: false };
    let mut stream = watch(ctx, KeyRange::Key(key), no_puts, from)?;
    while let Output::Progress { .. } = next(ctx, &mut stream).await? {}
    Ok(())
}

/// A watch of its own stream.
pub(super) fn watch(ctx: &Context, range: KeyRange, filters: Filters, from: i64) -> Result<Stream, Status> {
    let mut stream = ctx.hub.open();
    let spec = Spec { range, filters, previous: false, progress_notify: false, fragment: false, start_revision: from };
    stream.create(0, spec).map_err(|refused| Status::internal(refused.to_string()))?;
    Ok(stream)
}

/// All keys under a prefix.
pub(super) fn under(prefix: &Bytes) -> Result<KeyRange, Status> {
    let range = by_creation(prefix, SortOrder::Ascend, 0);
    KeyRange::from_wire(range.key, range.range_end).ok_or_else(|| Status::internal("a prefix that covers no key"))
}

/// What comes next on a watch, unless the member stops.
pub(super) async fn next(ctx: &Context, stream: &mut Stream) -> Result<Output, Status> {
    tokio::select! {
        biased;
        () = ctx.shutdown.cancelled() => Err(STOPPED.into()),
        output = stream.next() => Ok(output),
    }
}

/// The events of a delivery.
pub(super) async fn events(ctx: &Context, delivery: &Delivery) -> Result<Vec<mvccpb::Event>, Status> {
    let events = delivery.events(ctx.hub.source()).await;
    let events = events.map_err(|error| Status::internal(error.to_string()))?;
    let decoded = events.into_iter().map(|event| mvccpb::Event::decode(event.0));
    decoded.collect::<Result<_, _>>().map_err(|error| Status::internal(format!("a stored event is malformed: {error}")))
}

/// Takes a place back unless it is kept: for callers that give up while they wait.
pub(super) struct Abandon {
    ctx: Context,
    place: Option<Place>,
}

impl Abandon {
    /// Of a place that this call has made.
    pub(super) fn new(ctx: &Context, place: Place) -> Abandon {
        Abandon { ctx: ctx.clone(), place: Some(place) }
    }

    /// The place is wanted.
    pub(super) fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let ctx = self.ctx.clone();
        self.ctx.tasks().spawn(async move {
            let txn = pb::TxnRequest {
                compare: vec![created_at(&place.key, place.created)],
                success: vec![delete(&place.key)],
                failure: Vec::new(),
            };
            if let Err(status) = run(&ctx, txn).await {
                let key = place.key.escape_ascii();
                tracing::warn!(%key, %status, "a waiter's key could not be taken back: it stays until its lease ends");
            }
        });
    }
}
