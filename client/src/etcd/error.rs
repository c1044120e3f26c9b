//! What a call can end in: etcd's code and text, and above all whether a write may have taken effect.
//!
//! Promises: [`Error::Unreachable`] and [`Error::Refused`] mean that a write has had no effect; whatever leaves that open
//! is [`Error::OutcomeUnknown`]. Errs towards "unknown".
//! Does not: retry. Source: etcd `api/v3rpc/rpctypes/error.go`, `server/etcdserver/apply/apply.go` (which errors come
//! after a proposal), `server/etcdserver/v3_server.go`.

use tonic::{Code, ConnectError, Status};

/// A cause of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call, a watch or a keep-alive has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made: nothing was sent.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// The end-point that was tried last.
        endpoint: String,
        /// What the connector said.
        #[source]
        source: BoxError,
    },
    /// A member answered no: nothing has changed.
    #[error("{endpoint} refused: {message}")]
    Refused {
        /// Who answered.
        endpoint: String,
        /// gRPC's code.
        code: Code,
        /// etcd's text.
        message: String,
    },
    /// A write was sent and nobody can tell whether it has taken effect. Reading back tells.
    #[error("outcome unknown, the write may have taken effect: {endpoint}: {message}")]
    OutcomeUnknown {
        /// To whom it was sent.
        endpoint: String,
        /// gRPC's code; `DeadlineExceeded` when no answer came in time.
        code: Code,
        /// etcd's text, or the transport's.
        message: String,
    },
    /// A read was not answered by any end-point that was tried. Reads have no effect.
    #[error("no answer from {endpoint}: {message}")]
    Unanswered {
        /// The end-point that was tried last.
        endpoint: String,
        /// gRPC's code; `DeadlineExceeded` when no answer came in time.
        code: Code,
        /// etcd's text, or the transport's.
        message: String,
    },
    /// A watch asked for revisions that are gone: list again and watch from there.
    #[error("required revision has been compacted, the oldest readable one is {compact_revision}")]
    Compacted {
        /// The oldest revision that can still be read.
        compact_revision: i64,
    },
    /// The server has ended a watch.
    #[error("watch was cancelled: {reason}")]
    Cancelled {
        /// The server's words; may be empty.
        reason: String,
    },
    /// A lease that is not known, or no longer.
    #[error("requested lease {lease:x} not found")]
    LeaseNotFound {
        /// Which.
        lease: i64,
    },
    /// An end-point cannot be used as it is written.
    #[error("end-point {endpoint:?} is not usable: {reason}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS material cannot be used.
    #[error("tls: {what}")]
    Tls {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
}

impl Error {
    /// True when a write may or may not have taken effect.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Error::OutcomeUnknown { .. })
    }

    /// gRPC's code, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused { code, .. } | Error::OutcomeUnknown { code, .. } | Error::Unanswered { code, .. } => {
                Some(*code)
            }
            Error::Unreachable { .. } => Some(Code::Unavailable),
            Error::Compacted { .. } => Some(Code::OutOfRange),
            Error::LeaseNotFound { .. } => Some(Code::NotFound),
            Error::Cancelled { .. } => Some(Code::Cancelled),
            Error::Endpoint { .. } | Error::Tls { .. } => None,
        }
    }

    /// etcd's text, where a member or the transport gave one.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Error::Refused { message, .. }
            | Error::OutcomeUnknown { message, .. }
            | Error::Unanswered { message, .. } => message,
            Error::Cancelled { reason } => reason,
            _ => "",
        }
    }

    pub(crate) fn no_answer_in_time(effect: Effect, endpoint: &str) -> Self {
        let (endpoint, code, message) = (endpoint.to_owned(), Code::DeadlineExceeded, "no answer in time".to_owned());
        match effect {
            Effect::Write => Error::OutcomeUnknown { endpoint, code, message },
            Effect::Read => Error::Unanswered { endpoint, code, message },
        }
    }

    /// Another end-point may do better, and nothing is lost by asking it.
    pub(crate) fn can_fail_over(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Unanswered { .. })
    }

    /// What a failed call means.
    pub(crate) fn from_status(effect: Effect, endpoint: &str, status: Status) -> Self {
        let fate = fate(&status);
        // Its own text says no more than that the transport has failed; the cause is at the end of the chain.
        let cause = innermost(&status).map(ToString::to_string);
        let (endpoint, code, message) =
            (endpoint.to_owned(), status.code(), cause.unwrap_or_else(|| status.message().to_owned()));
        match (fate, effect) {
            (Fate::NotSent, _) => Error::Unreachable { endpoint, source: message.into() },
            (Fate::Refused, _) => Error::Refused { endpoint, code, message },
            (Fate::Unknown, Effect::Write) => Error::OutcomeUnknown { endpoint, code, message },
            (Fate::Unknown, Effect::Read) => Error::Unanswered { endpoint, code, message },
        }
    }
}

/// Whether a call changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    NotSent,
    Refused,
    Unknown,
}

fn innermost(status: &Status) -> Option<&(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(status), |error| error.source()).last()
}

/// A status that the server sent has no source; the transport's have one.
fn fate(status: &Status) -> Fate {
    let mut source = std::error::Error::source(status);
    if source.is_none() {
        return answered(status.code(), status.message());
    }
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return Fate::NotSent;
        }
        source = error.source();
    }
    Fate::Unknown
}

/// Texts that carry a code that elsewhere leaves the outcome open, but that are always said before a proposal (or
/// instead of its effect). A member below 3.6 says the last two with `Unavailable`.
const BEFORE_PROPOSAL: [&str; 6] = [
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "etcdserver: not capable",
    "etcdserver: rpc not supported for learner",
    "etcdserver: re-configuration failed due to not enough started members",
    "etcdserver: unhealthy cluster",
];

/// A put over quota is applied *and* answered with this (etcd `apply.go`, `quotaApplierV3`).
const AFTER_APPLY: &str = "etcdserver: mvcc: database space exceeded";

fn answered(code: Code, message: &str) -> Fate {
    if BEFORE_PROPOSAL.contains(&message) {
        return Fate::Refused;
    }
    match code {
        Code::ResourceExhausted if message == AFTER_APPLY => Fate::Unknown,
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::ResourceExhausted => Fate::Refused,
        _ => Fate::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn only_what_cannot_have_been_applied_is_a_refusal() {
        let table = [
            (Code::InvalidArgument, "etcdserver: key is not provided", Fate::Refused),
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", Fate::Refused),
            (Code::ResourceExhausted, "grpc: received message larger than max (3 vs. 2)", Fate::Refused),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", Fate::Unknown),
            (Code::Unknown, "etcdserver: too many requests", Fate::Refused),
            (Code::Unavailable, "etcdserver: no leader", Fate::Refused),
            (Code::Unavailable, "etcdserver: leader changed", Fate::Unknown),
            (Code::Unavailable, "etcdserver: request timed out", Fate::Unknown),
            (Code::Unavailable, "etcdserver: rpc not supported for learner", Fate::Refused),
            (Code::Cancelled, "context canceled", Fate::Unknown),
            (Code::DeadlineExceeded, "context deadline exceeded", Fate::Unknown),
            (Code::Unknown, "anything else", Fate::Unknown),
        ];
        for (code, message, expected) in table {
            assert_eq!(fate(&Status::new(code, message)), expected, "{code:?} {message}");
        }
    }

    #[test]
    fn a_failed_connection_has_sent_nothing_and_any_other_failure_of_the_transport_may_have() {
        let mut status = Status::unavailable("tcp connect error");
        status.set_source(Arc::new(ConnectError("refused".into())));
        assert!(matches!(Error::from_status(Effect::Write, "a", status), Error::Unreachable { .. }));

        let mut status = Status::unavailable("keep-alive timed out");
        status.set_source(Arc::new(std::io::Error::other("broken pipe")));
        assert!(Error::from_status(Effect::Write, "a", status.clone()).is_outcome_unknown());
        assert!(matches!(Error::from_status(Effect::Read, "a", status), Error::Unanswered { .. }));
    }
}
