//! Serving a router on bound sockets: a task per connection, each bounded in time and number.
//!
//! ```text
//! slot (connections_max) ─► accept ─► first byte in time ─► [handshake slot ─► TLS in time] ─► HTTP ─► drained or cut
//! ```
//! A full listener leaves further connections in the kernel's backlog. What a connection does wrong ends that connection.
//! At shutdown nothing more is accepted, requests under way may end within `Options::drain`, then everything is cut.
//! Does not: bound the requests of a connection beyond `concurrent_streams_max`, check pings that come too often.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::config::{Config, Limits};

use super::authority::Repaired;
use super::connection::{Connection, Remote, Stream};
use super::listener::{Bound, BoundSocket, Speaks};
use super::{Listener, Metrics, tls};

/// Pause after an accept that failed for want of something (open files), so as not to spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Headers of an HTTP/1.1 request must have come within this time.
const HEADERS_SECONDS_MAX: Duration = Duration::from_secs(30);
/// Flow-control window of one HTTP/2 stream: larger than the largest usual request, so that it comes in one round trip.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// Flow-control window of a connection: a few such streams.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Streams that a client has reset and we have not yet seen off; gRPC clients cancel calls in bursts.
const RESET_STREAMS_MAX: usize = 1_024;

/// How a listener serves.
#[derive(Clone)]
pub struct Options {
    /// The listener's kind in logs and metrics: `client`, `peer`, `metrics`.
    pub name: &'static str,
    /// Bounds.
    pub limits: Limits,
    /// An HTTP/2 ping goes to a connection idle for this long; `None` never.
    pub keepalive_interval: Option<Duration>,
    /// Time to answer the ping.
    pub keepalive_timeout: Duration,
    /// Time for requests under way after shutdown has been asked for.
    pub drain: Duration,
    /// The TLS side; needed where a URL has `https` or `unixs`.
    pub tls: Option<tls::Server>,
    /// Counters.
    pub metrics: Metrics,
}

impl Options {
    /// Options of a kind of listener, from the store's settings.
    #[must_use]
    pub fn new(name: &'static str, config: &Config, tls: Option<tls::Server>, metrics: Metrics) -> Options {
        Options {
            name,
            limits: config.limits,
            keepalive_interval: Some(config.grpc_keepalive_interval).filter(|interval| !interval.is_zero()),
            keepalive_timeout: config.grpc_keepalive_timeout,
            drain: Duration::from_millis(250),
            tls,
            metrics,
        }
    }
}

/// Serves `router` on all sockets of `listener` until `shutdown`, then drains. Every request carries a [`Connection`]
/// extension, and tonic's `TcpConnectInfo` where it came over TCP.
///
/// # Cancel safety
/// Dropped, it cuts all its connections.
pub async fn serve(listener: Listener, router: Router, options: Options, shutdown: CancellationToken) {
    let drain = options.drain;
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let shared = Arc::new(Shared {
        slots: Arc::new(Semaphore::new(options.limits.connections_max)),
        handshakes: Semaphore::new(options.limits.tls_handshakes_max),
        http: http_builder(&options),
        options,
        router,
        shutdown,
        cut: cut.clone(),
    });
    let connections = TaskTracker::new();
    futures::future::join_all(listener.sockets.into_iter().map(|bound| accept_all(bound, &shared, &connections))).await;
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        cut.cancel();
        connections.wait().await;
    }
}

/// What all connections of a listener share.
struct Shared {
    options: Options,
    router: Router,
    http: Builder<TokioExecutor>,
    slots: Arc<Semaphore>,
    handshakes: Semaphore,
    shutdown: CancellationToken,
    cut: CancellationToken,
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error("it sent nothing in time")]
    Silent,
    #[error("it was closed before it sent anything")]
    Closed,
    #[error("its TLS handshake took too long")]
    Slow,
    #[error("{0}")]
    Handshake(io::Error),
    #[error("TLS is not set up for this listener")]
    NoTls,
}

fn http_builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_SECONDS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .max_concurrent_streams(options.limits.concurrent_streams_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX);
    builder
}

async fn accept_all(bound: Bound, shared: &Arc<Shared>, connections: &TaskTracker) {
    loop {
        let accepted = async {
            let slot = Arc::clone(&shared.slots).acquire_owned().await.expect("the semaphore is never closed");
            (slot, accept(&bound.socket).await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((socket, remote)) => {
                let shared = Arc::clone(shared);
                let speaks = bound.speaks;
                connections.spawn(async move {
                    tokio::select! {
                        biased;
                        () = shared.cut.cancelled() => {}
                        () = connection(&shared, socket, remote, speaks, slot) => {}
                    }
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(listener = shared.options.name, error = %error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// A socket just accepted.
enum Socket {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(socket: &BoundSocket) -> io::Result<(Socket, Remote)> {
    match socket {
        BoundSocket::Tcp(socket) => {
            let (stream, remote) = socket.accept().await?;
            let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
            Ok((Socket::Tcp(stream), Remote::Tcp(remote)))
        }
        BoundSocket::Unix { socket, .. } => Ok((Socket::Unix(socket.accept().await?.0), Remote::Unix)),
    }
}

/// Whether an accept failed because the connection had already gone.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(shared: &Arc<Shared>, socket: Socket, remote: Remote, speaks: Speaks, _slot: OwnedSemaphorePermit) {
    let name = shared.options.name;
    let open = shared.options.metrics.connections.with_label_values(&[name]);
    open.inc();
    let _closed = scopeguard(move || open.dec());
    match establish(shared, socket, remote, speaks).await {
        Ok((stream, connection)) => serve_http(shared, stream, connection).await,
        Err(Rejected::Closed) => {} // probes of load balancers do this all day
        Err(rejected) => {
            shared.options.metrics.handshake_failures.with_label_values(&[name]).inc();
            tracing::warn!(listener = name, "remote-addr" = %remote, error = %rejected, "rejected connection");
        }
    }
}

/// Runs `on_drop` when the value is dropped, on every way out.
fn scopeguard<F: FnOnce()>(on_drop: F) -> impl Drop {
    struct Guard<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Guard<F> {
        fn drop(&mut self) {
            if let Some(on_drop) = self.0.take() {
                on_drop();
            }
        }
    }
    Guard(Some(on_drop))
}

/// Waits for the first byte and, where TLS is spoken, for the handshake.
async fn establish(
    shared: &Shared,
    socket: Socket,
    remote: Remote,
    speaks: Speaks,
) -> Result<(Stream, Connection), Rejected> {
    let limits = &shared.options.limits;
    let first_byte = tokio::time::timeout(Duration::from_secs(limits.first_byte_seconds_max), first_byte(&socket));
    let first_byte = tokio::select! {
        biased;
        () = shared.shutdown.cancelled() => return Err(Rejected::Closed),
        byte = first_byte => byte.map_err(|_| Rejected::Silent)?.map_err(|_| Rejected::Closed)?,
    };
    let mut connection = Connection { listener: shared.options.name, remote, is_tls: false, certificate: None };
    let stream: Stream = match socket {
        Socket::Tcp(stream) => {
            stream.set_nodelay(true).map_err(|_| Rejected::Closed)?;
            Box::new(stream)
        }
        Socket::Unix(stream) => Box::new(stream),
    };
    /// The first byte of every TLS handshake (RFC 8446, section 5.1).
    const HANDSHAKE: u8 = 22;
    let is_tls = match speaks {
        Speaks::Plain => false,
        Speaks::Tls => true,
        Speaks::Both => first_byte == Some(HANDSHAKE),
    };
    if !is_tls {
        return Ok((stream, connection));
    }
    let server = shared.options.tls.as_ref().ok_or(Rejected::NoTls)?;
    let ip = match remote {
        Remote::Tcp(address) => Some(address.ip()),
        Remote::Unix => None,
    };
    let handshake = async {
        let _slot = shared.handshakes.acquire().await.expect("the semaphore is never closed");
        server.accept(stream, ip).await.map_err(Rejected::Handshake)
    };
    let deadline = Duration::from_secs(limits.tls_handshake_seconds_max);
    let (stream, certificate) = tokio::time::timeout(deadline, handshake).await.map_err(|_| Rejected::Slow)??;
    connection.is_tls = true;
    connection.certificate = certificate.map(Arc::new);
    Ok((Box::new(stream), connection))
}

/// Waits until something has come in and gives the first byte without taking it; `None` for unix sockets, which have no peek.
async fn first_byte(socket: &Socket) -> io::Result<Option<u8>> {
    match socket {
        Socket::Tcp(stream) => {
            let mut byte = [0];
            match stream.peek(&mut byte).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(Some(byte[0])),
            }
        }
        Socket::Unix(stream) => stream.readable().await.map(|()| None),
    }
}

/// Speaks HTTP/1.1 or HTTP/2, whichever comes, until the client leaves or shutdown has drained it.
async fn serve_http(shared: &Arc<Shared>, stream: Stream, connection: Connection) {
    let router = shared.router.clone();
    let tcp = match connection.remote {
        Remote::Tcp(remote) => {
            Some(tonic::transport::server::TcpConnectInfo { local_addr: None, remote_addr: Some(remote) })
        }
        Remote::Unix => None,
    };
    let remote = connection.remote;
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        if let Some(tcp) = &tcp {
            request.extensions_mut().insert(tcp.clone());
        }
        router.clone().call(request)
    });
    let stream = TokioIo::new(Repaired::new(stream));
    let serving = shared.http.serve_connection(stream, service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = shared.shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(listener = shared.options.name, "remote-addr" = %remote, error = %error, "connection ended");
    }
}

#[cfg(test)]
mod serve_test;
