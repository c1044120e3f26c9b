//! etcdctl cannot tell: one script of Debian's etcdctl commands runs unchanged against Fairlead and against Debian's etcd,
//! three members each, and the two transcripts are compared line by line.
//!
//! Only what no two clusters share is levelled first ([`level`]): ids, ports, times, sizes, hashes and version.

mod level;
mod player;
mod script;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use player::{Step, play};

/// Patient elections: the script names the leader.
const ARGS: [&str; 2] = ["--heartbeat-interval=300", "--election-timeout=3000"];

async fn cluster(target: Target) -> anyhow::Result<Cluster> {
    let args = ARGS.iter().map(|arg| (*arg).to_owned()).collect();
    Ok(Cluster::start(Config { args, ..Config::new(target) }).await?)
}

/// Plays a script on both and panics with every step whose transcripts differ.
async fn compare(script: fn() -> Vec<Step>) -> anyhow::Result<()> {
    let (ours, etcd) = tokio::try_join!(cluster(Target::fairlead()?), cluster(Target::etcd()?))?;
    let (ours, etcd) = tokio::try_join!(play(&ours, script()), play(&etcd, script()))?;
    assert_eq!(ours.len(), etcd.len());
    let differing: Vec<_> = ours
        .iter()
        .zip(&etcd)
        .filter_map(|(ours, etcd)| {
            let (since, expected) = ours.newer.as_ref().map_or(("etcd", &etcd.said), |(since, said)| (since, said));
            let differs = ours.said != *expected;
            differs.then(|| format!("$ {}\n--- {since}\n{expected}\n--- fairlead\n{}\n", ours.step, ours.said))
        })
        .collect();
    println!("{} steps, {} differ", ours.len(), differing.len());
    assert!(differing.is_empty(), "{} of {} steps differ:\n{}", differing.len(), ours.len(), differing.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_says_the_same_of_keys_transactions_and_watches() -> anyhow::Result<()> {
    compare(script::keys).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_says_the_same_of_leases_locks_and_elections() -> anyhow::Result<()> {
    compare(script::leases).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_says_the_same_of_members_and_maintenance() -> anyhow::Result<()> {
    compare(script::maintenance).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_check_perf_passes_on_both() -> anyhow::Result<()> {
    compare(script::check_perf).await
}

/// Plays the scripts on a real etcd alone (`--nocapture` shows the transcript): a step that hangs there is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_can_play_the_scripts() -> anyhow::Result<()> {
    for script in [script::keys, script::leases, script::maintenance] {
        let etcd = cluster(Target::etcd()?).await?;
        play(&etcd, script()).await?;
    }
    Ok(())
}
