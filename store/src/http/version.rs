//! `/version`. Source: etcd `server/etcdserver/api/etcdhttp/version.go`.

use axum::response::{IntoResponse, Response};
use http::{Method, header};

use super::only_get;
use crate::rpc::{CLUSTER_VERSION, SERVER_VERSION};

pub(super) async fn show(method: Method) -> Response {
    if let Some(refused) = only_get(&method) {
        return refused;
    }
    // By hand: the fields' order is etcd's, and the versions need no escaping.
    let body = format!(
        r#"{{"etcdserver":"{SERVER_VERSION}","etcdcluster":"{CLUSTER_VERSION}","storage":"{CLUSTER_VERSION}"}}"#
    );
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
