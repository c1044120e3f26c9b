//! The harness itself, shown on a real etcd: what it does to members is what it says.

use std::path::Path;
use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, State, Target};
use tokio::time::{Instant, sleep};

const ELECTED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn members_start_die_pause_partition_and_leave_nothing_behind() {
    let cluster = Cluster::start(Config::new(Target::etcd().unwrap())).await.unwrap();
    let dir = cluster.dir().to_owned();

    let first = cluster.wait_leader(ELECTED_WITHIN).await.unwrap();
    cluster.member(&first).unwrap().kill().await.unwrap();
    assert_eq!(cluster.member(&first).unwrap().state(), State::Stopped);
    let second = cluster.wait_leader(ELECTED_WITHIN).await.unwrap();
    assert_ne!(first, second, "a killed member leads");
    cluster.member(&first).unwrap().restart().await.unwrap();

    let others: Vec<&str> =
        cluster.members().iter().map(|member| member.name()).filter(|name| *name != second).collect();
    cluster.partition(&[&[second.as_str()], &others]).unwrap();
    let parted = Instant::now();
    while cluster.wait_leader(ELECTED_WITHIN).await.unwrap() == second {
        assert!(parted.elapsed() < ELECTED_WITHIN, "the partition did not depose {second}");
        sleep(Duration::from_millis(50)).await;
    }
    cluster.heal();

    let paused = cluster.member("n1").unwrap();
    paused.pause().unwrap();
    assert_eq!(paused.state(), State::Paused);
    paused.resume().unwrap();

    let pids: Vec<u32> = cluster.members().iter().filter_map(|member| member.pid()).collect();
    assert_eq!(pids.len(), 3);
    cluster.shutdown().await.unwrap();
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is still there");
    }
    assert!(!dir.exists(), "{} is still there", dir.display());
}

#[tokio::test]
async fn a_dropped_cluster_is_gone_even_when_a_member_is_paused() {
    let cluster = Cluster::start(Config { members: 1, ..Config::new(Target::etcd().unwrap()) }).await.unwrap();
    let (dir, pid) = (cluster.dir().to_owned(), cluster.member("n1").unwrap().pid().unwrap());
    cluster.member("n1").unwrap().pause().unwrap();
    drop(cluster);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!dir.exists());
}
