//! The demo on a pipe, as a program drives it: what it says, what faults do, and that nothing is left behind.

#![allow(clippy::unwrap_used, reason = "the helpers below are part of tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

struct Demo {
    child: Child,
    /// Closed when `None`.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fairlead"))
            .args(["demo"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Demo { input: child.stdin.take(), child, lines }
    }

    fn type_in(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    /// The rest of the next line that begins so; every line on the way must have its prefix.
    fn said(&self, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let line = match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{wanted:?} was not said within {PATIENCE:?}; said: {seen:#?}")
                }
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {wanted:?}; said: {seen:#?}"),
            };
            assert!(line.starts_with("ok ") || line.starts_with("fail "), "neither ok nor fail: {line}");
            assert!(!line.contains('\x1b'), "colour on a pipe: {line:?}");
            if let Some(rest) = line.strip_prefix(wanted) {
                return rest.to_owned();
            }
            seen.push(line);
        }
    }

    /// State and pid of each member, and the verdict's line.
    fn status(&mut self) -> (Vec<(String, Option<u32>)>, String) {
        self.type_in("status");
        let members = ["n1", "n2", "n3"].map(|name| {
            let line = self.said(&format!("ok status {name} "));
            let field = |key: &str| line.split(' ').find_map(|field| field.strip_prefix(key)).unwrap().to_owned();
            (field("state="), field("pid=").parse().ok())
        });
        let verdict = self.lines.recv_timeout(PATIENCE).unwrap();
        (members.to_vec(), verdict)
    }

    fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the demo does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(self.said("ok folder ").split(' ').next().unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // Its guard takes the members with it.
            self.child.kill().and_then(|()| self.child.wait()).unwrap();
        }
    }
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

fn pids(members: &[(String, Option<u32>)]) -> Vec<u32> {
    members.iter().filter_map(|(_, pid)| *pid).collect()
}

/// The guard of a demo that was killed works after its end, so this asks until it has.
#[track_caller]
fn assert_nothing_left(pids: &[u32], folder: &Path) {
    let left = || {
        let alive = pids.iter().filter(|pid| Path::new(&format!("/proc/{pid}/cmdline")).exists());
        (alive.copied().collect::<Vec<_>>(), folder.exists())
    };
    let deadline = Instant::now() + PATIENCE;
    while left() != (Vec::new(), false) {
        assert!(Instant::now() < deadline, "left behind: {:?}, {}", left().0, folder.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn faults_do_what_they_say_and_sigterm_leaves_nothing_behind() {
    let mut demo = Demo::start(&[]);
    demo.said("ok ports n1 ");
    demo.said("ok store n1 n2 n3 ready");
    demo.said("ok leader n");
    let folder = demo.folder();
    assert!(folder.exists());
    assert!(demo.said("ok etcdctl export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=").contains("127.0.0.1:"));
    demo.said("ok demo runs until SIGTERM");

    let (members, verdict) = demo.status();
    assert!(members.iter().all(|(state, _)| state == "running"), "{members:?}");
    assert!(verdict.starts_with("ok quorum n"), "{verdict}");

    demo.type_in("workload on");
    demo.said("ok workload on ");
    demo.type_in("kill leader");
    demo.said("ok kill n");
    assert!(demo.said("ok leader n").contains("with 2 of 3 members: writes succeed"));
    assert_eq!(demo.status().0.iter().filter(|(state, _)| state == "stopped").count(), 1);
    demo.type_in("restart n1 n2 n3");
    demo.said("ok restart n3 ");
    assert!(demo.status().0.iter().all(|(state, _)| state != "stopped"));

    demo.type_in("partition n1 | n2 | n3");
    demo.said("ok partition n1 | n2 | n3");
    demo.said("fail leader ");
    demo.type_in("heal");
    demo.said("ok heal ");
    assert!(demo.said("ok leader n").contains("3 of 3 members"));

    demo.type_in("pause n1");
    demo.said("ok pause n1 ");
    assert_eq!(demo.status().0[0].0, "paused");
    demo.type_in("resume n1");
    demo.said("ok resume n1 ");

    let (members, _) = demo.status();
    send(members[1].1.unwrap(), Signal::KILL);
    assert!(demo.said("fail n2 ended by itself, ").contains("restart n2"));

    for (line, answer) in
        [("kill n9", "fail kill n9 no member named"), ("frob", "fail input "), ("help", "ok help status, ")]
    {
        demo.type_in(line);
        demo.said(answer);
    }
    demo.type_in("workload off");
    let total = demo.said("ok workload off ");
    let writes: u64 = total.split(' ').next().unwrap().parse().unwrap();
    assert!(writes > 0 && total.contains("longest gap"), "{total}");

    let (members, _) = demo.status();
    demo.signal(Signal::TERM);
    demo.said("ok stop n1 n2 n3 gone; no process and no folder is left");
    assert!(demo.ended().success());
    assert_nothing_left(&pids(&members), &folder);
}

#[test]
fn the_end_of_the_input_does_not_end_it_and_its_own_death_takes_the_members_along() {
    let mut demo = Demo::start(&[]);
    let folder = demo.folder();
    let (members, _) = demo.status();
    drop(demo.input.take());
    assert!(matches!(demo.lines.recv_timeout(Duration::from_secs(1)), Err(RecvTimeoutError::Timeout) | Ok(_)));
    assert!(demo.child.try_wait().unwrap().is_none(), "it has ended with its input");
    demo.signal(Signal::KILL);
    demo.ended();
    assert_nothing_left(&pids(&members), &folder);
}

#[test]
fn kept_data_stays_and_is_not_mixed_with_a_later_demo() {
    let kept = tempfile::tempdir().unwrap();
    let dir = kept.path().join("demo");
    let mut demo = Demo::start(&["--keep", dir.to_str().unwrap()]);
    demo.said("ok demo runs ");
    demo.type_in("quit");
    assert!(demo.said("ok stop ").contains("data and logs are in"));
    assert!(demo.ended().success());
    assert!(dir.join("n1.etcd").exists() && dir.join("n1.log").exists());

    let again = Command::new(env!("CARGO_BIN_EXE_fairlead")).args(["demo", "--keep"]).arg(&dir).output().unwrap();
    assert!(!again.status.success());
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(said.starts_with("fail demo ") && said.contains("is not empty"), "{said}");
}

#[test]
fn strict_ports_fail_where_a_port_is_in_use() {
    // In use by us or, if that fails, by somebody else.
    let held = TcpListener::bind(("127.0.0.1", 2379));
    let demo = Command::new(env!("CARGO_BIN_EXE_fairlead")).args(["demo", "--strict-ports"]).output().unwrap();
    drop(held);
    assert!(!demo.status.success());
    let said = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(said.starts_with("fail demo port 2379") && said.contains("--strict-ports"), "{said}");
}
