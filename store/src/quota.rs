//! Quota: what a request costs, and whether there is room for it.
//!
//! Decides about admission and about the alarm's proposal, never about state: two members with different quotas stay the
//! same. The size is the logical account (live and dead records), so that compaction and defragmentation give room back.
//! Source: etcd `server/storage/quota.go`.

use fairlead_proto::served::etcdserverpb as pb;
use pb::request_op::Request;

/// The quota where the flag is 0: etcd's default.
pub const DEFAULT_BYTES: i64 = 2 * 1024 * 1024 * 1024;

/// Above this etcd's documentation advises against it; one warning, no limit.
pub const SUGGESTED_BYTES_MAX: i64 = 8 * 1024 * 1024 * 1024;

/// What a put costs beyond its key and value.
const PUT_OVERHEAD_BYTES: i64 = 256;

/// What a lease costs.
const LEASE_BYTES: i64 = 64;

/// How large the state may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    bytes: Option<i64>,
}

impl Quota {
    /// From `--quota-backend-bytes`: 0 is the default, a negative number no quota.
    #[must_use]
    pub fn from_flag(bytes: i64) -> Quota {
        Quota {
            bytes: match bytes {
                0 => Some(DEFAULT_BYTES),
                negative if negative < 0 => None,
                bytes => Some(bytes),
            },
        }
    }

    /// The bound in bytes; `None` is unbounded.
    #[must_use]
    pub fn bytes(self) -> Option<i64> {
        self.bytes
    }

    /// Whether a state of `size` bytes has room for `cost` more. What costs nothing always has.
    #[must_use]
    pub fn admits(self, size: i64, cost: i64) -> bool {
        cost == 0 || self.bytes.is_none_or(|bound| size.saturating_add(cost) < bound)
    }

    /// Whether a state of `size` bytes has outgrown the quota: what apply asks.
    #[must_use]
    pub fn exceeded(self, size: i64) -> bool {
        self.bytes.is_some_and(|bound| size >= bound)
    }
}

/// What a put costs.
#[must_use]
pub fn put_cost(put: &pb::PutRequest) -> i64 {
    PUT_OVERHEAD_BYTES + length(&put.key) + length(&put.value)
}

/// What a lease costs.
#[must_use]
pub fn lease_cost() -> i64 {
    LEASE_BYTES
}

/// What a transaction costs: its dearer branch, nested ones included. 0 where no branch puts.
#[must_use]
pub fn txn_cost(txn: &pb::TxnRequest) -> i64 {
    branch_cost(&txn.success).max(branch_cost(&txn.failure))
}

fn branch_cost(ops: &[pb::RequestOp]) -> i64 {
    ops.iter()
        .map(|op| match &op.request {
            Some(Request::RequestPut(put)) => put_cost(put),
            Some(Request::RequestTxn(txn)) => txn_cost(txn),
            _ => 0,
        })
        .sum()
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static str, value: &'static str) -> pb::RequestOp {
        let put = pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        pb::RequestOp { request: Some(Request::RequestPut(put)) }
    }

    #[test]
    fn the_flag_means_what_etcds_means() {
        assert_eq!(Quota::from_flag(0).bytes(), Some(2_147_483_648));
        assert_eq!(Quota::from_flag(-1).bytes(), None);
        assert_eq!(Quota::from_flag(53_248).bytes(), Some(53_248));
    }

    #[test]
    fn a_request_must_stay_below_the_quota() {
        let quota = Quota::from_flag(1000);
        assert!(quota.admits(699, 300));
        assert!(!quota.admits(700, 300));
        assert!(quota.admits(5000, 0), "a delete is always admitted");
        assert!(Quota::from_flag(-1).admits(i64::MAX, i64::MAX));
        assert!(quota.exceeded(1000) && !quota.exceeded(999));
    }

    #[test]
    fn a_txn_costs_its_dearer_branch_with_what_is_nested_in_it() {
        let nested = pb::TxnRequest { success: vec![put("k", "vv")], ..Default::default() };
        let txn = pb::TxnRequest {
            success: vec![put("a", "b"), pb::RequestOp { request: Some(Request::RequestTxn(nested)) }],
            failure: vec![put("a", "0123456789")],
            ..Default::default()
        };
        assert_eq!(txn_cost(&txn), (256 + 2) + (256 + 3));
        assert_eq!(txn_cost(&pb::TxnRequest::default()), 0);
    }
}
