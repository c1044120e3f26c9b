//! The way to a peer: a connection, or anything in this process that answers gRPC requests, which simulated members use.

use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, Either};
use futures::{FutureExt as _, TryFutureExt as _};
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;
use tower::util::BoxCloneSyncService;

/// Why a call found no way, or no answer. An error of the system is among its causes.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What answers gRPC requests in this process.
pub type InProcess = BoxCloneSyncService<Request<Body>, Response<Body>, Failure>;

/// A way to one address; clones share it.
#[derive(Clone, Debug)]
pub enum Way {
    /// A connection, made when first used and made anew when lost.
    Connection(Channel),
    /// No socket and no HTTP/2.
    InProcess(InProcess),
}

impl Service<Request<Body>> for Way {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Either<
        futures::future::ErrInto<tonic::transport::channel::ResponseFuture, Failure>,
        BoxFuture<'static, Result<Response<Body>, Failure>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Way::Connection(channel) => Poll::Ready(ready!(channel.poll_ready(cx)).map_err(Into::into)),
            Way::InProcess(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Way::Connection(channel) => channel.call(request).err_into().left_future(),
            Way::InProcess(service) => service.call(request).right_future(),
        }
    }
}
