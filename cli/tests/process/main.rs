//! The binary as a process: exit statuses, texts, signals, certificates, and data that is not its own or damaged.

#![allow(clippy::unwrap_used, reason = "the helpers below are part of tests")]

mod data;
mod member;
mod tls;

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use member::{Member, addresses, as_flags, free_ports};

fn fairlead(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairlead")).arg("store").args(args).output().unwrap()
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
