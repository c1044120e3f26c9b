//! gofail's door: failpoints over HTTP, on loopback only.
//!
//! ```text
//! GET /            every name=terms, in order           GET /<name>      its terms, 404 where it is not armed
//! PUT /<name>      arms it with the terms in the body    DELETE /<name>   disarms it
//! PUT /failpoints  arms all of name=terms;name=terms
//! ```
//! It has a thread and a runtime of its own, so that it answers while a failpoint holds up the store's.
//! Source: gofail `runtime/http.go`.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, Request, StatusCode};

use crate::failpoints::{Error, Failpoints};

/// Terms are a line of text.
const TERMS_BYTES_MAX: usize = 64 << 10;

/// Opens the door at `address` (`HOST:PORT`) for as long as the process lives.
///
/// # Errors
/// When the address is not on loopback or cannot be bound, or the thread cannot be started.
pub fn serve(address: &str, failpoints: Arc<Failpoints>) -> io::Result<SocketAddr> {
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) {
        return Err(io::Error::other(format!("{open} is not on loopback: whoever reaches it can crash the store")));
    }
    let listener = TcpListener::bind(&addresses[..])?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let door = router(failpoints);
    std::thread::Builder::new().name("failpoints".into()).spawn(move || {
        let served = runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, door).await });
        if let Err(error) = served {
            tracing::error!(%error, "the door to the failpoints is closed");
        }
    })?;
    Ok(bound)
}

fn router(failpoints: Arc<Failpoints>) -> Router {
    Router::new().fallback(answer).with_state(failpoints)
}

async fn answer(State(failpoints): State<Arc<Failpoints>>, request: Request<Body>) -> Response {
    let name = request.uri().path().trim_start_matches('/').to_owned();
    match *request.method() {
        Method::GET if name.is_empty() => {
            let lines = failpoints.list().into_iter().map(|(name, terms)| format!("{name}={terms}\n"));
            lines.collect::<String>().into_response()
        }
        Method::GET => match failpoints.terms(&name) {
            Ok(terms) => format!("{terms}\n").into_response(),
            Err(error) => refused(StatusCode::NOT_FOUND, "failed to GET", &error),
        },
        Method::PUT => {
            let Ok(body) = axum::body::to_bytes(request.into_body(), TERMS_BYTES_MAX).await else {
                return (StatusCode::BAD_REQUEST, "failed ReadAll in PUT\n").into_response();
            };
            let terms = String::from_utf8_lossy(&body);
            let armed = match name.eq_ignore_ascii_case("failpoints") {
                true => failpoints.arm_all(&terms),
                false => failpoints.arm(&name, terms.trim()),
            };
            done(armed, "fail to set failpoint")
        }
        Method::DELETE => done(failpoints.disarm(&name), "failed to delete failpoint"),
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(http::header::ALLOW, "DELETE, GET, PUT")], "Method not allowed\n")
            .into_response(),
    }
}

fn done(result: Result<(), Error>, failure: &str) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, failure, &error),
    }
}

fn refused(code: StatusCode, failure: &str, error: &Error) -> Response {
    (code, format!("{failure}: {error}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(door: &Router, method: Method, path: &str, body: &'static str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let response = door.clone().oneshot(request).await.unwrap();
        let code = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_door_speaks_gofail() {
        let door = router(Arc::default());
        let (name, path) = ("snapshot_file::block_loaded", "/snapshot_file::block_loaded");
        let disabled = (StatusCode::NOT_FOUND, "failed to GET: failpoint: failpoint is disabled\n".to_owned());
        assert_eq!(ask(&door, Method::GET, path, "").await, disabled);
        assert_eq!(ask(&door, Method::PUT, path, "0%off").await, (StatusCode::NO_CONTENT, String::new()));
        assert_eq!(ask(&door, Method::GET, path, "").await, (StatusCode::OK, "0%off\n".to_owned()));
        let (code, list) = ask(&door, Method::GET, "/", "").await;
        assert_eq!(code, StatusCode::OK);
        assert!(list.contains(&format!("\n{name}=0%off\n")) && list.contains("beforeCommit=\n"), "{list}");
        assert_eq!(ask(&door, Method::DELETE, path, "").await, (StatusCode::NO_CONTENT, String::new()));
        assert_eq!(ask(&door, Method::DELETE, path, "").await.0, StatusCode::BAD_REQUEST);
        let (code, text) = ask(&door, Method::PUT, path, "bang").await;
        assert_eq!(code, StatusCode::BAD_REQUEST);
        assert!(text.contains("fail to set failpoint") && text.contains("\"bang\""), "{text}");
        assert_eq!(ask(&door, Method::PUT, "/nothing", "off").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(
            ask(&door, Method::PUT, "/failpoints", "snapshot_file::block_loaded=0%off").await.0,
            StatusCode::NO_CONTENT
        );
        assert_eq!(ask(&door, Method::DELETE, path, "").await.0, StatusCode::NO_CONTENT);
        assert_eq!(ask(&door, Method::POST, "/", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused() {
        let error = serve("0.0.0.0:0", Arc::default()).unwrap_err();
        assert!(error.to_string().contains("not on loopback"), "{error}");
    }
}
