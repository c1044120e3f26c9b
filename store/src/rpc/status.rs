//! Refusals as clients know them: code and text exactly as etcd's, because its clients match by text.
//!
//! The only place where the errors of other rooms become gRPC statuses.
//! Two codes look wrong and are etcd's: "too many requests" and the leadership transfer's timeout leave as Unknown.
//! Source: etcd `api/v3rpc/rpctypes/error.go`, `server/etcdserver/api/v3rpc/util.go`, level 3.7.

use tonic::{Code, Status};

use crate::apply::Refusal;
use crate::mvcc;
use crate::raft::Unserved;

/// A refusal with a fixed code and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// gRPC's code.
    pub code: Code,
    /// The whole text.
    pub text: &'static str,
}

/// gRPC's own text, which etcd passes on without its prefix.
pub const DEADLINE_EXCEEDED: Known = Known { code: Code::DeadlineExceeded, text: "context deadline exceeded" };

impl From<Known> for Status {
    fn from(known: Known) -> Status {
        Status::new(known.code, known.text)
    }
}

macro_rules! known {
    ($($name:ident = $code:ident, $text:literal;)*) => {
        $(
            #[doc = concat!("`", stringify!($code), "`: ", $text, ".")]
            pub const $name: Known = Known { code: Code::$code, text: concat!("etcdserver: ", $text) };
        )*
    };
}

known! {
    EMPTY_KEY = InvalidArgument, "key is not provided";
    KEY_NOT_FOUND = InvalidArgument, "key not found";
    VALUE_PROVIDED = InvalidArgument, "value is provided";
    LEASE_PROVIDED = InvalidArgument, "lease is provided";
    TOO_MANY_OPS = InvalidArgument, "too many operations in txn request";
    DUPLICATE_KEY = InvalidArgument, "duplicate key given in txn request";
    INVALID_CLIENT_API_VERSION = InvalidArgument, "invalid client api version";
    INVALID_SORT_OPTION = InvalidArgument, "invalid sort option";
    COMPACTED = OutOfRange, "mvcc: required revision has been compacted";
    FUTURE_REV = OutOfRange, "mvcc: required revision is a future revision";
    NO_SPACE = ResourceExhausted, "mvcc: database space exceeded";
    LEASE_NOT_FOUND = NotFound, "requested lease not found";
    LEASE_EXIST = FailedPrecondition, "lease already exists";
    LEASE_TTL_TOO_LARGE = OutOfRange, "too large lease TTL";
    WATCH_CANCELED = Cancelled, "watch canceled";
    REQUEST_TOO_LARGE = InvalidArgument, "request is too large";
    AUTH_NOT_ENABLED = FailedPrecondition, "authentication is not enabled";
    NO_LEADER = Unavailable, "no leader";
    NOT_LEADER = FailedPrecondition, "not leader";
    LEADER_CHANGED = Unavailable, "leader changed";
    STOPPED = Unavailable, "server stopped";
    TIMEOUT = Unavailable, "request timed out";
    TIMEOUT_DUE_TO_LEADER_FAIL = Unavailable, "request timed out, possibly due to previous leader failure";
    TIMEOUT_DUE_TO_CONNECTION_LOST = Unavailable, "request timed out, possibly due to connection lost";
    CORRUPT = DataLoss, "corrupt cluster";
    NOT_SUPPORTED_FOR_LEARNER = FailedPrecondition, "rpc not supported for learner";
    BAD_LEADER_TRANSFEREE = FailedPrecondition, "bad leader transferee";
    WRONG_DOWNGRADE_VERSION_FORMAT = InvalidArgument, "wrong downgrade target version format";
    INVALID_DOWNGRADE_TARGET_VERSION = InvalidArgument, "invalid downgrade target version";
    NO_INFLIGHT_DOWNGRADE = FailedPrecondition, "no inflight downgrade job";
    TOO_MANY_REQUESTS = Unknown, "too many requests";
    TIMEOUT_LEADER_TRANSFER = Unknown, "request timed out, leader transfer took too long";
}

impl From<Refusal> for Known {
    fn from(refusal: Refusal) -> Known {
        match refusal {
            Refusal::KeyNotFound => KEY_NOT_FOUND,
            Refusal::LeaseNotFound => LEASE_NOT_FOUND,
            Refusal::LeaseExists => LEASE_EXIST,
            Refusal::Compacted => COMPACTED,
            Refusal::FutureRevision => FUTURE_REV,
            Refusal::NoSpace => NO_SPACE,
            Refusal::Corrupt => CORRUPT,
        }
    }
}

impl From<Unserved> for Known {
    fn from(unserved: Unserved) -> Known {
        match unserved {
            Unserved::Timeout => TIMEOUT,
            Unserved::DeadlineExceeded => DEADLINE_EXCEEDED,
            Unserved::TimeoutLeaderFailed => TIMEOUT_DUE_TO_LEADER_FAIL,
            Unserved::TimeoutConnectionLost => TIMEOUT_DUE_TO_CONNECTION_LOST,
            Unserved::NoLeader => NO_LEADER,
            Unserved::LeaderChanged => LEADER_CHANGED,
            Unserved::TooManyRequests => TOO_MANY_REQUESTS,
            Unserved::TooLarge => REQUEST_TOO_LARGE,
            Unserved::Stopped => STOPPED,
            Unserved::BadTransferee => BAD_LEADER_TRANSFEREE,
            Unserved::NotLeader => NOT_LEADER,
            Unserved::TransferTimeout => TIMEOUT_LEADER_TRANSFER,
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        Known::from(refusal).into()
    }
}

impl From<Unserved> for Status {
    fn from(unserved: Unserved) -> Status {
        Known::from(unserved).into()
    }
}

impl From<mvcc::Error> for Status {
    fn from(error: mvcc::Error) -> Status {
        match error {
            mvcc::Error::Compacted => COMPACTED.into(),
            mvcc::Error::FutureRevision => FUTURE_REV.into(),
            broken => {
                tracing::error!(error = %broken, "reading the state failed");
                Status::internal(broken.to_string())
            }
        }
    }
}

/// What etcd's gRPC library says of a message above the limit.
#[must_use]
pub fn message_too_large(bytes: usize, bytes_max: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({bytes} vs. {bytes_max})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_leave_with_etcds_code_and_text() {
        let rows: &[(Status, Code, &str)] = &[
            (Refusal::KeyNotFound.into(), Code::InvalidArgument, "etcdserver: key not found"),
            (Refusal::LeaseNotFound.into(), Code::NotFound, "etcdserver: requested lease not found"),
            (Refusal::LeaseExists.into(), Code::FailedPrecondition, "etcdserver: lease already exists"),
            (Refusal::Compacted.into(), Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            (
                Refusal::FutureRevision.into(),
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
            ),
            (Refusal::NoSpace.into(), Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            (Refusal::Corrupt.into(), Code::DataLoss, "etcdserver: corrupt cluster"),
            (Unserved::Timeout.into(), Code::Unavailable, "etcdserver: request timed out"),
            (
                Unserved::TimeoutLeaderFailed.into(),
                Code::Unavailable,
                "etcdserver: request timed out, possibly due to previous leader failure",
            ),
            (
                Unserved::TimeoutConnectionLost.into(),
                Code::Unavailable,
                "etcdserver: request timed out, possibly due to connection lost",
            ),
            (Unserved::LeaderChanged.into(), Code::Unavailable, "etcdserver: leader changed"),
            (Unserved::TooManyRequests.into(), Code::Unknown, "etcdserver: too many requests"),
            (Unserved::TooLarge.into(), Code::InvalidArgument, "etcdserver: request is too large"),
            (Unserved::Stopped.into(), Code::Unavailable, "etcdserver: server stopped"),
            (Unserved::BadTransferee.into(), Code::FailedPrecondition, "etcdserver: bad leader transferee"),
            (Unserved::NotLeader.into(), Code::FailedPrecondition, "etcdserver: not leader"),
            (
                Unserved::TransferTimeout.into(),
                Code::Unknown,
                "etcdserver: request timed out, leader transfer took too long",
            ),
            (
                message_too_large(3_000_000, 2_097_152),
                Code::ResourceExhausted,
                "grpc: received message larger than max (3000000 vs. 2097152)",
            ),
        ];
        for (status, code, text) in rows {
            assert_eq!((status.code(), status.message()), (*code, *text));
        }
    }
}
