//! Connections to other members, as tonic channels that dial when they are first used.
//!
//! A channel reconnects by itself; a member that stops answering is noticed by HTTP/2 pings and by the kernel
//! (`TCP_USER_TIMEOUT`), since a blackholed line never reports an error.
//! Does not: choose among the URLs of a member, retry a call.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::config::{Tls, Url};

use super::connection::Stream;
use super::{Error, tls};

/// Name resolution, TCP and TLS together may take this long.
const CONNECT_SECONDS_MAX: u64 = 5;
/// Sent data must be acknowledged within this time.
const UNACKNOWLEDGED_MILLIS_MAX: u32 = 5_000;
/// An HTTP/2 ping goes out after this silence.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Time to answer the ping.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Flow-control window of one stream: a snapshot chunk or a large append in one round trip.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// Flow-control window of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Dials members. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    tls: Option<tls::Client>,
}

impl Connector {
    /// A connector with the peer side's certificates, for members at `urls`. TLS is set up when it could be needed, that is
    /// when a certificate, a CA or `peer-auto-tls` is set, or when one of `urls` has TLS.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn new(tls: &Tls, urls: &[Url]) -> Result<Connector, Error> {
        let needed = urls.iter().any(Url::is_tls);
        if !needed && !tls.has_certificate() && tls.trusted_ca_file.is_none() {
            return Ok(Connector { tls: None });
        }
        match tls::Client::new(tls) {
            Ok(client) => Ok(Connector { tls: Some(client) }),
            Err(error) if needed || tls.trusted_ca_file.is_some() => Err(error.into()),
            Err(error) => {
                // Nobody to dial by TLS so far; a machine without any CA must not keep such a member from starting.
                tracing::warn!(error = %error, "no TLS towards other members");
                Ok(Connector { tls: None })
            }
        }
    }

    /// What dials `url`, for `Endpoint::connect_with_connector`.
    #[must_use]
    pub fn dial(&self, url: &Url) -> Dial {
        Dial { url: url.clone(), tls: self.tls.clone() }
    }

    /// An endpoint for `url` with pings, windows and no delay set. The scheme in it is always `http`, since TLS is the
    /// connector's business.
    #[must_use]
    pub fn endpoint(&self, url: &Url) -> Endpoint {
        let authority = if url.is_unix() { "localhost" } else { url.address() };
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query("/").build();
        // An authority that HTTP does not know can only come from an odd host name; it is dialled by `url` all the same.
        Endpoint::from(uri.unwrap_or_else(|_| Uri::from_static("http://member")))
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
    }

    /// A channel that dials when it is first used.
    #[must_use]
    pub fn channel(&self, url: &Url) -> Channel {
        self.endpoint(url).connect_with_connector_lazy(self.dial(url))
    }
}

/// Dials one URL, whatever URI it is called with.
#[derive(Clone)]
pub struct Dial {
    url: Url,
    tls: Option<tls::Client>,
}

impl Dial {
    async fn connect(self) -> Result<Stream, Error> {
        let url = self.url.clone();
        tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS_MAX), self.connect_unbounded())
            .await
            .unwrap_or(Err(Error::Timeout { url, seconds: CONNECT_SECONDS_MAX }))
    }

    async fn connect_unbounded(self) -> Result<Stream, Error> {
        let Dial { url, tls } = self;
        let stream: Stream = if url.is_unix() {
            let stream = UnixStream::connect(url.address()).await;
            Box::new(stream.map_err(|source| Error::Connect { url: url.clone(), source })?)
        } else {
            Box::new(dial_tcp(&url).await?)
        };
        if !url.is_tls() {
            return Ok(stream);
        }
        let Some(tls) = tls else {
            let source = io::Error::other(
                "no peer TLS is set up on this member; see --peer-cert-file and --peer-trusted-ca-file",
            );
            return Err(Error::Handshake { url, source });
        };
        let stream = tls.connect(url.host(), stream).await.map_err(|source| Error::Handshake { url, source })?;
        Ok(Box::new(stream))
    }
}

/// Tries each address of the host in turn.
async fn dial_tcp(url: &Url) -> Result<TcpStream, Error> {
    let addresses = tokio::net::lookup_host((url.host(), url.port()))
        .await
        .map_err(|source| Error::Resolve { url: url.clone(), source })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await.and_then(tuned) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Error::Connect { url: url.clone(), source: last })
}

fn tuned(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MILLIS_MAX)?;
    Ok(stream)
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move { dial.connect().await.map(TokioIo::new) })
    }
}
