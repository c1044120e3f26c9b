#![allow(missing_docs, clippy::unwrap_used)]
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_store::engine::rocks::{self, RocksEngine};
use fairlead_store::mvcc::{Config, Mvcc};
use std::sync::Arc;
use std::time::Instant;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let dir = tempfile::tempdir_in("/work/tgt").unwrap();
    let engine = Arc::new(RocksEngine::open(&dir.path().join("s"), &rocks::Config::default()).unwrap());
    let (mvcc, mut writer) = Mvcc::open(engine.clone(), Config::default()).unwrap();
    let value = bytes::Bytes::from(vec![7u8; 256]);
    let keys: u64 = std::env::args().nth(1).map_or(100_000, |s| s.parse().unwrap());
    let group: u64 = std::env::args().nth(2).map_or(16, |s| s.parse().unwrap());
    let mut run = |name: &str, n: u64, f: &mut dyn FnMut(u64) -> u64| {
        let (t, c) = (Instant::now(), cpu());
        let mut i = 0;
        while i < n {
            let mut g = writer.begin();
            for _ in 0..group {
                let k = f(i);
                let r = pb::PutRequest {
                    key: format!("/registry/pods/default/pod-{k:012}").into(),
                    value: value.clone(),
                    ..Default::default()
                };
                g.put(&r, &|_| true).unwrap().unwrap();
                i += 1;
            }
            g.batch().put(fairlead_store::engine::Family::Meta, "applied", i.to_be_bytes().to_vec());
            std::hint::black_box(g.commit().unwrap());
        }
        println!(
            "{name}: {:.2} us wall, {:.2} us cpu a put",
            t.elapsed().as_secs_f64() * 1e6 / n as f64,
            (cpu() - c) * 1e6 / n as f64
        );
    };
    run("new, in order", keys, &mut |i| i);
    let mut x = 1u64;
    run("overwrite, random", keys * 2, &mut |_| {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (x >> 33) % keys
    });
    run("overwrite, 1000 hot", keys * 2, &mut |i| i % 1000);
    let r =
        pb::RangeRequest { key: "/registry/pods/".into(), range_end: "/registry/pods0".into(), ..Default::default() };
    let time = |name: &str, n: u64, f: &dyn Fn()| {
        let t = Instant::now();
        let mut m = 0;
        while m < n {
            f();
            m += 1;
        }
        println!("{name}: {:.2} us", t.elapsed().as_secs_f64() * 1e6 / n as f64);
    };
    for pass in 0..2 {
        let _ = pass;
        time("get", 100_000, &|| {
            let r = pb::RangeRequest { key: "/registry/pods/default/pod-000000000777".into(), ..Default::default() };
            std::hint::black_box(mvcc.read(|v| v.range(&r)).unwrap());
        });
        time("range of all, a key*keys", 3, &|| {
            std::hint::black_box(mvcc.read(|v| v.range(&r)).unwrap());
        });
        time("count of all", 5, &|| {
            let r = pb::RangeRequest { count_only: true, ..r.clone() };
            std::hint::black_box(mvcc.read(|v| v.range(&r)).unwrap());
        });
        time("page of 500", 20, &|| {
            let r = pb::RangeRequest { limit: 500, ..r.clone() };
            std::hint::black_box(mvcc.read(|v| v.range(&r)).unwrap());
        });
        let rev = mvcc.revision() - 1000;
        time("page of 500, 1000 revisions back", 20, &|| {
            let r = pb::RangeRequest { limit: 500, revision: rev, ..r.clone() };
            std::hint::black_box(mvcc.read(|v| v.range(&r)).unwrap());
        });
    }
}
