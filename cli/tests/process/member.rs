//! A member of its own: its ports, its process, its log.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

/// Ports nobody listens on just now.
pub(crate) fn free_ports() -> (u16, u16) {
    let bound = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [client, peer] = bound.each_ref().map(|socket| socket.local_addr().unwrap().port());
    (client, peer)
}

/// A member of its own in a folder, ended when dropped.
pub(crate) struct Member {
    pub(crate) process: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Member {
    pub(crate) fn start(folder: &Path, args: &[String], environment: &[(String, String)]) -> Member {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_fairlead"));
        command.arg("store").args(args).envs(environment.iter().cloned()).current_dir(folder);
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        Member { process, lines }
    }

    /// Reads its log up to a line that has `text`; each line must be a JSON object.
    pub(crate) async fn logged(&mut self, text: &str) {
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok_and(|line| line.is_object()), "{line}");
                if line.contains(text) {
                    return;
                }
            }
            panic!("the log ended without {text:?}");
        };
        tokio::time::timeout(Duration::from_secs(60), read).await.expect("it is logged in time");
    }
}

pub(crate) fn addresses(scheme: &str, ports: (u16, u16)) -> Vec<(String, String)> {
    let (client, peer) = (format!("{scheme}://127.0.0.1:{}", ports.0), format!("{scheme}://127.0.0.1:{}", ports.1));
    [
        ("listen-client-urls", &client),
        ("advertise-client-urls", &client),
        ("listen-peer-urls", &peer),
        ("initial-advertise-peer-urls", &peer),
    ]
    .map(|(name, url)| (name.to_owned(), url.clone()))
    .to_vec()
}

pub(crate) fn as_flags(settings: &[(String, String)]) -> Vec<String> {
    settings.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
