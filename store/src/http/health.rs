//! `/health`: alarms, a leader, and a read, in this order; the first that fails is the reason.
//!
//! `?exclude=NOSPACE` overlooks an alarm; `?serializable=true` asks this member alone.
//! Source: etcd `server/etcdserver/api/etcdhttp/health.go`.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use fairlead_proto::served::etcdserverpb as pb;
use http::{Method, StatusCode, header};

use super::{only_get, probe};
use crate::rpc::Context;

pub(super) type Queries = Query<Vec<(String, String)>>;

pub(super) async fn show(State(ctx): State<Context>, method: Method, Query(query): Queries) -> Response {
    if let Some(refused) = only_get(&method) {
        return refused;
    }
    let excluded: Vec<&str> = values(&query, "exclude").collect();
    let serializable = values(&query, "serializable").next() == Some("true");
    match reason(&ctx, &excluded, serializable).await {
        None => {
            ctx.metrics.server.health_success.inc();
            (StatusCode::OK, r#"{"health":"true","reason":""}"#).into_response()
        }
        Some(reason) => {
            ctx.metrics.server.health_failures.inc();
            tracing::warn!(%reason, "serving /health false");
            let body = serde_json::json!({"health": "false", "reason": reason});
            let kind =
                [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (StatusCode::SERVICE_UNAVAILABLE, kind, format!("{body}\n")).into_response()
        }
    }
}

/// Why this member is not healthy.
async fn reason(ctx: &Context, excluded: &[&str], serializable: bool) -> Option<String> {
    for alarm in ctx.alarms.list() {
        let name = pb::AlarmType::try_from(alarm.alarm).map_or("UNKNOWN", |alarm| alarm.as_str_name());
        if !excluded.contains(&name) {
            return Some(format!("ALARM {name}"));
        }
    }
    if !serializable && ctx.consensus.status().leader.is_none() {
        return Some("RAFT NO LEADER".into());
    }
    probe::read(ctx, serializable).await.err().map(|error| format!("RANGE ERROR:{error}"))
}

/// The values given for `name` that are not empty.
pub(super) fn values<'a>(query: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    query.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
}
