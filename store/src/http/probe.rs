//! `/livez` and `/readyz`: named checks, each with a page of its own.
//!
//! Failed checks are always listed; passed ones with `?verbose`. `?exclude=<check>` leaves one out; one that does not
//! exist is no error. Source: etcd `server/etcdserver/api/etcdhttp/health.go`.

use std::fmt::Write;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fairlead_proto::served::etcdserverpb as pb;
use http::{Method, StatusCode, header};

use super::health::{Queries, values};
use super::only_get;
use crate::rpc::Context;

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, ctx: &Context) -> Result<(), String> {
        match self {
            Check::DataCorruption if ctx.alarms.corrupt() => Err("alarm activated: CORRUPT".into()),
            Check::NonLearner if ctx.consensus.status().learner => Err("not supported for learner".into()),
            Check::DataCorruption | Check::NonLearner => Ok(()),
            Check::SerializableRead => read(ctx, true).await,
            Check::LinearizableRead => read(ctx, false).await,
        }
    }
}

/// Checks under one path.
pub(super) struct Probe {
    name: &'static str,
    checks: &'static [Check],
}

/// Whether to restart this member.
pub(super) static LIVEZ: Probe = Probe { name: "livez", checks: &[Check::SerializableRead] };

/// Whether to send it clients.
pub(super) static READYZ: Probe = Probe {
    name: "readyz",
    checks: &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner],
};

/// The probe's page, and one for each check.
pub(super) fn routes(probe: &'static Probe) -> Router<Context> {
    let all = move |State(ctx): State<Context>, method: Method, Query(query): Queries| async move {
        let excluded: Vec<&str> = values(&query, "exclude").collect();
        let checks = probe.checks.iter().copied().filter(|check| !excluded.contains(&check.name())).collect();
        page(&ctx, probe, checks, &method, &query).await
    };
    let mut router = Router::new().route(&format!("/{}", probe.name), any(all));
    for check in probe.checks {
        let one = move |State(ctx): State<Context>, method: Method, Query(query): Queries| async move {
            page(&ctx, probe, vec![*check], &method, &query).await
        };
        router = router.route(&format!("/{}/{}", probe.name, check.name()), any(one));
    }
    router
}

async fn page(
    ctx: &Context,
    probe: &Probe,
    checks: Vec<Check>,
    method: &Method,
    query: &[(String, String)],
) -> Response {
    if let Some(refused) = only_get(method) {
        return refused;
    }
    let mut report = String::new();
    let mut failed = false;
    for check in checks {
        let result = check.run(ctx).await;
        record(ctx, probe, check, result.is_ok());
        let line = match &result {
            Ok(()) => format!("[+]{} ok\n", check.name()),
            Err(reason) => format!("[-]{} failed: {reason}\n", check.name()),
        };
        report.write_str(&line).expect("writing to a string cannot fail");
        failed |= result.is_err();
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    if failed {
        tracing::warn!(probe = probe.name, %report, "health check failed");
        return (StatusCode::SERVICE_UNAVAILABLE, kind, format!("{report}\n")).into_response();
    }
    if !query.iter().any(|(name, _)| name == "verbose") {
        report.clear();
    }
    (StatusCode::OK, kind, report + "ok\n").into_response()
}

fn record(ctx: &Context, probe: &Probe, check: Check, passed: bool) {
    let (server, status) = (&ctx.metrics.server, if passed { "success" } else { "error" });
    server.healthcheck.with_label_values(&[probe.name, check.name()]).set(i64::from(passed));
    server.healthchecks_total.with_label_values(&[probe.name, check.name(), status]).inc();
}

/// The read that says whether reads work: one key, of all there are.
///
/// # Errors
/// The text that a client would have been given.
pub(super) async fn read(ctx: &Context, serializable: bool) -> Result<(), String> {
    if !serializable {
        ctx.consensus.read_barrier().await.map_err(|error| tonic::Status::from(error).message().to_owned())?;
    }
    let everything =
        pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), limit: 1, keys_only: true, ..Default::default() };
    let ranged = ctx.read(false, move |view| view.range(&everything).map(|_| ())).await;
    match ranged {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(tonic::Status::from(error).message().to_owned()),
        Err(status) => Err(status.message().to_owned()),
    }
}
