//! MVCC on RocksDB, without log and network: puts in groups, a get, a list of 10,000 keys of 1 KiB, and its count.
#![expect(missing_docs, reason = "criterion_group! makes a public function")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_store::engine::rocks::{self, RocksEngine};
use fairlead_store::mvcc::{Config, Mvcc, Writer};

const KEYS: u64 = 10_000;

fn key(at: u64) -> bytes::Bytes {
    format!("bench/{:010}", at % KEYS).into()
}

fn put(at: u64, bytes: usize) -> pb::PutRequest {
    pb::PutRequest { key: key(at), value: vec![at as u8; bytes].into(), ..Default::default() }
}

/// `count` puts as one group.
fn write(writer: &mut Writer, from: u64, count: u64, bytes: usize) {
    let mut group = writer.begin();
    for at in from..from + count {
        group.put(&put(at, bytes), &|_| false).expect("the engine works").expect("a valid put");
    }
    group.commit().expect("the engine works");
}

fn open() -> (tempfile::TempDir, Mvcc, Writer) {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = RocksEngine::open(folder.path(), &rocks::Config::default()).expect("it opens");
    let (mvcc, writer) = Mvcc::open(Arc::new(engine), Config::default()).expect("it opens");
    (folder, mvcc, writer)
}

fn puts(c: &mut Criterion) {
    let mut group = c.benchmark_group("mvcc/put 256 B in groups of");
    for count in [1u64, 64] {
        let (_folder, _mvcc, mut writer) = open();
        let mut next = 0;
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                write(&mut writer, next, count, 256);
                next += count;
            });
        });
    }
    group.finish();
}

fn ranges(c: &mut Criterion) {
    let (_folder, mvcc, mut writer) = open();
    (0..KEYS).step_by(100).for_each(|from| write(&mut writer, from, 100, 1024));
    let all = pb::RangeRequest { key: "bench/".into(), range_end: "bench0".into(), ..Default::default() };
    let read = |request: &pb::RangeRequest| mvcc.read(|view| view.range(request)).expect("readable");
    let mut group = c.benchmark_group("mvcc");
    let mut next = 0;
    group.bench_function("get", |b| {
        b.iter(|| {
            next += 7_919;
            read(&pb::RangeRequest { key: key(next), ..Default::default() }).kvs.len()
        });
    });
    group.bench_function("count 10,000 keys", |b| {
        let count = pb::RangeRequest { count_only: true, ..all.clone() };
        b.iter(|| read(&count).count);
    });
    group.throughput(Throughput::Elements(KEYS));
    group.bench_function("range of 10,000 keys of 1 KiB", |b| b.iter(|| read(&all).kvs.len()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = puts, ranges
}
criterion_main!(benches);
