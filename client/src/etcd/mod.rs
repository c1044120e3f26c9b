//! A thin client of etcd's gRPC API, for Fairlead's store and for etcd.
//!
//! Requests and answers are the wire's own types ([`pb`], [`mvccpb`]) with shared bytes; [`kv`] has constructors for the
//! common requests. Any number of end-points, taken in turn:
//!
//! - a **read** that gets no answer is asked again of the next end-point;
//! - a **write** is sent once. Only a connection that could not be made lets the next end-point have it. Errors tell
//!   "refused" from "outcome unknown" ([`Error`]);
//! - a [`Watch`] goes on at another end-point where it was cut off, without gap or repeat;
//! - a [`KeepAlive`] renews a lease at whatever end-point answers, and says so when its own clock says that it is lost.
//!
//! ```no_run
//! use fairlead_client::etcd::{Client, Options, Update, kv};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let client = Client::connect(["http://127.0.0.1:2379", "http://127.0.0.1:22379"], Options::default())?;
//! let put = client.put(kv::put("greeting", "hello")).await?;
//! let revision = put.header.map_or(0, |header| header.revision);
//!
//! let mut watch = client.watch(kv::watch_prefix("greet").from(revision));
//! if let Update::Events { events, .. } = watch.next().await? {
//!     assert_eq!(events[0].kv.as_ref().map(|kv| &kv.value[..]), Some(&b"hello"[..]));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Does not: log in (authentication is a later issue), cache, discover members.

mod channel;
mod endpoints;
mod error;
pub mod kv;
mod lease;
mod maintenance;
mod tls;
mod watch;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::{Code, Response, Status};

pub use channel::{Channel, ConnectOptions};
pub use error::{BoxError, Error};
pub use fairlead_proto::etcd::{etcdserverpb as pb, mvccpb};
pub use kv::RangeStream;
pub use lease::{KeepAlive, Lost};
pub use maintenance::SnapshotStream;
pub use tls::{Identity, Tls, TlsOptions};
pub use watch::{Update, Watch, WatchOptions};

use endpoints::{Endpoint, Endpoints};
use error::Effect;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// TLS for `https` end-points. Default none.
    pub tls: Option<Tls>,
    /// How connections are made and kept.
    pub connect: ConnectOptions,
    /// Bound on a call, all end-points together. Default 10 s: etcd's own budget for a write is 7 s at default timing.
    pub request_timeout: Duration,
    /// Bound on asking one end-point for a read, before the next one is asked. Default 3 s.
    pub read_attempt_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            tls: None,
            connect: ConnectOptions::default(),
            request_timeout: Duration::from_secs(10),
            read_attempt_timeout: Duration::from_secs(3),
        }
    }
}

/// A client of one cluster; cheap to clone, all clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Arc<Endpoints>,
    options: Arc<Options>,
}

impl Client {
    /// A client of the members at these URLs (see [`Channel::to`]). Connects when first used.
    ///
    /// # Errors
    /// [`Error::Endpoint`] when one of them cannot be used, or when there is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect<I>(endpoints: I, options: Options) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let channel = |endpoint: String| {
            let channel = Channel::to(&endpoint, options.tls.as_ref(), options.connect)?;
            Ok((endpoint, channel))
        };
        let channels: Result<Vec<_>, Error> = endpoints.into_iter().map(|endpoint| channel(endpoint.into())).collect();
        Self::over(channels?, options)
    }

    /// A client over ready-made channels, each with the name it has in errors.
    ///
    /// # Errors
    /// [`Error::Endpoint`] when there is none.
    pub fn over(channels: impl IntoIterator<Item = (String, Channel)>, options: Options) -> Result<Self, Error> {
        let none = || Error::Endpoint { endpoint: String::new(), reason: "none was given".to_owned() };
        let endpoints = Endpoints::new(channels).ok_or_else(none)?;
        Ok(Client { endpoints: Arc::new(endpoints), options: Arc::new(options) })
    }

    /// The end-points' names, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(|endpoint| endpoint.name.as_str())
    }

    /// A client of that one end-point only, over the same connection: for what concerns a member, not the cluster.
    #[must_use]
    pub fn only(&self, endpoint: &str) -> Option<Client> {
        let endpoints = self.endpoints.only(endpoint)?;
        Some(Client { endpoints: Arc::new(endpoints), options: Arc::clone(&self.options) })
    }

    /// Whose turn it is, for a stream.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        self.endpoints.next()
    }

    pub(crate) fn endpoint_count(&self) -> usize {
        self.endpoints.len()
    }

    /// A unary call, or the opening of a server's stream.
    pub(crate) async fn call<R, T, F, Sent>(&self, effect: Effect, request: R, send: F) -> Result<T, Error>
    where
        R: Clone,
        F: Fn(Channel, R) -> Sent,
        Sent: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.options.request_timeout;
        // A lone end-point is asked twice: its old connection may have broken unnoticed.
        let attempts_max = self.endpoints.len().max(2);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let endpoint = self.endpoints.next();
            let limit = match effect {
                Effect::Write => deadline,
                Effect::Read => deadline.min(Instant::now() + self.options.read_attempt_timeout),
            };
            let error = match timeout_at(limit, send(endpoint.channel.clone(), request.clone())).await {
                Ok(Ok(response)) => {
                    endpoint.answered();
                    return Ok(response.into_inner());
                }
                Ok(Err(status)) => Error::from_status(effect, &endpoint.name, status),
                Err(_) => Error::no_answer_in_time(effect, &endpoint.name),
            };
            match &error {
                Error::Refused { code, .. } if *code != Code::Unavailable => endpoint.answered(),
                _ => endpoint.failed(),
            }
            if !error.can_fail_over() || attempts == attempts_max || Instant::now() >= deadline {
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
mod mod_test;
