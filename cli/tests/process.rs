//! The binary as a process: exit statuses, texts, signals, and the TLS matrix by flag, by variable and by file.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fairlead_client::etcd;
use fairlead_store::config::Tls;
use fairlead_store::net::tls::{Server, Side};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

fn fairlead(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairlead")).arg("store").args(args).output().unwrap()
}

/// Ports nobody listens on just now.
fn free_ports() -> (u16, u16) {
    let bound = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [client, peer] = bound.each_ref().map(|socket| socket.local_addr().unwrap().port());
    (client, peer)
}

/// A member of its own in a folder, ended when dropped.
struct Member {
    process: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Member {
    fn start(folder: &Path, args: &[String], environment: &[(String, String)]) -> Member {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_fairlead"));
        command.arg("store").args(args).envs(environment.iter().cloned()).current_dir(folder);
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        Member { process, lines }
    }

    /// Reads its log up to a line that has `text`; each line must be a JSON object.
    async fn logged(&mut self, text: &str) {
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

fn addresses(scheme: &str, ports: (u16, u16)) -> Vec<(String, String)> {
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

fn as_flags(settings: &[(String, String)]) -> Vec<String> {
    settings.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

#[test]
fn a_wrong_command_line_ends_with_status_two_and_says_what_to_try() {
    let output = fairlead(&["--lisen-client-urls=x"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("unknown flag --lisen-client-urls") && text.contains("try: --listen-client-urls"), "{text}");
    let output = fairlead(&["--listen-client-urls=http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}

#[test]
fn version_and_help_go_to_stdout_with_status_zero_also_under_etcds_name() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = folder.path().join("etcd");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fairlead"), &etcd).unwrap();
    let version = Command::new(&etcd).arg("--version").output().unwrap();
    assert!(version.status.success() && version.stdout.starts_with(b"etcd Version: 3.7.1\nGit SHA: "));
    assert!(fairlead(&["--help"]).status.success());
}

#[test]
fn a_port_in_use_ends_with_status_one_and_names_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = (taken.local_addr().unwrap().port(), free_ports().1);
    let output = Command::new(env!("CARGO_BIN_EXE_fairlead"))
        .arg("store")
        .args(as_flags(&addresses("http", ports)))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains(&format!("cannot listen on http://127.0.0.1:{}", ports.0)) && text.contains("ss -ltnp"),
        "{text}"
    );
}

#[tokio::test]
async fn a_lone_member_gets_ready_and_ends_in_time_when_terminated() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        // The second time on the data it left behind.
        let mut member = Member::start(folder.path(), &as_flags(&addresses("http", free_ports())), &[]);
        member.logged("ready to serve client requests").await;
        let pid = i32::try_from(member.process.id().unwrap()).unwrap();
        let asked = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::TERM)
            .unwrap();
        let status = member.process.wait().await.unwrap();
        assert_eq!(status.code(), Some(143));
        assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    }
}

/// Two identities that know nothing of each other, as self-signed pairs.
fn identity(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let folder = folder.join(name);
    let auto = Tls { auto: true, ..Tls::default() };
    drop(Server::new(&auto, Side::Client, &folder, &[]).unwrap());
    (folder.join("fixtures/client/cert.pem"), folder.join("fixtures/client/key.pem"))
}

/// Whether a call gets as far as gRPC.
async fn is_let_in(port: u16, ca: &Path, shown: Option<&(PathBuf, PathBuf)>) -> bool {
    let identity = shown.map(|(certificate, key)| etcd::Identity {
        certificate: std::fs::read(certificate).unwrap(),
        key: std::fs::read(key).unwrap(),
    });
    let tls = etcd::TlsOptions { ca: std::fs::read(ca).unwrap(), identity, server_name: None };
    let options = etcd::Options { tls: Some(etcd::Tls::new(&tls).unwrap()), ..etcd::Options::default() };
    let client = etcd::Client::connect([format!("https://127.0.0.1:{port}")], options).unwrap();
    match client.range(etcd::kv::key("x")).await {
        Ok(_) => true,
        Err(error) => format!("{error:?}").contains("Unimplemented"), // a peer listener has no KV service
    }
}

/// [tls_matrix] and [peer_tls_matrix]
#[tokio::test]
async fn certificates_are_demanded_by_flag_by_variable_and_by_file() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let (trusted, stranger) = (identity(folder.path(), "trusted"), identity(folder.path(), "stranger"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    for source in ["flag", "variable", "file"] {
        let ports = free_ports();
        let mut settings = addresses("https", ports);
        settings.push(("data-dir".into(), path(&folder.path().join(source))));
        let (mut args, mut environment, mut file) = (Vec::new(), Vec::new(), String::new());
        let tls = [
            ("cert-file", path(&trusted.0)),
            ("key-file", path(&trusted.1)),
            ("trusted-ca-file", path(&trusted.0)),
            ("client-cert-auth", "true".to_owned()),
        ];
        for (prefix, block) in [("", "client"), ("peer-", "peer")] {
            file += &format!("{block}-transport-security:\n");
            for (name, value) in &tls {
                settings.push((format!("{prefix}{name}"), value.clone()));
                file += &format!("  {name}: {value}\n");
            }
        }
        match source {
            "flag" => args = as_flags(&settings),
            "variable" => {
                let variable = |name: &str| format!("ETCD_{}", name.to_uppercase().replace('-', "_"));
                environment = settings.iter().map(|(name, value)| (variable(name), value.clone())).collect();
            }
            _ => {
                settings.iter().take(5).for_each(|(name, value)| file += &format!("{name}: {value}\n"));
                std::fs::write(folder.path().join("etcd.yaml"), &file).unwrap();
                args.push("--config-file=etcd.yaml".to_owned());
            }
        }
        let mut member = Member::start(folder.path(), &args, &environment);
        member.logged("ready to serve client requests").await;
        for (side, port) in [("client", ports.0), ("peer", ports.1)] {
            assert!(is_let_in(port, &trusted.0, Some(&trusted)).await, "{side} by {source}: the right one");
            assert!(!is_let_in(port, &trusted.0, Some(&stranger)).await, "{side} by {source}: a stranger's");
            assert!(!is_let_in(port, &trusted.0, None).await, "{side} by {source}: none");
            assert!(!is_let_in(port, &stranger.0, Some(&trusted)).await, "{side} by {source}: the wrong CA");
        }
    }
}
