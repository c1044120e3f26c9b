//! Client libraries that know nothing of Fairlead: the `etcd-client` crate and Python's `etcd3`, a script each, run
//! unchanged against Fairlead and against a real etcd.

mod crate_script;
mod python;

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};

/// Patient elections: no script waits for one.
const ARGS: [&str; 2] = ["--heartbeat-interval=300", "--election-timeout=3000"];

/// How long the first election may take.
const LEADER_WITHIN: Duration = Duration::from_secs(20);

async fn cluster(target: Target) -> anyhow::Result<Cluster> {
    let args = ARGS.iter().map(|arg| (*arg).to_owned()).collect();
    let cluster = Cluster::start(Config { args, ..Config::new(target) }).await?;
    cluster.wait_leader(LEADER_WITHIN).await?;
    Ok(cluster)
}

#[tokio::test]
async fn the_etcd_client_crate_works_with_etcd() -> anyhow::Result<()> {
    crate_script::play(&cluster(Target::etcd()?).await?).await
}

#[tokio::test]
async fn the_etcd_client_crate_works_with_fairlead() -> anyhow::Result<()> {
    let cluster = cluster(Target::fairlead()?).await?;
    crate_script::play(&cluster).await?;
    // etcd has this from 3.7 on.
    crate_script::range_stream(&cluster).await
}

#[tokio::test]
async fn python_s_etcd3_works_with_both() -> anyhow::Result<()> {
    let python = python::environment().await?;
    for target in [Target::etcd()?, Target::fairlead()?] {
        python::play(&python, &cluster(target).await?).await?;
    }
    Ok(())
}
