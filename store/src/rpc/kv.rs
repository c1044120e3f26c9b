//! KV: reads on this member after a barrier, writes through the log.
//!
//! Promises: a linearizable read sees everything acknowledged anywhere before it, or fails; the header's revision and the
//! data come from one view; a request is checked before it is admitted to the log, and answered by what this member
//! applied. A transaction without writes costs no log entry.
//! Does not: evaluate anything (`mvcc` does). Source: etcd `server/etcdserver/v3_server.go`, `api/v3rpc/{key,quota}.go`.

use fairlead_proto::served::etcdserverpb as pb;
use futures::StreamExt;
use futures::stream::BoxStream;
use pb::kv_server::Kv;
use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request as Op;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::phases::{Phase, Phases};
use super::range_stream::Chunks;
use super::status::{NOT_SUPPORTED_FOR_LEARNER, STOPPED};
use super::{Context, admission, spliced, validate};
use crate::apply::{Applied, Command, Outcome};
use crate::mvcc::Ranged;
use crate::quota;
use crate::raft::Trace;

/// The service.
#[derive(Clone)]
pub struct KvService {
    ctx: Context,
}

impl KvService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> KvService {
        KvService { ctx }
    }

    async fn ranged(&self, r: pb::RangeRequest, phases: &mut Phases) -> Result<Response<pb::RangeResponse>, Status> {
        if r.serializable {
            self.ctx.reads_released().await;
        } else {
            phases.enter(Phase::Barrier);
            self.ctx.consensus.read_barrier().await?;
        }
        phases.enter(Phase::Read);
        let begun = Instant::now();
        let ranged = if is_large(&r, self.ctx.limits.read_inline_keys_max) {
            let read = self.ctx.read(true, move |view| (view.revision(), view.range_spliced(&r)));
            let (revision, ranged) = read.await?;
            ranged.map_err(Status::from).and_then(|ranged| spliced::range(self.ctx.header(revision), ranged))
        } else {
            let (revision, ranged) = self.ctx.read(false, move |view| (view.revision(), view.range(&r))).await?;
            let answer = |ranged: Ranged| pb::RangeResponse {
                header: Some(self.ctx.header(revision)),
                kvs: ranged.kvs,
                more: ranged.more,
                count: ranged.count,
            };
            ranged.map(answer).map(Response::new).map_err(Status::from)
        };
        let success = if ranged.is_ok() { "true" } else { "false" };
        let durations = &self.ctx.metrics.server.range_duration_seconds;
        durations.with_label_values(&[success]).observe(begun.elapsed().as_secs_f64());
        ranged
    }

    async fn read_txn(&self, r: pb::TxnRequest, phases: &mut Phases) -> Result<pb::TxnResponse, Status> {
        if is_serializable(&r) {
            self.ctx.reads_released().await;
        } else {
            phases.enter(Phase::Barrier);
            self.ctx.consensus.read_barrier().await?;
        }
        phases.enter(Phase::Read);
        let keys_max = self.ctx.limits.read_inline_keys_max;
        let large = ranges(&r).any(|range| range.is_some_and(|range| is_large(range, keys_max)))
            || r.compare.iter().any(|compare| !compare.range_end.is_empty());
        let (revision, response) = self.ctx.read(large, move |view| (view.revision(), view.txn(&r))).await?;
        let response = response?;
        let mvcc = &self.ctx.metrics.mvcc;
        mvcc.range_total.inc_by(response.responses.len() as u64);
        if response.responses.len() > 1 {
            mvcc.txn_total.inc();
        }
        Ok(pb::TxnResponse { header: Some(self.ctx.header(revision)), ..response })
    }

    async fn compacted(&self, r: pb::CompactionRequest, phases: &mut Phases) -> Result<pb::CompactionResponse, Status> {
        phases.enter(Phase::Propose);
        let applied = self.ctx.propose_traced(Command::Compact(r), phases.trace()).await?;
        if r.physical {
            phases.enter(Phase::Compact);
            tokio::select! {
                biased;
                () = self.ctx.shutdown.cancelled() => return Err(STOPPED.into()),
                () = self.ctx.mvcc.physical_done(r.revision) => {}
            }
        }
        Ok(pb::CompactionResponse { header: Some(self.ctx.header(applied.revision)) })
    }

    async fn write(&self, command: Command, cost: i64, phases: &mut Phases) -> Result<(i64, Outcome), Status> {
        admission::growth(&self.ctx, cost).await?;
        phases.enter(Phase::Propose);
        let applied = self.ctx.propose_traced(command, phases.trace()).await?;
        Ok((applied.revision, applied.outcome?))
    }
}

impl Context {
    /// Proposes a command that is not too large; a refusal by apply is an error.
    ///
    /// # Errors
    /// What admission by size, the consensus or apply refuses.
    ///
    /// # Cancel safety
    /// A dropped call may still be applied.
    pub async fn propose(&self, command: Command) -> Result<Applied, Status> {
        self.propose_traced(command, &Trace::default()).await
    }

    /// As [`propose`](Context::propose), and tells `trace` how far the command has come.
    ///
    /// # Errors
    /// As [`propose`](Context::propose).
    ///
    /// # Cancel safety
    /// A dropped call may still be applied.
    pub async fn propose_traced(&self, command: Command, trace: &Trace) -> Result<Applied, Status> {
        admission::size(self, &command)?;
        let applied = self.consensus.propose_traced(command, trace).await?;
        match applied.outcome {
            Err(refusal) => Err(refusal.into()),
            Ok(_) => Ok(applied),
        }
    }
}

/// An answer of another kind than the question: a bug in apply, told and not hidden.
pub(super) fn mismatched(outcome: &Outcome) -> Status {
    tracing::error!(?outcome, "apply answered with another kind than was asked");
    Status::internal("apply answered with another kind than was asked")
}

#[tonic::async_trait]
impl Kv for KvService {
    type RangeStreamStream = BoxStream<'static, Result<pb::RangeStreamResponse, Status>>;

    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let r = request.into_inner();
        if !r.serializable && self.ctx.consensus.status().learner {
            return Err(NOT_SUPPORTED_FOR_LEARNER.into());
        }
        validate::range(&r)?;
        let mut phases = Phases::start(&self.ctx, "Range", &r.key);
        let result = self.ranged(r, &mut phases).await;
        self.ctx.metrics.mvcc.range_total.inc();
        phases.finish(&result);
        result
    }

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let r = request.into_inner();
        validate::range_stream(&r)?;
        if r.serializable {
            self.ctx.reads_released().await;
        } else {
            self.ctx.consensus.read_barrier().await?;
        }
        self.ctx.metrics.mvcc.range_total.inc();
        Ok(Response::new(Chunks::new(self.ctx.clone(), r).into_stream().boxed()))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let r = request.into_inner();
        validate::put(&r)?;
        let mut phases = Phases::start(&self.ctx, "Put", &r.key);
        let cost = quota::put_cost(&r);
        let result = match self.write(Command::Put(r), cost, &mut phases).await {
            Ok((revision, Outcome::Put(response))) => {
                Ok(pb::PutResponse { header: Some(self.ctx.header(revision)), ..response })
            }
            Ok((_, other)) => Err(mismatched(&other)),
            Err(status) => Err(status),
        };
        phases.finish(&result);
        result.map(Response::new)
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let r = request.into_inner();
        validate::delete_range(&r)?;
        let mut phases = Phases::start(&self.ctx, "DeleteRange", &r.key);
        let result = match self.write(Command::DeleteRange(r), 0, &mut phases).await {
            Ok((revision, Outcome::DeleteRange(response))) => {
                Ok(pb::DeleteRangeResponse { header: Some(self.ctx.header(revision)), ..response })
            }
            Ok((_, other)) => Err(mismatched(&other)),
            Err(status) => Err(status),
        };
        phases.finish(&result);
        result.map(Response::new)
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let r = request.into_inner();
        validate::txn(&r, self.ctx.limits.txn_ops_max)?;
        let first_key = r.compare.first().map(|compare| compare.key.clone()).unwrap_or_default();
        if is_read_only(&r) {
            let mut phases = Phases::start(&self.ctx, "ReadonlyTxn", &first_key);
            let result = self.read_txn(r, &mut phases).await;
            phases.finish(&result);
            return result.map(Response::new);
        }
        let mut phases = Phases::start(&self.ctx, "Txn", &first_key);
        let cost = quota::txn_cost(&r);
        let result = match self.write(Command::Txn(r), cost, &mut phases).await {
            Ok((revision, Outcome::Txn(response))) => {
                Ok(pb::TxnResponse { header: Some(self.ctx.header(revision)), ..response })
            }
            Ok((_, other)) => Err(mismatched(&other)),
            Err(status) => Err(status),
        };
        phases.finish(&result);
        result.map(Response::new)
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let mut phases = Phases::start(&self.ctx, "Compaction", b"");
        let result = self.compacted(request.into_inner(), &mut phases).await;
        phases.finish(&result);
        result.map(Response::new)
    }
}

/// The operations of both branches: each a range, or `None` for any other kind.
fn ranges(r: &pb::TxnRequest) -> impl Iterator<Item = Option<&pb::RangeRequest>> {
    r.success.iter().chain(&r.failure).map(|op| match &op.request {
        Some(Op::RequestRange(range)) => Some(range),
        _ => None,
    })
}

/// Whether neither branch writes. One that nests another transaction goes through the log, as in etcd.
fn is_read_only(r: &pb::TxnRequest) -> bool {
    ranges(r).all(|range| range.is_some())
}

/// Whether a transaction that only reads may be answered from this member's state as it is.
fn is_serializable(r: &pb::TxnRequest) -> bool {
    ranges(r).all(|range| range.is_some_and(|range| range.serializable))
}

/// Whether a range may touch more than `keys_max` keys.
fn is_large(r: &pb::RangeRequest, keys_max: i64) -> bool {
    let one_key = r.range_end.is_empty();
    let filtered = [r.min_mod_revision, r.max_mod_revision, r.min_create_revision, r.max_create_revision];
    let pushed_down = (1..=keys_max).contains(&r.limit) && !r.count_only && is_natural(r) && filtered == [0; 4];
    !one_key && !pushed_down
}

/// Whether the keys' own order is asked for.
pub(super) fn is_natural(r: &pb::RangeRequest) -> bool {
    let descending = r.sort_order == SortOrder::Descend as i32;
    r.sort_target == SortTarget::Key as i32 && !descending
}

#[cfg(test)]
#[path = "kv_test.rs"]
mod tests;
