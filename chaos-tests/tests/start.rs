//! How members come together, with real processes.

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use fairlead_proto::etcd::etcdserverpb::{PutRequest, RangeRequest};
use tonic::transport::Endpoint;

/// A member whose cluster was founded by the others' first append, before it could do so itself, once knew no address to
/// forward to: it never got ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_finds_its_cluster_founded_serves_as_the_others_do() -> anyhow::Result<()> {
    let cluster = Cluster::prepare(Config::new(Target::fairlead()?)).await?;
    let late = cluster.member("n3")?;
    for name in ["n1", "n2"] {
        cluster.member(name)?.spawn()?;
    }
    late.spawn_with(&["--initial-cluster-state", "existing"])?;
    for member in cluster.members() {
        member.ready().await?;
    }
    let leader = cluster.wait_leader(Duration::from_secs(10)).await?;
    assert_ne!(leader, "n3", "it can found nothing, so it was not the first to lead");
    let mut kv = KvClient::new(Endpoint::from_shared(late.client_url())?.connect().await?);
    kv.put(PutRequest { key: "k".into(), value: "v".into(), ..Default::default() }).await?;
    let read = kv.range(RangeRequest { key: "k".into(), ..Default::default() }).await?.into_inner();
    assert_eq!(read.count, 1);
    Ok(cluster.shutdown().await?)
}
