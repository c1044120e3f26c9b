//! The pages' texts and codes.

use axum::Router;
use axum::body::Body;
use fairlead_proto::served::etcdserverpb as pb;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::raft::Unserved;
use crate::rpc::testing::{MEMBER, context};

async fn ask(router: Router, method: &str, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(ctx: &Context, path: &str) -> (StatusCode, String) {
    ask(router(ctx), "GET", path).await
}

fn ok(text: &str) -> (StatusCode, String) {
    (StatusCode::OK, text.to_owned())
}

fn down(text: &str) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
}

const HEALTHY: &str = r#"{"health":"true","reason":""}"#;

fn unhealthy(reason: &str) -> (StatusCode, String) {
    down(&format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}\n"))
}

#[tokio::test]
async fn health_gives_the_first_reason() {
    let (ctx, single) = context();
    assert_eq!(get(&ctx, "/health").await, ok(HEALTHY));
    single.refuse(Some(Unserved::Timeout));
    assert_eq!(get(&ctx, "/health").await, unhealthy("RANGE ERROR:etcdserver: request timed out"));
    assert_eq!(get(&ctx, "/health?serializable=true").await, ok(HEALTHY));
    single.set_status(|status| status.leader = None);
    assert_eq!(get(&ctx, "/health").await, unhealthy("RAFT NO LEADER"));
    assert_eq!(get(&ctx, "/health?serializable=true").await, ok(HEALTHY));
    ctx.alarms.activate(MEMBER, pb::AlarmType::Nospace);
    assert_eq!(get(&ctx, "/health").await, unhealthy("ALARM NOSPACE"));
    assert_eq!(get(&ctx, "/health?serializable=true&exclude=NOSPACE").await, ok(HEALTHY));
    ctx.alarms.activate(MEMBER, pb::AlarmType::Corrupt);
    assert_eq!(get(&ctx, "/health?exclude=NOSPACE").await, unhealthy("ALARM CORRUPT"));
    assert_eq!(get(&ctx, "/health?serializable=true&exclude=NOSPACE&exclude=CORRUPT").await, ok(HEALTHY));
    assert_eq!((ctx.metrics.server.health_success.get(), ctx.metrics.server.health_failures.get()), (5, 4));
}

#[tokio::test]
async fn a_method_other_than_get_is_refused() {
    let (ctx, _) = context();
    for path in ["/health", "/livez", "/readyz/non_learner", "/version", "/metrics"] {
        let refused = (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n".to_owned());
        assert_eq!(ask(router(&ctx), "POST", path).await, refused, "{path}");
    }
}

#[tokio::test]
async fn probes_say_ok_and_list_their_checks_when_asked() {
    let (ctx, _) = context();
    let all = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\n";
    for (path, text) in [
        ("/livez", "ok\n".to_owned()),
        ("/livez?verbose", "[+]serializable_read ok\nok\n".to_owned()),
        ("/readyz", "ok\n".to_owned()),
        ("/readyz?verbose", format!("{all}ok\n")),
        (
            "/readyz?verbose&exclude=non_learner&exclude=data_corruption",
            "[+]serializable_read ok\n[+]linearizable_read ok\nok\n".to_owned(),
        ),
        ("/readyz?exclude=nothing", "ok\n".to_owned()),
        ("/readyz/data_corruption", "ok\n".to_owned()),
        ("/readyz/linearizable_read?verbose", "[+]linearizable_read ok\nok\n".to_owned()),
        ("/livez/serializable_read", "ok\n".to_owned()),
    ] {
        assert_eq!(get(&ctx, path).await, ok(&text), "{path}");
    }
    assert_eq!(get(&ctx, "/livez/non_learner").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_probe_that_fails_says_why_for_each_check() {
    let (ctx, single) = context();
    ctx.alarms.activate(MEMBER, pb::AlarmType::Nospace);
    assert_eq!(get(&ctx, "/readyz").await, ok("ok\n"), "NOSPACE is not corruption");
    ctx.alarms.activate(MEMBER, pb::AlarmType::Corrupt);
    single.refuse(Some(Unserved::Timeout));
    single.set_status(|status| status.learner = true);
    let text = "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n\
                [-]linearizable_read failed: etcdserver: request timed out\n[-]non_learner failed: not supported for learner\n\n";
    assert_eq!(get(&ctx, "/readyz").await, down(text));
    assert_eq!(get(&ctx, "/readyz/serializable_read").await, ok("ok\n"));
    let one = "[-]data_corruption failed: alarm activated: CORRUPT\n\n";
    assert_eq!(get(&ctx, "/readyz/data_corruption").await, down(one));
    assert_eq!(get(&ctx, "/livez").await, ok("ok\n"));
    let server = &ctx.metrics.server;
    assert_eq!(server.healthcheck.with_label_values(&["readyz", "non_learner"]).get(), 0);
    assert_eq!(server.healthchecks_total.with_label_values(&["livez", "serializable_read", "success"]).get(), 1);
}

#[tokio::test]
async fn versions_are_those_of_the_contract() {
    let (ctx, _) = context();
    let text = r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}"#;
    assert_eq!(get(&ctx, "/version").await, ok(text));
}

#[tokio::test]
async fn metrics_tell_what_the_doors_tell() {
    let (ctx, _) = context();
    ctx.alarms.activate(MEMBER, pb::AlarmType::Nospace);
    let (status, text) = get(&ctx, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "etcd_server_has_leader 1",
        "etcd_server_is_leader 1",
        "etcd_server_is_learner 0",
        "etcd_server_id{server_id=\"a1\"} 1",
        "etcd_server_version{server_version=\"3.7.1\"} 1",
        "etcd_cluster_version{cluster_version=\"3.7\"} 1",
        "etcd_server_proposals_committed_total 11",
        "etcd_server_proposals_applied_total 10",
        "etcd_server_quota_backend_bytes 2147483648",
        "etcd_debugging_server_alarms{alarm_type=\"NOSPACE\",server_id=\"a1\"} 1",
        "etcd_debugging_mvcc_current_revision 1",
        "grpc_server_started_total{grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_stream\"} 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "missing: {line}");
    }
}

#[tokio::test]
async fn the_metrics_port_has_the_probes_and_no_more() {
    let (ctx, _) = context();
    for path in ["/metrics", "/health", "/livez", "/readyz"] {
        assert_eq!(ask(metrics_router(&ctx), "GET", path).await.0, StatusCode::OK, "{path}");
    }
    assert_eq!(ask(metrics_router(&ctx), "GET", "/version").await.0, StatusCode::NOT_FOUND);
}
