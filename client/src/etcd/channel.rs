//! A way to one member: a connection that is made when first used and made anew when lost, or anything in the process
//! that answers gRPC requests.
//!
//! Promises: a request is sent at most once; a failed connection is told apart from a failed request (see
//! [`super::Error`]). Does not: choose between members ([`super::endpoints`]).

use std::future::Future;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};

use super::error::{BoxError, Error};
use super::tls::Tls;

/// HTTP/2 window of a stream: a large range comes without a stop for every 64 KiB.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// HTTP/2 window of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Requests that may wait for a connection.
const WAITING_REQUESTS_MAX: usize = 1024;

/// How a connection is made and kept.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Bound on connecting and the TLS handshake. Default 2 s, as etcdctl's `--dial-timeout`.
    pub timeout: Duration,
    /// Silence on a connection in use after which the member is asked for a sign of life. Default 6 s: etcd takes
    /// anything under 5 s for an attack (`--grpc-keepalive-min-time`).
    pub keep_alive_interval: Duration,
    /// How long that sign may take before the connection counts as lost. Default 3 s.
    pub keep_alive_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            timeout: Duration::from_secs(2),
            keep_alive_interval: Duration::from_secs(6),
            keep_alive_timeout: Duration::from_secs(3),
        }
    }
}

/// A way to one member; cheap to clone, all clones share it.
#[derive(Clone, Debug)]
pub struct Channel(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl Channel {
    /// To `http://host:port`, `https://host:port` or `host:port`. Connects when first used.
    ///
    /// # Errors
    /// [`Error::Endpoint`] when the URL cannot be used: another scheme, no host, `https` without `tls`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn to(endpoint: &str, tls: Option<&Tls>, options: ConnectOptions) -> Result<Self, Error> {
        let target = Target::parse(endpoint, tls)?;
        Ok(Self::connector(target.origin(), options, move || target.clone().connect(options.timeout)))
    }

    /// Over whatever `connect` makes: one half of a [`tokio::io::duplex`], a Unix socket, a stream with faults.
    /// `connect` is called again when the connection is lost.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connector<C, F, S>(origin: Uri, options: ConnectOptions, connect: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connector = service_fn(move |_: Uri| {
            let connecting = connect();
            async move { connecting.await.map(TokioIo::new) }
        });
        let channel = tonic::transport::Channel::builder(origin)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .buffer_size(WAITING_REQUESTS_MAX)
            .http2_keep_alive_interval(options.keep_alive_interval)
            .keep_alive_timeout(options.keep_alive_timeout)
            .connect_with_connector_lazy(connector);
        Self::service(channel)
    }

    /// Straight into a gRPC service in this process, such as a generated server or tonic's `Routes`: no socket, no
    /// HTTP/2.
    ///
    /// ```
    /// use fairlead_client::etcd::{Channel, Client, Options, kv};
    /// use http::{Request, Response};
    /// use tonic::body::Body;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// // A member that refuses everything.
    /// let member = tower::service_fn(|_: Request<Body>| async {
    ///     let no = tonic::Status::unavailable("etcdserver: no leader");
    ///     Ok::<_, std::convert::Infallible>(no.into_http::<Body>())
    /// });
    /// let client = Client::over([("in-process".to_owned(), Channel::service(member))], Options::default())?;
    /// let error = client.put(kv::put("a", "1")).await.expect_err("it refuses everything");
    /// assert_eq!(error.to_string(), "in-process refused: etcdserver: no leader");
    /// assert!(!error.is_outcome_unknown());
    /// # Ok(())
    /// # }
    /// ```
    pub fn service<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_response(|response: Response<B>| response.map(Body::new)).map_err(Into::into);
        Channel(BoxCloneSyncService::new(service))
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

/// A member's address, taken apart.
#[derive(Clone)]
struct Target {
    host: String,
    port: u16,
    tls: Option<Tls>,
}

impl Target {
    fn parse(endpoint: &str, tls: Option<&Tls>) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Endpoint { endpoint: endpoint.to_owned(), reason };
        let (scheme, address) = endpoint.split_once("://").unwrap_or(("http", endpoint));
        let tls = match (scheme, tls) {
            ("http", _) => None,
            ("https", Some(tls)) => Some(tls.clone()),
            ("https", None) => return Err(unusable("https needs a CA".to_owned())),
            _ => return Err(unusable(format!("scheme {scheme:?} is neither http nor https"))),
        };
        let uri: Uri = format!("http://{address}").parse().map_err(|error| unusable(format!("{error}")))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| unusable("no host".to_owned()))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(unusable("it has a path".to_owned()));
        }
        let port = uri.port_u16().ok_or_else(|| unusable("no port".to_owned()))?;
        // An IPv6 host has brackets in a URL and none for the resolver or a certificate.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Target { host, port, tls })
    }

    /// `:scheme` and `:authority` of each request.
    fn origin(&self) -> Uri {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port).parse().expect("its parts were parsed from a URI")
    }

    async fn connect(self, timeout: Duration) -> std::io::Result<Box<dyn Stream>> {
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match &self.tls {
                None => Box::new(stream),
                Some(tls) => Box::new(tls.handshake(&self.host, stream).await?),
            };
            Ok(stream)
        };
        let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no connection within {timeout:?}"));
        tokio::time::timeout(timeout, connecting).await.map_err(late)?
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_bad_ones_are_named() {
        let target = Target::parse("127.0.0.1:2379", None).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 2379));
        let target = Target::parse("http://[::1]:1", None).unwrap();
        assert_eq!((target.host.as_str(), target.origin().to_string().as_str()), ("::1", "http://[::1]:1/"));
        for (endpoint, reason) in [
            ("https://a:1", "needs a CA"),
            ("ftp://a:1", "scheme \"ftp\""),
            ("http://a", "no port"),
            ("http://a:1/v3", "a path"),
            ("http:// :1", "invalid"),
        ] {
            let error = Target::parse(endpoint, None).map(|_| ()).expect_err(endpoint).to_string();
            assert!(error.contains(reason), "{endpoint}: {error}");
        }
    }
}
