//! A real etcd to test against, and a way to cut its connections.
//!
//! Promises: free ports, a temporary folder, and no process left behind when a [`Member`] is dropped.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fairlead_client::etcd::{Client, ConnectOptions, Options};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Debian's `etcd-server`; `FAIRLEAD_ETCD` names another one.
pub(crate) fn program() -> String {
    std::env::var("FAIRLEAD_ETCD").unwrap_or_else(|_| "/usr/bin/etcd".to_owned())
}

pub(crate) fn free_address() -> SocketAddr {
    StdListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has a free port")
}

/// Short bounds, so that a test need not wait for the defaults.
pub(crate) fn options() -> Options {
    Options {
        connect: ConnectOptions { timeout: Duration::from_secs(1), ..Default::default() },
        read_attempt_timeout: Duration::from_secs(1),
        ..Default::default()
    }
}

/// A single-member etcd.
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    child: Child,
    /// Goes when the member goes.
    _dir: TempDir,
    flags: Vec<String>,
}

impl Member {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        let address = free_address();
        Self::start_with("http", address, &[]).await
    }

    pub(crate) async fn start_with(scheme: &str, address: SocketAddr, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let (client, peer) = (format!("{scheme}://{address}"), format!("http://{}", free_address()));
        let data = dir.path().join("data").display().to_string();
        let cluster = format!("default={peer}");
        let mut all: Vec<String> = ["--data-dir", &data, "--listen-client-urls", &client, "--advertise-client-urls"]
            .into_iter()
            .chain([client.as_str(), "--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .chain(["--initial-cluster", &cluster, "--logger", "zap", "--log-outputs", "stderr"])
            .map(str::to_owned)
            .collect();
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let child = spawn(&all);
        let member = Member { address, child, _dir: dir, flags: all };
        member.ready().await;
        member
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect([self.url()], options()).expect("the URL is usable")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.flags);
        self.ready().await;
    }

    /// The value of a counter or gauge.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// An outsider can only ask again until it listens.
    async fn ready(&self) {
        within("the member listens", async || TcpStream::connect(self.address).await.is_ok()).await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("etcd may be left behind: {error}");
        }
    }
}

fn spawn(flags: &[String]) -> Child {
    let mut command = Command::new(program());
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{} (Debian's etcd-server) cannot be run: {error}", program()))
}

/// Asks again until it is so; for states of another process that cannot be subscribed to.
pub(crate) async fn within(what: &str, holds: impl AsyncFn() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// A TCP proxy whose connections can all be cut, and which can refuse new ones.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// Connections of an older generation are cut.
    generation: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (generation, current) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut inward, _)) = listener.accept().await {
                let mut current = current.clone();
                current.mark_unchanged();
                connections.spawn(async move {
                    let carry = async {
                        let mut outward = TcpStream::connect(upstream).await?;
                        tokio::io::copy_bidirectional(&mut inward, &mut outward).await
                    };
                    // An error is a connection that has ended, which is what a proxy is for.
                    tokio::select! { _ = current.changed() => {}, _ = carry => {} }
                });
            }
        });
        Proxy { address, generation, task }
    }

    pub(crate) fn cut(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
