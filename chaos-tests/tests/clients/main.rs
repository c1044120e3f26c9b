//! Client libraries that know nothing of Fairlead: the `etcd-client` crate and Python's `etcd3`, a script each, run
//! unchanged against Fairlead and against a real etcd.

mod crate_script;
mod python;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};

/// Patient elections: no script waits for one.
const ARGS: [&str; 2] = ["--heartbeat-interval=300", "--election-timeout=3000"];

async fn cluster(target: Target) -> Cluster {
    let args = ARGS.iter().map(|arg| (*arg).to_owned()).collect();
    let cluster = Cluster::start(Config { args, ..Config::new(target) }).await.unwrap();
    cluster.wait_leader(std::time::Duration::from_secs(20)).await.unwrap();
    cluster
}

#[tokio::test]
async fn the_etcd_client_crate_works_with_etcd() {
    crate_script::play(&cluster(Target::etcd().unwrap()).await).await.unwrap();
}

#[tokio::test]
async fn the_etcd_client_crate_works_with_fairlead() {
    let cluster = cluster(Target::fairlead().unwrap()).await;
    crate_script::play(&cluster).await.unwrap();
    // etcd has this from 3.7 on.
    crate_script::range_stream(&cluster).await.unwrap();
}

#[tokio::test]
async fn python_s_etcd3_works_with_both() {
    let python = python::environment().await.unwrap();
    for target in [Target::etcd().unwrap(), Target::fairlead().unwrap()] {
        python::play(&python, &cluster(target).await).await.unwrap();
    }
}
