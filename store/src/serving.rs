//! Which address serves what: the listeners of one member, bound before anything is answered.
//!
//! In a simulation an address is a name in a [`Fabric`], which carries requests to what serves there.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Tls, Url};
use crate::net::tls::{Server, Side};
use crate::net::{self, Fabric, Listener, Network, Options};

/// An address that something may be served at.
enum Bound {
    Nothing,
    Socket(Box<(Listener, Options)>),
    Name(Arc<dyn Fabric>, String),
}

/// All listeners of a member.
pub(crate) struct Listeners {
    peers: Bound,
    clients: Bound,
    http: Bound,
    metrics: Bound,
}

/// What the listeners serve.
pub(crate) struct Routes {
    /// To members.
    pub(crate) peers: Router,
    /// gRPC to clients.
    pub(crate) grpc: Router,
    /// gRPC and plain HTTP to clients, on one port.
    pub(crate) both: Router,
    /// Plain HTTP to clients.
    pub(crate) http: Router,
    /// Metrics and health.
    pub(crate) metrics: Router,
}

impl Listeners {
    /// Binds every address that `config` names.
    ///
    /// # Errors
    /// The first address that cannot be bound, or the first certificate that cannot be used.
    pub(crate) fn bind(config: &Config, network: &Network, metrics: &net::Metrics) -> Result<Listeners, net::Error> {
        let bind = |flag, urls: &[Url], tls: &Tls, side, name| -> Result<Bound, net::Error> {
            let Some(first) = urls.first() else { return Ok(Bound::Nothing) };
            if let Network::InProcess(fabric) = network {
                return Ok(Bound::Name(Arc::clone(fabric), first.to_string()));
            }
            let listener = Listener::bind(flag, urls, config.socket_reuse_port)?;
            let tls = server_tls(urls, tls, side, &config.data_dir)?;
            Ok(Bound::Socket(Box::new((listener, Options::new(name, config, tls, metrics.clone())))))
        };
        let (client, peer) = (&config.client_tls, &config.peer_tls);
        Ok(Listeners {
            peers: bind("--listen-peer-urls", &config.listen_peer_urls, peer, Side::Peer, "peer")?,
            clients: bind("--listen-client-urls", &config.listen_client_urls, client, Side::Client, "client")?,
            http: bind("--listen-client-http-urls", &config.listen_client_http_urls, client, Side::Client, "http")?,
            metrics: bind("--listen-metrics-urls", &config.listen_metrics_urls, client, Side::Metrics, "metrics")?,
        })
    }

    /// Serves members; clients follow when raft runs.
    pub(crate) fn serve_peers<E: Send + 'static>(
        &mut self,
        routes: &Routes,
        tasks: &mut JoinSet<Result<(), E>>,
        stop: &CancellationToken,
    ) {
        serve(std::mem::replace(&mut self.peers, Bound::Nothing), &routes.peers, tasks, stop);
    }

    /// Serves clients and whoever scrapes.
    pub(crate) fn serve_clients<E: Send + 'static>(
        self,
        routes: &Routes,
        tasks: &mut JoinSet<Result<(), E>>,
        stop: &CancellationToken,
    ) {
        let clients = if matches!(self.http, Bound::Nothing) { &routes.both } else { &routes.grpc };
        serve(self.clients, clients, tasks, stop);
        serve(self.http, &routes.http, tasks, stop);
        serve(self.metrics, &routes.metrics, tasks, stop);
    }
}

fn serve<E: Send + 'static>(
    bound: Bound,
    router: &Router,
    tasks: &mut JoinSet<Result<(), E>>,
    stop: &CancellationToken,
) {
    let (router, stop) = (router.clone(), stop.clone());
    match bound {
        Bound::Nothing => {}
        Bound::Socket(bound) => {
            let (listener, options) = *bound;
            tasks.spawn(async move {
                net::serve(listener, router, options, stop).await;
                Ok(())
            });
        }
        Bound::Name(fabric, url) => {
            let serving = fabric.serve(&url, net::served(router), stop);
            tasks.spawn(async move {
                serving.await;
                Ok(())
            });
        }
    }
}

fn server_tls(urls: &[Url], tls: &Tls, side: Side, data_dir: &Path) -> Result<Option<Server>, net::Error> {
    if !urls.iter().any(Url::is_tls) {
        return Ok(None);
    }
    let hosts: Vec<String> = urls.iter().map(|url| url.host().to_owned()).collect();
    Ok(Some(Server::new(tls, side, data_dir, &hosts)?))
}
