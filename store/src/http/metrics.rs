//! `/metrics`: what the doors tell now, and then all families as text.
//!
//! The gauges that mirror other rooms' state are set here, so that keeping them costs nothing between two scrapes.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fairlead_proto::served::etcdserverpb as pb;
use http::{Method, StatusCode, header};
use prometheus::{TEXT_FORMAT, TextEncoder};

use super::only_get;
use crate::rpc::{Context, SERVER_VERSION, cluster_minor};

pub(super) async fn show(State(ctx): State<Context>, method: Method) -> Response {
    if let Some(refused) = only_get(&method) {
        return refused;
    }
    let encoded = tokio::task::spawn_blocking(move || {
        refresh(&ctx);
        TextEncoder::new().encode_to_string(&ctx.metrics.registry().gather())
    });
    match encoded.await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
    }
}

fn refresh(ctx: &Context) {
    let (server, mvcc) = (&ctx.metrics.server, &ctx.metrics.mvcc);
    let raft = ctx.consensus.status();
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    server.has_leader.set(i64::from(raft.leader.is_some()));
    server.is_leader.set(i64::from(raft.leader == Some(raft.member)));
    server.is_learner.set(i64::from(raft.learner));
    server.proposals_committed_total.set(signed(raft.committed_index));
    server.proposals_applied_total.set(signed(raft.applied_index));
    server.id.with_label_values(&[&format!("{:x}", raft.member)]).set(1);
    server.version.with_label_values(&[SERVER_VERSION]).set(1);
    server.cluster_version.with_label_values(&[cluster_minor()]).set(1);
    server.quota_backend_bytes.set(ctx.quota.bytes().unwrap_or(-1));
    server.alarms.reset();
    for alarm in ctx.alarms.list() {
        let name = pb::AlarmType::try_from(alarm.alarm).map_or("UNKNOWN", |alarm| alarm.as_str_name());
        server.alarms.with_label_values(&[&format!("{:x}", alarm.member_id), name]).set(1);
    }
    let sizes = ctx.mvcc.sizes();
    mvcc.db_total_size_in_bytes.set(sizes.total);
    mvcc.db_total_size_in_use_in_bytes.set(sizes.in_use);
    mvcc.keys_total.set(ctx.mvcc.keys());
    mvcc.current_revision.set(ctx.mvcc.revision());
    mvcc.compact_revision.set(ctx.mvcc.compact_revision());
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let watch = ctx.hub.stats();
    mvcc.watch_stream_total.set(count(watch.streams));
    mvcc.watcher_total.set(count(watch.watchers));
    mvcc.slow_watcher_total.set(count(watch.slow_watchers));
    mvcc.pending_events_total.set(count(watch.pending_responses));
    ctx.metrics.lease.auth_revision.set(1);
    ctx.metrics.process.refresh();
}
