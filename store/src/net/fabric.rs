//! A network inside this process: names in place of addresses, and requests handed over in place of bytes.
//!
//! A simulation brings one. Does not: carry TLS, bytes or connections; what it does to a request is its own affair.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::raft::InProcess;

/// What answers at an address of a [`Fabric`].
pub type Served = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A network inside this process.
pub trait Fabric: Send + Sync {
    /// The way to `url`, whether anybody serves there or not.
    fn way(&self, url: &str) -> InProcess;

    /// Lets `service` answer at `url` until the future ends or is dropped; it ends with `stop`.
    fn serve(&self, url: &str, service: Served, stop: CancellationToken) -> BoxFuture<'static, ()>;
}

/// How members and clients reach each other.
#[derive(Clone)]
pub enum Network {
    /// Over sockets, with HTTP/2 and TLS as configured.
    Sockets,
    /// By names in this process: the first URL of each listener.
    InProcess(Arc<dyn Fabric>),
}

/// Routes as they answer in a [`Fabric`].
pub(crate) fn served(router: Router) -> Served {
    let service = router
        .map_request(|request: Request<Body>| request.map(axum::body::Body::new))
        .map_response(|response: Response<axum::body::Body>| response.map(Body::new));
    BoxCloneSyncService::new(service)
}
