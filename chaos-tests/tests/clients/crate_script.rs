//! The script of the `etcd-client` crate: every service it has stubs for, over all members at once.

use std::time::Duration;

use anyhow::{Context, ensure};
use etcd_client::*;
use fairlead_chaos_tests::cluster::process::Cluster;
use tokio::time::timeout;

/// How long what must come may take.
const WITHIN: Duration = Duration::from_secs(10);

async fn connect(cluster: &Cluster) -> anyhow::Result<Client> {
    // The crate spreads requests over its end points.
    let options = ConnectOptions::new().with_require_leader(true).with_keep_alive(WITHIN, WITHIN);
    Ok(Client::connect(cluster.client_urls(), Some(options)).await?)
}

/// Plays the whole script.
pub(crate) async fn play(cluster: &Cluster) -> anyhow::Result<()> {
    let mut client = connect(cluster).await?;
    keys(&mut client).await.context("keys")?;
    transactions(&mut client).await.context("transactions")?;
    watches(&mut client).await.context("watches")?;
    leases(&mut client).await.context("leases")?;
    locks(&mut client).await.context("locks")?;
    elections(&mut client).await.context("elections")?;
    maintenance(&mut client, cluster).await.context("maintenance")
}

/// The stream form of Range.
pub(crate) async fn range_stream(cluster: &Cluster) -> anyhow::Result<()> {
    let mut client = connect(cluster).await?;
    for number in 0..25 {
        client.put(format!("stream/{number:02}"), "v", None).await?;
    }
    let mut stream = client.kv_client().get_stream("stream/", Some(GetOptions::new().with_prefix())).await?;
    let mut keys = 0;
    while let Some(part) = stream.message().await? {
        keys += part.kvs().len();
    }
    ensure!(keys == 25, "{keys} keys");
    Ok(())
}

async fn keys(client: &mut Client) -> anyhow::Result<()> {
    client.put("key/a", "1", None).await?;
    let answer = client.put("key/a", "2", Some(PutOptions::new().with_prev_key())).await?;
    ensure!(answer.prev_key().context("no previous record")?.value() == b"1");
    for (key, value) in [("key/b", "3"), ("key/c", "4")] {
        client.put(key, value, None).await?;
    }
    let options = GetOptions::new().with_prefix().with_limit(2).with_sort(SortTarget::Value, SortOrder::Descend);
    let answer = client.get("key/", Some(options)).await?;
    let found: Vec<_> = answer.kvs().iter().map(|kv| kv.key_str()).collect::<Result<_, _>>()?;
    ensure!(found == ["key/c", "key/b"] && answer.more() && answer.count() == 3, "{found:?}");
    let revision = answer.header().context("no header")?.revision();
    let old = client.get("key/a", Some(GetOptions::new().with_revision(revision - 3))).await?;
    ensure!(old.kvs()[0].value() == b"1", "{old:?}");
    let answer = client.delete("key/", Some(DeleteOptions::new().with_prefix().with_prev_key())).await?;
    ensure!(answer.deleted() == 3 && answer.prev_kvs().len() == 3);
    client.compact(revision, Some(CompactionOptions::new().with_physical())).await?;
    let refused = client.get("key/a", Some(GetOptions::new().with_revision(revision - 3))).await;
    let Err(Error::GRpcStatus(status)) = refused else { anyhow::bail!("compacted, and yet {refused:?}") };
    ensure!(status.message() == "etcdserver: mvcc: required revision has been compacted", "{status}");
    Ok(())
}

async fn transactions(client: &mut Client) -> anyhow::Result<()> {
    let swap = |from: &str, to: &str| {
        Txn::new()
            .when([Compare::value("txn", CompareOp::Equal, from)])
            .and_then([TxnOp::put("txn", to, None)])
            .or_else([TxnOp::get("txn", None)])
    };
    client.put("txn", "1", None).await?;
    let won = client.txn(swap("1", "2")).await?;
    ensure!(won.succeeded() && matches!(won.op_responses()[0], TxnOpResponse::Put(_)));
    let lost = client.txn(swap("1", "3")).await?;
    let answers = lost.op_responses();
    let TxnOpResponse::Get(found) = &answers[0] else { anyhow::bail!("{answers:?}") };
    ensure!(!lost.succeeded() && found.kvs()[0].value() == b"2");
    let nested = Txn::new().and_then([TxnOp::txn(swap("2", "4")), TxnOp::delete("none", None)]);
    ensure!(client.txn(nested).await?.succeeded());
    ensure!(client.get("txn", None).await?.kvs()[0].value() == b"4");
    Ok(())
}

async fn next(stream: &mut WatchStream) -> anyhow::Result<WatchResponse> {
    timeout(WITHIN, stream.message()).await.context("nothing came")??.context("the stream ended")
}

async fn watches(client: &mut Client) -> anyhow::Result<()> {
    let from = client.put("watch/a", "1", None).await?.header().context("no header")?.revision();
    let options = WatchOptions::new().with_prefix().with_start_revision(from).with_prev_key();
    let mut stream = client.watch("watch/", Some(options)).await?;
    let created = next(&mut stream).await?;
    ensure!(created.created() && !created.canceled(), "{created:?}");
    client.put("watch/a", "2", None).await?;
    client.delete("watch/a", None).await?;
    let mut events = Vec::new();
    while events.len() < 3 {
        events.extend(next(&mut stream).await?.events().to_vec());
    }
    let kinds: Vec<_> = events.iter().map(|event| event.event_type()).collect();
    ensure!(kinds == [EventType::Put, EventType::Put, EventType::Delete], "{kinds:?}");
    ensure!(events[2].prev_kv().context("no previous record")?.value() == b"2");
    stream.request_progress().await?;
    let progress = next(&mut stream).await?;
    ensure!(
        progress.events().is_empty() && progress.header().context("no header")?.revision() == from + 2,
        "{progress:?}"
    );
    stream.cancel(created.watch_id()).await?;
    ensure!(next(&mut stream).await?.canceled());
    Ok(())
}

async fn leases(client: &mut Client) -> anyhow::Result<()> {
    let lease = client.lease_grant(60, None).await?.id();
    client.put("lease/a", "1", Some(PutOptions::new().with_lease(lease))).await?;
    let (mut keeper, mut answers) = client.lease_keep_alive(lease).await?;
    keeper.keep_alive().await?;
    let kept = timeout(WITHIN, answers.message()).await.context("no answer")??.context("the stream ended")?;
    ensure!(kept.ttl() == 60 && kept.id() == lease, "{kept:?}");
    let left = client.lease_time_to_live(lease, Some(LeaseTimeToLiveOptions::new().with_keys())).await?;
    ensure!(left.granted_ttl() == 60 && left.keys() == [b"lease/a".to_vec()], "{left:?}");
    ensure!(client.leases().await?.leases().iter().any(|listed| listed.id() == lease));
    client.lease_revoke(lease).await?;
    ensure!(client.get("lease/a", None).await?.count() == 0);
    Ok(())
}

async fn locks(client: &mut Client) -> anyhow::Result<()> {
    let (first, second) = (client.lease_grant(60, None).await?.id(), client.lease_grant(60, None).await?.id());
    let locked = client.lock("door", Some(LockOptions::new().with_lease(first))).await?;
    let mut other = client.clone();
    let waiter = tokio::spawn(async move { other.lock("door", Some(LockOptions::new().with_lease(second))).await });
    client.unlock(locked.key()).await?;
    let locked = timeout(WITHIN, waiter).await.context("not woken")???;
    ensure!(locked.key().starts_with(b"door/"));
    client.unlock(locked.key()).await?;
    Ok(())
}

async fn elections(client: &mut Client) -> anyhow::Result<()> {
    let lease = client.lease_grant(60, None).await?.id();
    let won = client.campaign("office", "first", lease).await?;
    let key = won.leader().context("no leader key")?.clone();
    client.proclaim("second", Some(ProclaimOptions::new().with_leader(key.clone()))).await?;
    ensure!(client.leader("office").await?.kv().context("no leader")?.value() == b"second");
    let mut observer = client.observe("office").await?;
    let observed = timeout(WITHIN, observer.message()).await.context("nothing observed")??.context("ended")?;
    ensure!(observed.kv().context("no record")?.value() == b"second");
    client.resign(Some(ResignOptions::new().with_leader(key))).await?;
    ensure!(client.leader("office").await.is_err(), "resigned, and still in office");
    Ok(())
}

async fn maintenance(client: &mut Client, cluster: &Cluster) -> anyhow::Result<()> {
    let members = client.member_list().await?;
    let mut names: Vec<_> = members.members().iter().map(|member| member.name().to_owned()).collect();
    names.sort_unstable();
    ensure!(names == ["n1", "n2", "n3"], "{names:?}");
    let status = client.status().await?;
    ensure!(members.members().iter().any(|member| member.id() == status.leader()), "{status:?}");
    ensure!(client.alarm(AlarmAction::Get, AlarmType::None, None).await?.alarms().is_empty());
    ensure!(client.hash_kv(0).await?.hash() != 0);
    client.defragment().await?;
    let mut snapshot = client.snapshot().await?;
    let mut bytes = 0;
    while let Some(part) = snapshot.message().await? {
        bytes += part.blob().len();
    }
    ensure!(bytes > 32, "{bytes} bytes");
    let leader = cluster.wait_leader(WITHIN).await?;
    let target = members.members().iter().find(|member| member.name() != leader).context("three members")?;
    let mut at_leader = Client::connect([cluster.member(&leader)?.client_url()], None).await?;
    at_leader.move_leader(target.id()).await?;
    ensure!(cluster.wait_leader(WITHIN).await? == target.name());
    Ok(())
}
