//! What apply counts: etcd's operation counters, of everything that this member applies, whoever was asked.
//!
//! Entries replayed after a crash count again, as in etcd. Source: etcd `server/storage/mvcc/metrics_txn.go`,
//! `server/lease/metrics.go`, `server/etcdserver/apply/apply.go`.

use std::sync::OnceLock;
use std::time::Duration;

use fairlead_proto::served::etcdserverpb as pb;
use pb::request_op::Request;
use pb::response_op::Response;
use prometheus::{Histogram, HistogramVec, IntCounter, IntGauge};

use super::command::Command;
use super::outcome::{Outcome, Refusal};
use crate::metrics::Metrics;

/// etcd's names of what it applies, as the label `op` has them.
const OPERATIONS: [&str; 9] = [
    "Put",
    "DeleteRange",
    "Txn",
    "Compaction",
    "LeaseGrant",
    "LeaseRevoke",
    "LeaseCheckpoint",
    "Alarm",
    "ClusterMemberAttrSet",
];

/// The place of a command's operation in [`OPERATIONS`].
pub(super) fn operation(command: &Command) -> usize {
    match command {
        Command::Put(_) => 0,
        Command::DeleteRange(_) => 1,
        Command::Txn(_) => 2,
        Command::Compact(_) => 3,
        Command::LeaseGrant(_) => 4,
        Command::LeaseRevoke(_) | Command::LeaseExpire { .. } => 5,
        Command::LeaseCheckpoint(_) => 6,
        Command::Alarm(_) => 7,
        Command::MemberPublish { .. } => 8,
    }
}

/// The handles.
pub(super) struct Tally {
    ranges: IntCounter,
    puts: IntCounter,
    deletes: IntCounter,
    txns: IntCounter,
    put_bytes: IntGauge,
    leases_granted: IntCounter,
    leases_revoked: IntCounter,
    lease_ttls: Histogram,
    durations: HistogramVec,
    /// Handles of the durations that have been seen: refused, taken.
    seen: [[OnceLock<Histogram>; 2]; OPERATIONS.len()],
    slow: IntCounter,
}

impl Tally {
    pub(super) fn new(metrics: &Metrics) -> Tally {
        let (mvcc, lease) = (&metrics.mvcc, &metrics.lease);
        Tally {
            ranges: mvcc.range_total.clone(),
            puts: mvcc.put_total.clone(),
            deletes: mvcc.delete_total.clone(),
            txns: mvcc.txn_total.clone(),
            put_bytes: mvcc.total_put_size_in_bytes.clone(),
            leases_granted: lease.granted_total.clone(),
            leases_revoked: lease.revoked_total.clone(),
            lease_ttls: lease.ttl_total.clone(),
            durations: metrics.server.apply_duration_seconds.clone(),
            seen: Default::default(),
            slow: metrics.server.slow_apply_total.clone(),
        }
    }

    /// How long a command took.
    pub(super) fn took(&self, operation: usize, outcome: &Result<Outcome, Refusal>, duration: Duration) {
        // As in etcd, where a compaction that came too late is no failure.
        let taken = matches!(outcome, Ok(_) | Err(Refusal::Compacted));
        let handle = self.seen[operation][usize::from(taken)].get_or_init(|| {
            let success = if taken { "true" } else { "false" };
            self.durations.with_label_values(&["v3", OPERATIONS[operation], success])
        });
        handle.observe(duration.as_secs_f64());
    }

    /// A group that took too long.
    pub(super) fn slow(&self) {
        self.slow.inc();
    }

    pub(super) fn put(&self, put: &pb::PutRequest) {
        self.puts.inc();
        self.put_bytes.add(i64::try_from(put.key.len() + put.value.len()).unwrap_or(i64::MAX));
    }

    pub(super) fn delete(&self) {
        self.deletes.inc();
    }

    /// A transaction that took effect: each of its operations, and itself where they are more than one.
    pub(super) fn txn(&self, txn: &pb::TxnRequest, response: &pb::TxnResponse) {
        if self.operations(txn, response) > 1 {
            self.txns.inc();
        }
    }

    fn operations(&self, txn: &pb::TxnRequest, response: &pb::TxnResponse) -> usize {
        let taken = if response.succeeded { &txn.success } else { &txn.failure };
        let pairs = taken.iter().zip(&response.responses);
        let counted = pairs.map(|(op, answer)| {
            match (&op.request, &answer.response) {
                (Some(Request::RequestTxn(inner)), Some(Response::ResponseTxn(answer))) => {
                    return self.operations(inner, answer);
                }
                (Some(Request::RequestPut(put)), _) => self.put(put),
                (Some(Request::RequestDeleteRange(_)), _) => self.delete(),
                (Some(Request::RequestRange(_)), _) => self.ranges.inc(),
                _ => {}
            }
            1
        });
        counted.sum()
    }

    pub(super) fn lease_granted(&self, ttl: i64) {
        self.leases_granted.inc();
        self.lease_ttls.observe(ttl as f64);
    }

    /// A lease that ended with its keys, each deleted by itself within one transaction.
    pub(super) fn lease_revoked(&self, keys: i64) {
        self.leases_revoked.inc();
        self.deletes.inc_by(u64::try_from(keys).unwrap_or(0));
        if keys > 1 {
            self.txns.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(value: &'static str) -> (pb::RequestOp, pb::ResponseOp) {
        let put = pb::PutRequest { key: "k".into(), value: value.into(), ..Default::default() };
        (
            pb::RequestOp { request: Some(Request::RequestPut(put)) },
            pb::ResponseOp { response: Some(Response::ResponsePut(pb::PutResponse::default())) },
        )
    }

    #[test]
    fn a_transaction_counts_what_it_did_on_the_path_that_it_took() {
        let metrics = Metrics::new(prometheus::Registry::new()).unwrap();
        let tally = Tally::new(&metrics);
        let ((first, first_answer), (other, _), (inner, inner_answer)) = (put("1"), put("22222"), put("333"));
        let delete = pb::RequestOp { request: Some(Request::RequestDeleteRange(pb::DeleteRangeRequest::default())) };
        let deleted = pb::DeleteRangeResponse { deleted: 4, ..Default::default() };
        let nested = pb::TxnRequest { failure: vec![inner], ..Default::default() };
        let nested_answer = pb::TxnResponse { responses: vec![inner_answer], ..Default::default() };
        let txn = pb::TxnRequest {
            success: vec![first.clone(), delete, pb::RequestOp { request: Some(Request::RequestTxn(nested)) }],
            failure: vec![other],
            ..Default::default()
        };
        let answers = [
            first_answer.response.clone(),
            Some(Response::ResponseDeleteRange(deleted)),
            Some(Response::ResponseTxn(nested_answer)),
        ];
        let responses = answers.into_iter().map(|response| pb::ResponseOp { response }).collect();
        tally.txn(&txn, &pb::TxnResponse { succeeded: true, responses, ..Default::default() });
        let mvcc = &metrics.mvcc;
        let counted = || (mvcc.put_total.get(), mvcc.delete_total.get(), mvcc.txn_total.get());
        assert_eq!((counted(), mvcc.total_put_size_in_bytes.get()), ((2, 1, 1), 2 + 4));
        let single = pb::TxnRequest { success: vec![first], ..Default::default() };
        let answer = pb::TxnResponse { succeeded: true, responses: vec![first_answer], ..Default::default() };
        tally.txn(&single, &answer);
        assert_eq!(counted(), (3, 1, 1), "one operation is no transaction");
    }
}
