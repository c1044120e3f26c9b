//! Watch fan-out inside a member, without sockets: one put published to 1, 100 and 1,000 streams, and taken by each.
#![expect(missing_docs, reason = "criterion_group! makes a public function")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fairlead_proto::served::etcdserverpb as pb;
use fairlead_store::engine::mem::MemEngine;
use fairlead_store::mvcc::{Config, Mvcc, Writer};
use fairlead_store::watch::{self, Filters, Hub, KeyRange, Output, Spec, Stream};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn put(writer: &mut Writer, hub: &Hub) {
    let put = pb::PutRequest { key: "bench/key".into(), value: vec![7; 256].into(), ..Default::default() };
    let mut group = writer.begin();
    group.put(&put, &|_| false).expect("the engine works").expect("a valid put");
    hub.publish(group.commit().expect("the engine works"));
}

fn watching(hub: &Hub) -> Stream {
    let range = KeyRange::from_wire("bench/".into(), "bench0".into()).expect("a range");
    let filters = Filters::default();
    let spec = Spec { range, filters, previous: false, progress_notify: false, fragment: false, start_revision: 0 };
    let mut stream = hub.open();
    stream.create(0, spec).expect("a valid watch");
    stream
}

fn fan_out(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = c.benchmark_group("watch/publish to and take by");
    for streams in [1u64, 100, 1_000] {
        let (mvcc, mut writer) = Mvcc::open(Arc::new(MemEngine::new()), Config::default()).expect("it opens");
        let hub = Hub::new(Arc::new(mvcc), watch::Config::default(), StdRng::seed_from_u64(1));
        let mut all: Vec<Stream> = (0..streams).map(|_| watching(&hub)).collect();
        group.throughput(Throughput::Elements(streams));
        group.bench_function(BenchmarkId::from_parameter(streams), |b| {
            b.iter(|| {
                put(&mut writer, &hub);
                runtime.block_on(async {
                    for stream in &mut all {
                        assert!(matches!(stream.next().await, Output::Events(_)), "every stream gets the put");
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = fan_out
}
criterion_main!(benches);
