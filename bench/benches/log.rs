//! Log append: entries of 300 B handed over at once, until they are durable; with fdatasync, and without it for the CPU alone.
#![expect(missing_docs, reason = "criterion_group! makes a public function")]

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fairlead_store::log::{Config, Entry, Log, LogId, Metrics, RealDisk};

const ENTRY_BYTES: usize = 300;

fn append(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for fsync in [true, false] {
        let mut group = c.benchmark_group(if fsync { "log/append" } else { "log/append without fsync" });
        for entries in [1u64, 16, 256] {
            let folder = tempfile::tempdir().expect("a folder");
            let disk = RealDisk::new(folder.path(), fsync).expect("a disk");
            let log =
                Log::open(folder.path(), Arc::new(disk), Config::default(), Metrics::default()).expect("it opens");
            let payload = bytes::Bytes::from(vec![7; ENTRY_BYTES]);
            let mut index = 0;
            group.throughput(Throughput::Elements(entries));
            group.bench_function(BenchmarkId::from_parameter(entries), |b| {
                b.iter(|| {
                    let entry = |at| Entry { id: LogId { term: 1, index: at }, payload: payload.clone() };
                    let all = (index..index + entries).map(entry).collect();
                    index += entries;
                    let (done, durable) = mpsc::sync_channel(1);
                    log.append(all, Box::new(move |result| done.send(result).expect("it is waited for")));
                    durable.recv().expect("the flusher answers").expect("written");
                });
            });
            runtime.block_on(log.close());
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = append
}
criterion_main!(benches);
