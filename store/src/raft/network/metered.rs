//! Calls between members, counted where they pass: bytes each way, failures, and whether the other end is there.
//!
//! [`Called`] wraps the way to a peer, [`Serving`] a service for peers. Both count what their messages take on the wire
//! before compression and framing of HTTP/2, as etcd counts its messages. A call that is given up before it was answered
//! has failed.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use prometheus::IntCounter;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::contact::{Contact, Contacts};
use super::hello;
use super::way::{Failure, Way};

/// The way to one peer.
#[derive(Clone)]
pub(crate) struct Called {
    way: Way,
    contact: Arc<Contact>,
}

impl Called {
    pub(super) fn new(way: Way, contact: Arc<Contact>) -> Called {
        Called { way, contact }
    }
}

impl Service<Request<Body>> for Called {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let ready = ready!(self.way.poll_ready(cx));
        if ready.is_err() {
            self.contact.sent_failures.inc();
            self.contact.is_lost();
        }
        Poll::Ready(ready)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let contact = Arc::clone(&self.contact);
        let sent = contact.sent_bytes.clone();
        let answer = self.way.call(request.map(|body| Counted::wrap(body, sent, None)));
        Box::pin(async move {
            let mut unanswered = Unanswered(Some(&contact));
            let answer = answer.await;
            unanswered.0 = None;
            match answer {
                Ok(response) => {
                    contact.answered();
                    let received = contact.received_bytes.clone();
                    Ok(response.map(|body| Counted::wrap(body, received, Some(Arc::clone(&contact)))))
                }
                Err(error) => {
                    contact.sent_failures.inc();
                    contact.is_lost();
                    Err(error)
                }
            }
        })
    }
}

/// Dropped while it holds the way to the peer, the call was given up.
struct Unanswered<'a>(Option<&'a Contact>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(contact) = self.0 {
            contact.sent_failures.inc();
        }
    }
}

/// A service that peers call.
#[derive(Clone)]
pub(super) struct Serving<S> {
    service: S,
    contacts: Contacts,
}

impl<S> Serving<S> {
    pub(super) fn new(service: S, contacts: Contacts) -> Serving<S> {
        Serving { service, contacts }
    }
}

impl<S: NamedService> NamedService for Serving<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Serving<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(contact) = hello::caller(request.headers()).and_then(|caller| self.contacts.known(caller)) else {
            return Box::pin(self.service.call(request));
        };
        let received = contact.received_bytes.clone();
        let broken = Some(Arc::clone(&contact));
        let answer = self.service.call(request.map(|body| Counted::wrap(body, received, broken)));
        Box::pin(async move {
            let sent = contact.sent_bytes.clone();
            Ok(answer.await?.map(|body| Counted::wrap(body, sent, None)))
        })
    }
}

/// A body whose bytes are counted.
struct Counted {
    body: Body,
    bytes: IntCounter,
    /// Whose failure it is when the body breaks off.
    from: Option<Arc<Contact>>,
}

impl Counted {
    fn wrap(body: Body, bytes: IntCounter, from: Option<Arc<Contact>>) -> Body {
        Body::new(Counted { body, bytes, from })
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.bytes.inc_by(data.len() as u64);
                }
            }
            Some(Err(_)) => {
                if let Some(from) = self.from.take() {
                    from.received_failures.inc();
                    from.is_lost();
                }
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
