//! Data that is damaged, foreign or no data at all: what is said, and that nothing is lost by it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fairlead_client::etcd;

use super::member::{Member, addresses, as_flags, free_ports};

/// A lone member that has written and was killed; its flags.
struct Written {
    folder: tempfile::TempDir,
    ports: (u16, u16),
}

const KEYS: usize = 50;

impl Written {
    async fn new() -> Written {
        let written = Written { folder: tempfile::tempdir().unwrap(), ports: free_ports() };
        let mut member = written.start().await;
        let client = written.client();
        for at in 0..KEYS {
            client.put(etcd::kv::put(format!("k{at:04}"), vec![b'v'; 200])).await.unwrap();
        }
        member.process.kill().await.unwrap();
        written
    }

    fn flags(&self) -> Vec<String> {
        as_flags(&addresses("http", self.ports))
    }

    fn client(&self) -> etcd::Client {
        etcd::Client::connect([format!("http://127.0.0.1:{}", self.ports.0)], etcd::Options::default()).unwrap()
    }

    async fn start(&self) -> Member {
        let mut member = Member::start(self.folder.path(), &self.flags(), &[]);
        member.logged("ready to serve client requests").await;
        member
    }

    /// What it says instead of starting; its status must be 1.
    fn refused(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_fairlead"))
            .arg("store")
            .args(self.flags())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        text
    }

    /// Everything is there again once the damage is undone.
    async fn assert_whole(&self) {
        let mut member = self.start().await;
        let read = self.client().range(etcd::kv::prefix("k")).await.unwrap();
        assert_eq!(read.count, i64::try_from(KEYS).unwrap());
        member.process.kill().await.unwrap();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("default.etcd/member")
    }

    /// The oldest file of a kind below a folder.
    fn file(&self, folder: &str, fits: impl Fn(&str) -> bool) -> PathBuf {
        let mut found = Vec::new();
        let mut folders = vec![self.data().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if fits(path.file_name().unwrap().to_str().unwrap()) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found.into_iter().next().expect("a file of that kind")
    }
}

/// Turns one bit around; twice is as before.
fn flip(path: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_refused_with_file_and_offset_and_costs_nothing_once_undone() {
    let written = Written::new().await;
    let log = written.file("log", |name| name.ends_with(".log"));
    for offset in [3, 1500] {
        flip(&log, offset);
        let text = written.refused();
        assert!(text.contains(log.file_name().unwrap().to_str().unwrap()), "{text}");
        assert!(text.contains("offset") || text.contains("no raft log segment"), "{text}");
        flip(&log, offset);
    }
    written.assert_whole().await;
}

#[tokio::test]
async fn a_truncated_log_and_a_missing_one_are_refused_and_cost_nothing_once_undone() {
    let written = Written::new().await;
    let log = written.file("log", |name| name.ends_with(".log"));
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..2000]).unwrap();
    let text = written.refused();
    assert!(text.contains(log.file_name().unwrap().to_str().unwrap()), "{text}");
    fs::remove_dir_all(written.data().join("log")).unwrap();
    let text = written.refused();
    assert!(text.contains("log is missing") && text.contains("--wal-dir"), "{text}");
    fs::create_dir(written.data().join("log")).unwrap();
    fs::write(&log, &whole).unwrap();
    written.assert_whole().await;
}

#[tokio::test]
async fn a_damaged_state_is_refused_with_its_folder_and_costs_nothing_once_undone() {
    let written = Written::new().await;
    let manifest = written.file("state", |name| name.starts_with("MANIFEST"));
    flip(&manifest, fs::metadata(&manifest).unwrap().len() / 2);
    let text = written.refused();
    assert!(text.contains("state") && text.contains("Corruption"), "{text}");
    flip(&manifest, fs::metadata(&manifest).unwrap().len() / 2);
    written.assert_whole().await;
}

#[tokio::test]
async fn a_data_directory_of_a_real_etcd_is_refused_and_left_as_it_was() {
    let written = Written { folder: tempfile::tempdir().unwrap(), ports: free_ports() };
    let mut etcd = Command::new("etcd")
        .args(written.flags())
        .arg(format!("--initial-cluster=default=http://127.0.0.1:{}", written.ports.1))
        .current_dir(written.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Debian's etcd-server is installed by `make test`");
    let client = written.client();
    let put = async {
        while client.put(etcd::kv::put("k", "v")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), put).await.expect("etcd serves");
    etcd.kill().and_then(|()| etcd.wait()).unwrap();
    let before = fs::read(written.data().join("snap/db")).unwrap();
    let text = written.refused();
    assert!(text.contains("it holds an etcd member") && text.contains("empty directory"), "{text}");
    assert_eq!(fs::read(written.data().join("snap/db")).unwrap(), before);
}

#[tokio::test]
async fn garbage_on_both_ports_disturbs_nobody() {
    let written = Written { folder: tempfile::tempdir().unwrap(), ports: free_ports() };
    let mut member = written.start().await;
    let client = written.client();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let noise: Vec<u8> = (0..70_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut silent = Vec::new();
    for port in [written.ports.0, written.ports.1] {
        for garbage in
            [&noise[..], &[preface, &noise[..9000]].concat(), b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n", b"\x16\x03\x01"]
        {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            // The member may hang up in the middle of it.
            stream.write_all(garbage).ok();
            silent.push(stream);
        }
    }
    client.put(etcd::kv::put("k", "v")).await.unwrap();
    drop(silent);
    assert_eq!(client.range(etcd::kv::key("k")).await.unwrap().count, 1);
    assert!(member.process.try_wait().unwrap().is_none(), "it has ended");
}
