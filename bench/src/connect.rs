//! Connections to a target: plain tonic channels, the same for all targets.

use std::time::Duration;

use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::transport::{Channel, Endpoint};

use crate::Error;

/// Connections that clients share; more would measure the kernel.
pub(crate) const CONNECTIONS_MAX: usize = 16;
/// No answer within this is an error.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A reply of 10,000 keys of 1 KiB has 11 MB.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// So many channels, spread over the endpoints in turn; never more than [`CONNECTIONS_MAX`].
pub(crate) async fn channels(endpoints: &[String], clients: usize) -> Result<Vec<Channel>, Error> {
    let mut channels = Vec::new();
    for url in endpoints.iter().cycle().take(clients.clamp(1, CONNECTIONS_MAX)) {
        channels.push(channel(url).await?);
    }
    Ok(channels)
}

/// One channel.
pub(crate) async fn channel(url: &str) -> Result<Channel, Error> {
    let failed = |source| Error::Connect { url: url.to_owned(), source };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(failed)?;
    // As Go's client does, which has no fixed windows either.
    let endpoint = endpoint.tcp_nodelay(true).http2_adaptive_window(true);
    endpoint.connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN).connect().await.map_err(failed)
}

/// A client for keys.
pub(crate) fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(REPLY_BYTES_MAX)
}

/// A client for keys for each of `clients`, spread over shared channels.
pub(crate) async fn kvs(endpoints: &[String], clients: usize) -> Result<Vec<KvClient<Channel>>, Error> {
    let channels = channels(endpoints, clients).await?;
    Ok(channels.into_iter().cycle().take(clients).map(kv).collect())
}
