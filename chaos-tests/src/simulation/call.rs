//! A call over the simulated network: the caller's half, and the half that a service answers.
//!
//! As over HTTP/2, a caller that drops an answer is heard of only when its request has ended, too; a service that has
//! answered in full ends the call; whoever waits when the other end is gone hears that the connection was reset.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fairlead_store::net::Served;
use fairlead_store::raft::Failure;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use super::network::{Network, Piece, Sender, What};

/// The way from a host to a URL.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) network: Network,
    pub(crate) from: Sender,
    pub(crate) url: String,
}

impl Service<Request<Body>> for Caller {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Response<Body>, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(opened) = self.network.open(self.from.host, &self.url) else {
            return Box::pin(async { Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()) });
        };
        let (head, body) = request.into_parts();
        self.network.post(self.from, opened.id, What::Ask(head));
        let caller = Arc::new(Half { network: self.network.clone(), from: self.from, call: opened.id });
        drop(tokio::spawn(send_body(Arc::clone(&caller), body, What::ToServer, opened.over)));
        Box::pin(async move {
            let head = opened.head.await.unwrap_or_else(|_| Err(reset().into()))?;
            let answer = Received { pieces: opened.down, _caller: Some(caller), ended: false };
            Ok(Response::from_parts(head, Body::new(answer)))
        })
    }
}

fn reset() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

/// One end of a call. When its last user drops it, the other end hears that it is gone; without effect where the call is over.
struct Half {
    network: Network,
    from: Sender,
    call: u64,
}

impl Half {
    fn post(&self, what: What) {
        self.network.post(self.from, self.call, what);
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.post(What::Reset);
    }
}

/// Sends a body until it ends or the call is over.
async fn send_body(half: Arc<Half>, body: Body, as_what: fn(Piece) -> What, over: CancellationToken) {
    let sending = async {
        let mut body = pin!(body);
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            match frame {
                Ok(frame) => half.post(as_what(Piece::Frame(frame))),
                Err(_) => return half.post(What::Reset),
            }
        }
        half.post(as_what(Piece::End));
    };
    // `None`: nobody takes it any more.
    over.run_until_cancelled(sending).await.unwrap_or_default();
}

/// Answers a call on the runtime of its host.
pub(crate) async fn serve(
    network: Network,
    server: Sender,
    call: u64,
    service: Served,
    request: Request<mpsc::Receiver<Piece>>,
    over: CancellationToken,
) {
    let half = Arc::new(Half { network, from: server, call });
    let request = request.map(|pieces| Body::new(Received { pieces, _caller: None, ended: false }));
    let answering = async {
        let Ok(answer) = service.oneshot(request).await;
        let (head, body) = answer.into_parts();
        half.post(What::Head(head));
        body
    };
    if let Some(body) = over.run_until_cancelled(answering).await {
        send_body(half, body, What::ToClient, over).await;
    }
}

/// A body as it arrives.
struct Received {
    pieces: mpsc::Receiver<Piece>,
    /// The caller's end, held as long as the answer is.
    _caller: Option<Arc<Half>>,
    ended: bool,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Frame(frame)) => Some(Ok(frame)),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(reset().into()))
            }
        })
    }
}
