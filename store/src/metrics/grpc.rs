//! `grpc_server_*`: what each method was asked and what it answered.
//!
//! Promises: every series exists at 0 from the start, for every method and code, as go-grpc-prometheus does when it is
//! asked to initialise; a request costs no look-up of labels, only of its path.
//! Source: go-grpc-prometheus `server_metrics.go`.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};
use tonic::Code;

use super::family::registered;

/// How many messages go which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One each way.
    Unary,
    /// One request, many answers.
    ServerStream,
    /// Many each way.
    BidiStream,
}

impl Shape {
    /// The label `grpc_type`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Shape::Unary => "unary",
            Shape::ServerStream => "server_stream",
            Shape::BidiStream => "bidi_stream",
        }
    }
}

/// A method that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Package and service.
    pub service: &'static str,
    /// The method's name.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
}

const fn method(service: &'static str, name: &'static str, shape: Shape) -> Method {
    Method { service, name, shape }
}

/// Every method that is served: the contract's services, and health.
#[rustfmt::skip]
pub const METHODS: &[Method] = &[
    method("etcdserverpb.KV", "Range", Shape::Unary),
    method("etcdserverpb.KV", "RangeStream", Shape::ServerStream),
    method("etcdserverpb.KV", "Put", Shape::Unary),
    method("etcdserverpb.KV", "DeleteRange", Shape::Unary),
    method("etcdserverpb.KV", "Txn", Shape::Unary),
    method("etcdserverpb.KV", "Compact", Shape::Unary),
    method("etcdserverpb.Watch", "Watch", Shape::BidiStream),
    method("etcdserverpb.Lease", "LeaseGrant", Shape::Unary),
    method("etcdserverpb.Lease", "LeaseRevoke", Shape::Unary),
    method("etcdserverpb.Lease", "LeaseKeepAlive", Shape::BidiStream),
    method("etcdserverpb.Lease", "LeaseTimeToLive", Shape::Unary),
    method("etcdserverpb.Lease", "LeaseLeases", Shape::Unary),
    method("etcdserverpb.Cluster", "MemberAdd", Shape::Unary),
    method("etcdserverpb.Cluster", "MemberRemove", Shape::Unary),
    method("etcdserverpb.Cluster", "MemberUpdate", Shape::Unary),
    method("etcdserverpb.Cluster", "MemberList", Shape::Unary),
    method("etcdserverpb.Cluster", "MemberPromote", Shape::Unary),
    method("etcdserverpb.Maintenance", "Alarm", Shape::Unary),
    method("etcdserverpb.Maintenance", "Status", Shape::Unary),
    method("etcdserverpb.Maintenance", "Defragment", Shape::Unary),
    method("etcdserverpb.Maintenance", "Hash", Shape::Unary),
    method("etcdserverpb.Maintenance", "HashKV", Shape::Unary),
    method("etcdserverpb.Maintenance", "Snapshot", Shape::ServerStream),
    method("etcdserverpb.Maintenance", "MoveLeader", Shape::Unary),
    method("etcdserverpb.Maintenance", "Downgrade", Shape::Unary),
    method("etcdserverpb.Auth", "AuthEnable", Shape::Unary),
    method("etcdserverpb.Auth", "AuthDisable", Shape::Unary),
    method("etcdserverpb.Auth", "AuthStatus", Shape::Unary),
    method("etcdserverpb.Auth", "Authenticate", Shape::Unary),
    method("etcdserverpb.Auth", "UserAdd", Shape::Unary),
    method("etcdserverpb.Auth", "UserGet", Shape::Unary),
    method("etcdserverpb.Auth", "UserList", Shape::Unary),
    method("etcdserverpb.Auth", "UserDelete", Shape::Unary),
    method("etcdserverpb.Auth", "UserChangePassword", Shape::Unary),
    method("etcdserverpb.Auth", "UserGrantRole", Shape::Unary),
    method("etcdserverpb.Auth", "UserRevokeRole", Shape::Unary),
    method("etcdserverpb.Auth", "RoleAdd", Shape::Unary),
    method("etcdserverpb.Auth", "RoleGet", Shape::Unary),
    method("etcdserverpb.Auth", "RoleList", Shape::Unary),
    method("etcdserverpb.Auth", "RoleDelete", Shape::Unary),
    method("etcdserverpb.Auth", "RoleGrantPermission", Shape::Unary),
    method("etcdserverpb.Auth", "RoleRevokePermission", Shape::Unary),
    method("v3lockpb.Lock", "Lock", Shape::Unary),
    method("v3lockpb.Lock", "Unlock", Shape::Unary),
    method("v3electionpb.Election", "Campaign", Shape::Unary),
    method("v3electionpb.Election", "Proclaim", Shape::Unary),
    method("v3electionpb.Election", "Leader", Shape::Unary),
    method("v3electionpb.Election", "Observe", Shape::ServerStream),
    method("v3electionpb.Election", "Resign", Shape::Unary),
    method("grpc.health.v1.Health", "Check", Shape::Unary),
    method("grpc.health.v1.Health", "Watch", Shape::ServerStream),
];

/// The codes of gRPC, in the order of their numbers, as the label `grpc_code` has them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The handles of one method.
#[derive(Clone, Debug)]
pub struct MethodMetrics {
    /// Which.
    pub method: Method,
    /// Calls begun.
    pub started: IntCounter,
    /// Messages that clients sent.
    pub received: IntCounter,
    /// Messages sent to clients.
    pub sent: IntCounter,
    /// From the call's begin to its end, in seconds.
    pub handling: Histogram,
    handled: Vec<IntCounter>,
}

impl MethodMetrics {
    /// Calls ended with `code`.
    #[must_use]
    pub fn handled(&self, code: Code) -> &IntCounter {
        &self.handled[code as usize]
    }
}

/// `grpc_server_*`.
#[derive(Clone, Debug)]
pub struct Grpc {
    methods: Arc<HashMap<String, Arc<MethodMetrics>>>,
}

impl Grpc {
    /// The handles of the method at `path` (`/package.Service/Method`).
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Arc<MethodMetrics>> {
        self.methods.get(path)
    }

    pub(super) fn register(registry: &Registry) -> Result<Grpc, prometheus::Error> {
        let labels = ["grpc_method", "grpc_service", "grpc_type"];
        let counter = |name: &str, help: &str| registered::<IntCounterVec>(registry, name, help, &labels, Vec::new());
        let started = counter("grpc_server_started_total", "Total number of RPCs started on the server.")?;
        let received =
            counter("grpc_server_msg_received_total", "Total number of RPC stream messages received on the server.")?;
        let sent = counter("grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server.")?;
        let handled: IntCounterVec = registered(
            registry,
            "grpc_server_handled_total",
            "Total number of RPCs completed on the server, regardless of success or failure.",
            &["grpc_code", "grpc_method", "grpc_service", "grpc_type"],
            Vec::new(),
        )?;
        let handling: HistogramVec = registered(
            registry,
            "grpc_server_handling_seconds",
            "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
            &labels,
            prometheus::DEFAULT_BUCKETS.to_vec(),
        )?;
        let methods = METHODS.iter().map(|method| {
            let values = [method.name, method.service, method.shape.label()];
            let handled = CODES.iter().map(|code| handled.with_label_values(&[code, values[0], values[1], values[2]]));
            let metrics = MethodMetrics {
                method: *method,
                started: started.with_label_values(&values),
                received: received.with_label_values(&values),
                sent: sent.with_label_values(&values),
                handling: handling.with_label_values(&values),
                handled: handled.collect(),
            };
            (format!("/{}/{}", method.service, method.name), Arc::new(metrics))
        });
        Ok(Grpc { methods: Arc::new(methods.collect()) })
    }
}
