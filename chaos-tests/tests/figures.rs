//! First figures beside a real etcd in the same run: puts and gets at 1, 64 and 256 clients, and CPU per operation.
//!
//! `make test` runs each shape for a moment, on ours, and asserts that every operation succeeded; `make proof` runs both
//! targets in turn, three rounds of each, and prints medians and ratios. Absolute times on shared machines mean little.

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_chaos_tests::traffic::load::{Kind, Load, Seen, run};

const SHAPES: [(Kind, usize); 6] =
    [(Kind::Put, 1), (Kind::Put, 64), (Kind::Put, 256), (Kind::Get, 1), (Kind::Get, 64), (Kind::GetSerializable, 64)];

fn load(kind: Kind, clients: usize, duration: Duration) -> Load {
    Load { kind, clients, connections: clients.min(16), value_bytes: 256, keys: 10_000, duration }
}

async fn measure(cluster: &Cluster, kind: Kind, clients: usize, duration: Duration) -> anyhow::Result<Seen> {
    let pids: Vec<u32> = cluster.members().iter().filter_map(|member| member.pid()).collect();
    run(&load(kind, clients, duration), &cluster.client_urls(), &pids).await
}

fn median(mut all: Vec<Seen>) -> Seen {
    all.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    all.swap_remove(all.len() / 2)
}

async fn compare(rounds: usize, duration: Duration) -> anyhow::Result<()> {
    let ours = Cluster::start(Config::new(Target::fairlead()?)).await?;
    let etcd = Cluster::start(Config::new(Target::etcd()?)).await?;
    for (kind, clients) in SHAPES {
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            them.push(measure(&etcd, kind, clients, duration).await?);
            us.push(measure(&ours, kind, clients, duration).await?);
        }
        let (us, them) = (median(us), median(them));
        for (name, seen) in [("etcd", &them), ("fairlead", &us)] {
            println!(
                "figures {name:9} {kind:?} x{clients:<4} {:>8.0}/s  p50 {:>9.2?}  p99 {:>9.2?}  {:>7.1} us CPU  {} failed",
                seen.per_second, seen.p50, seen.p99, seen.cpu_us, seen.failed
            );
        }
        println!(
            "figures ratio     {kind:?} x{clients:<4} rate {:.2}  CPU {:.2}  p50 {:.2}  p99 {:.2}",
            us.per_second / them.per_second,
            us.cpu_us / them.cpu_us,
            us.p50.as_secs_f64() / them.p50.as_secs_f64(),
            us.p99.as_secs_f64() / them.p99.as_secs_f64()
        );
    }
    ours.shutdown().await?;
    Ok(etcd.shutdown().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_of_a_short_load_succeeds() -> anyhow::Result<()> {
    if std::env::var_os("FAIRLEAD_PROOF").is_some() {
        return compare(3, Duration::from_secs(3)).await;
    }
    let cluster = Cluster::start(Config::new(Target::fairlead()?)).await?;
    for (kind, clients) in SHAPES {
        let seen = measure(&cluster, kind, clients, Duration::from_millis(300)).await?;
        assert_eq!(seen.failed, 0, "{kind:?} with {clients} clients");
    }
    Ok(cluster.shutdown().await?)
}
