//! Which address serves what: the listeners of one member, bound before anything is answered.

use std::path::Path;

use axum::Router;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Tls, Url};
use crate::net::tls::{Server, Side};
use crate::net::{self, Listener, Options};

/// A bound listener and how it serves.
type Bound = Option<(Listener, Options)>;

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
    pub(crate) fn bind(config: &Config, metrics: &net::Metrics) -> Result<Listeners, net::Error> {
        let bind = |flag, urls: &[Url], tls: &Tls, side, name| -> Result<Bound, net::Error> {
            if urls.is_empty() {
                return Ok(None);
            }
            let listener = Listener::bind(flag, urls, config.socket_reuse_port)?;
            let tls = server_tls(urls, tls, side, &config.data_dir)?;
            Ok(Some((listener, Options::new(name, config, tls, metrics.clone()))))
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
        serve(self.peers.take(), &routes.peers, tasks, stop);
    }

    /// Serves clients and whoever scrapes.
    pub(crate) fn serve_clients<E: Send + 'static>(
        self,
        routes: &Routes,
        tasks: &mut JoinSet<Result<(), E>>,
        stop: &CancellationToken,
    ) {
        let clients = if self.http.is_some() { &routes.grpc } else { &routes.both };
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
    let Some((listener, options)) = bound else { return };
    let (router, stop) = (router.clone(), stop.clone());
    tasks.spawn(async move {
        net::serve(listener, router, options, stop).await;
        Ok(())
    });
}

fn server_tls(urls: &[Url], tls: &Tls, side: Side, data_dir: &Path) -> Result<Option<Server>, net::Error> {
    if !urls.iter().any(Url::is_tls) {
        return Ok(None);
    }
    let hosts: Vec<String> = urls.iter().map(|url| url.host().to_owned()).collect();
    Ok(Some(Server::new(tls, side, data_dir, &hosts)?))
}
