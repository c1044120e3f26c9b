//! A proxy's listener: accepts, finds out who dials, waits for an open link, connects on and pumps both ways.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::links::Tap;
use super::pump::{Ended, open, pump};
use super::{Links, OUTSIDE, Roster};

/// Connections through one proxy at a time; members that dial again and again into a held link stay below it.
const CONNECTIONS_MAX: usize = 1024;

/// A running proxy before one port of one member. Dropping it closes its listener and all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddrV4,
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free loopback port and forwards to `upstream`, which is a port of `member`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(crate) async fn start(member: &str, upstream: SocketAddrV4, links: Links, roster: Roster) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = v4(listener.local_addr()?)?;
        let shutdown = CancellationToken::new();
        let route = Arc::new(Route { member: member.to_owned(), address, upstream, links, roster });
        let task = tokio::spawn(accept(listener, route, shutdown.clone()));
        Ok(Proxy { address, shutdown, task: Some(task) })
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Closes the listener and every connection, and waits until they are closed.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(address = %self.address, %error, "fault proxy ended badly");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

struct Route {
    member: String,
    address: SocketAddrV4,
    upstream: SocketAddrV4,
    links: Links,
    roster: Roster,
}

async fn accept(listener: TcpListener, route: Arc<Route>, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match (accepted, slots.clone().try_acquire_owned()) {
                (Ok((stream, from)), Ok(slot)) => {
                    let route = route.clone();
                    connections.spawn(async move {
                        if let Err(error) = carry(stream, from, &route).await {
                            tracing::debug!(member = route.member, %error, "proxied connection ended");
                        }
                        drop(slot);
                    });
                }
                (Ok(_), Err(_)) => tracing::warn!(member = route.member, "fault proxy is full, connection dropped"),
                (Err(error), _) => tracing::warn!(member = route.member, %error, "fault proxy could not accept"),
            }
        }
    }
    connections.shutdown().await;
}

async fn carry(mut inward: TcpStream, from: SocketAddr, route: &Arc<Route>) -> Result<(), Ended> {
    let from = v4(from)?;
    let lookup = route.clone();
    let found = tokio::task::spawn_blocking(move || lookup.roster.owner(from, lookup.address)).await;
    let dialler = found.map_err(io::Error::other)??.unwrap_or_else(|| OUTSIDE.to_owned());
    let mut there = route.links.tap(&dialler, &route.member);
    let mut back = route.links.tap(&route.member, &dialler);
    let mut outward = match connect(&mut there, &mut back, route.upstream).await {
        Ok(outward) => outward,
        Err(ended) => {
            inward.set_zero_linger()?;
            return Err(ended);
        }
    };
    inward.set_nodelay(true)?;
    outward.set_nodelay(true)?;
    let born = Instant::now();
    let carried = {
        let (in_source, in_sink) = inward.split();
        let (out_source, out_sink) = outward.split();
        tokio::try_join!(pump(in_source, out_sink, there, born), pump(out_source, in_sink, back, born))
    };
    if carried.is_err() {
        // Dropped with this option, a socket is closed by RST.
        inward.set_zero_linger()?;
        outward.set_zero_linger()?;
    }
    carried.map(|_| ())
}

/// A TCP handshake needs both directions.
async fn connect(there: &mut Tap, back: &mut Tap, upstream: SocketAddrV4) -> Result<TcpStream, Ended> {
    loop {
        // A connection that is not there yet is younger than any fault.
        open(there, Instant::now()).await?;
        open(back, Instant::now()).await?;
        if there.state.borrow().is_open() && back.state.borrow().is_open() {
            return Ok(TcpStream::connect(upstream).await?);
        }
    }
}

fn v4(address: SocketAddr) -> io::Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::Error::other("fault proxies speak IPv4 only")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;
    use crate::cluster::proxy::LinkState;

    /// How long nothing must come over a held link.
    const HELD_FOR: Duration = Duration::from_millis(100);

    /// An echo server as member `n1` behind a proxy, and a connection to it from outside that has said one byte.
    async fn echoing() -> (Links, Proxy, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let upstream = v4(server.local_addr().unwrap()).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut source, mut sink) = stream.split();
                    tokio::io::copy(&mut source, &mut sink).await
                });
            }
        });
        let links = Links::default();
        let proxy = Proxy::start("n1", upstream, links.clone(), Roster::default()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut stream).await.unwrap(), 7);
        (links, proxy, stream)
    }

    async fn echo(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_u8(7).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn a_held_link_keeps_bytes_until_it_is_healed() {
        for (from, to) in [(OUTSIDE, "n1"), ("n1", OUTSIDE)] {
            let (links, _proxy, mut stream) = echoing().await;
            links.set(from, to, LinkState::Hold);
            stream.write_u8(9).await.unwrap();
            assert!(timeout(HELD_FOR, stream.read_u8()).await.is_err(), "{from} to {to} is not held");
            links.heal();
            assert_eq!(stream.read_u8().await.unwrap(), 9);
        }
    }

    #[tokio::test]
    async fn a_connection_cannot_be_opened_while_one_way_is_held() {
        let (links, proxy, _stream) = echoing().await;
        links.set("n1", OUTSIDE, LinkState::Hold);
        let mut second = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(HELD_FOR, echo(&mut second)).await.is_err());
        links.heal();
        assert_eq!(second.read_u8().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_reset_link_closes_connections_and_refuses_new_ones() {
        let (links, proxy, mut stream) = echoing().await;
        links.set(OUTSIDE, "n1", LinkState::Reset);
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut second = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(echo(&mut second).await.is_err());
        links.heal();
        let mut third = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut third).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_delayed_link_is_late_and_passes_everything() {
        let (links, _proxy, mut stream) = echoing().await;
        links.set("n1", OUTSIDE, LinkState::Delay(HELD_FOR));
        let sent = Instant::now();
        assert_eq!(echo(&mut stream).await.unwrap(), 7);
        assert!(sent.elapsed() >= HELD_FOR, "{:?}", sent.elapsed());
    }

    #[tokio::test]
    async fn jitter_keeps_the_order_and_is_counted() {
        let (links, _proxy, mut stream) = echoing().await;
        links.impose(1, "n1", OUTSIDE, LinkState::Jitter(Duration::from_millis(5), Duration::from_millis(30)));
        for byte in 0..20 {
            stream.write_u8(byte).await.unwrap();
        }
        for byte in 0..20 {
            assert_eq!(stream.read_u8().await.unwrap(), byte);
        }
        assert!(links.counts(|from, _| from == "n1").late > 0);
    }

    #[tokio::test]
    async fn a_rate_makes_bytes_take_their_time() {
        let (links, _proxy, mut stream) = echoing().await;
        links.impose(1, OUTSIDE, "n1", LinkState::Rate(100_000));
        let sent = Instant::now();
        stream.write_all(&[7; 20_000]).await.unwrap();
        stream.read_exact(&mut [0; 20_000]).await.unwrap();
        assert!(sent.elapsed() >= Duration::from_millis(190), "{:?}", sent.elapsed());
    }

    #[tokio::test]
    async fn a_half_open_connection_is_silent_for_ever_and_a_new_one_passes() {
        let (links, proxy, mut old) = echoing().await;
        for (from, to) in [(OUTSIDE, "n1"), ("n1", OUTSIDE)] {
            links.impose(1, from, to, LinkState::HalfOpen(Instant::now()));
        }
        old.write_u8(9).await.unwrap();
        assert!(timeout(HELD_FOR, old.read_u8()).await.is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut new).await.unwrap(), 7);
        assert!(links.counts(|_, _| true).held > 0);
    }
}
