//! Apply: log entries of 1 and 64 puts of 256 B, decoded, applied and committed to RocksDB with their applied id.
#![expect(missing_docs, reason = "criterion_group! makes a public function")]

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_store::apply::{Applier, BatchId, Command, Tables, encode_header};
use fairlead_store::engine::Engine;
use fairlead_store::engine::rocks::{self, RocksEngine};
use fairlead_store::lease::Lessor;
use fairlead_store::metrics::Metrics;
use fairlead_store::mvcc::{Config, Mvcc};
use fairlead_store::watch::{self, Hub};
use rand::SeedableRng;
use rand::rngs::StdRng;

const KEYS: u64 = 10_000;

fn entry(batch: u64, commands: u64) -> Bytes {
    let mut entry = BytesMut::new();
    encode_header(BatchId { member: 1, boot: 1, batch }, commands as u32, &mut entry);
    for at in 0..commands {
        let key = format!("bench/{:010}", (batch * commands + at) % KEYS).into();
        Command::Put(pb::PutRequest { key, value: vec![at as u8; 256].into(), ..Default::default() })
            .encode(&mut entry);
    }
    entry.freeze()
}

fn applier(folder: &std::path::Path) -> Applier {
    let engine: Arc<dyn Engine> = Arc::new(RocksEngine::open(folder, &rocks::Config::default()).expect("it opens"));
    let (mvcc, writer) = Mvcc::open(Arc::clone(&engine), Config::default()).expect("it opens");
    let tables = Tables::load(&*engine, Lessor::default()).expect("there is nothing to load");
    let hub = Hub::new(Arc::new(mvcc.clone()), watch::Config::default(), StdRng::seed_from_u64(1));
    let metrics = Metrics::new(prometheus::Registry::new()).expect("a fresh registry");
    Applier::new(mvcc, writer, tables, hub, &metrics, Duration::from_secs(1), Box::new(|_, _| {}))
}

fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply/entry of puts");
    for commands in [1u64, 64] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut applier = applier(folder.path());
        let mut index = 0;
        group.throughput(Throughput::Elements(commands));
        group.bench_function(BenchmarkId::from_parameter(commands), |b| {
            b.iter(|| {
                index += 1;
                let mut applying = applier.begin();
                let answers = applying.entry(1, index, entry(index, commands)).expect("a valid entry");
                applying.commit(1, index).expect("the engine works");
                answers.1.len()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = apply
}
criterion_main!(benches);
