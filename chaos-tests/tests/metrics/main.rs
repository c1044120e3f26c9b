//! Metrics on real clusters: the same load on ours and on Debian's etcd, then both pages beside each other.
//!
//! What the contract names must be there with etcd's type, labels and buckets, and whatever etcd moves under the load must
//! move here. `table` has the names; `load` what is done to both clusters.

mod load;
mod table;

use std::time::Duration;

use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_chaos_tests::page::Page;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// A cluster's pages after the load, once every family of `wanted` has moved on some member and all members know each other
/// again, or patience is at its end.
async fn pages(cluster: &Cluster, wanted: &[&str]) -> anyhow::Result<Vec<Page>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut pages = Vec::new();
        for url in cluster.client_urls() {
            pages.push(Page::of(&url).await?);
        }
        let moved = wanted.iter().all(|family| sum(&pages, family) > 0.0);
        let together = pages.iter().all(|page| page.sum("etcd_network_active_peers") == 2.0);
        if moved && together || Instant::now() >= deadline {
            return Ok(pages);
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

fn sum(pages: &[Page], family: &str) -> f64 {
    pages.iter().map(|page| page.sum(family)).sum()
}

/// What the first page that knows it says.
fn first<T>(pages: &[Page], of: impl Fn(&Page) -> Option<T>) -> Option<T> {
    pages.iter().find_map(of)
}

/// How ours differs from etcd's in one family.
fn difference(family: &str, ours: &[Page], etcd: &[Page]) -> Option<String> {
    let kinds = [ours, etcd].map(|pages| first(pages, |page| page.kind(family).map(str::to_owned)));
    if kinds[0] != kinds[1] {
        return Some(format!("{family}: type {:?}, etcd's {:?}", kinds[0], kinds[1]));
    }
    let labels = [ours, etcd].map(|pages| first(pages, |page| page.labels(family).map(|labels| format!("{labels:?}"))));
    if labels.iter().all(Option::is_some) && labels[0] != labels[1] {
        return Some(format!("{family}: labels {:?}, etcd's {:?}", labels[0], labels[1]));
    }
    let buckets = [ours, etcd].map(|pages| first(pages, |page| page.buckets(family)));
    let same = match &buckets {
        // etcd's page is rounded where a bound has no short form.
        [Some(ours), Some(etcd)] => {
            ours.len() == etcd.len() && ours.iter().zip(etcd).all(|(a, b)| a == b || (a / b - 1.0).abs() < 1e-9)
        }
        _ => true,
    };
    (!same).then(|| format!("{family}: buckets {:?}, etcd's {:?}", buckets[0], buckets[1]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn families_are_etcds_and_move_where_etcds_move() -> anyhow::Result<()> {
    let mut config = Config::new(Target::fairlead()?);
    config.args =
        ["--snapshot-count=50", "--snapshot-catchup-entries=10", "--metrics=extensive"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(config).await?;
    load::run(&cluster).await?;
    let ours = pages(&cluster, table::MOVING).await?;
    cluster.shutdown().await?;

    let mut config = Config::new(Target::etcd()?);
    config.args = ["--snapshot-count=50", "--metrics=extensive"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(config).await?;
    load::run(&cluster).await?;
    let etcd = pages(&cluster, &["etcd_network_peer_round_trip_time_seconds"]).await?;
    cluster.shutdown().await?;

    let mut wrong = Vec::new();
    for family in table::MUST {
        if !etcd.iter().any(|page| page.kind(family).is_some()) {
            continue;
        }
        wrong.extend(difference(family, &ours, &etcd));
    }
    for (family, kind, labels) in table::NEWER {
        let found = first(&ours, |page| page.kind(family).map(str::to_owned));
        if found.as_deref() != Some(*kind) {
            wrong.push(format!("{family}: type {found:?}, etcd 3.7's {kind}"));
        }
        let found =
            first(&ours, |page| page.labels(family).map(|labels| labels.into_iter().map(str::to_owned).collect()));
        if found.as_ref().is_some_and(|found: &Vec<String>| found != labels) {
            wrong.push(format!("{family}: labels {found:?}, etcd 3.7's {labels:?}"));
        }
    }
    wrong.extend(
        table::MOVING.iter().filter(|family| sum(&ours, family) == 0.0).map(|family| format!("{family}: never moved")),
    );
    for family in etcd.iter().flat_map(Page::families).collect::<std::collections::BTreeSet<_>>() {
        let known = ours.iter().any(|page| page.kind(family).is_some());
        if known && sum(&etcd, family) > 0.0 && sum(&ours, family) == 0.0 && !table::OTHERWISE.contains(&family) {
            wrong.push(format!("{family}: moves in etcd and stays at 0 here"));
        }
    }
    assert!(wrong.is_empty(), "metrics differ from etcd's:\n  {}", wrong.join("\n  "));
    assert_eq!(sum(&ours, "etcd_server_is_leader"), 1.0);
    assert_eq!(sum(&ours, "etcd_server_has_leader"), 3.0);
    for page in &ours {
        assert_eq!(page.sum("etcd_network_active_peers"), 2.0, "all are back");
        assert_eq!(page.sum("etcd_network_known_peers"), 2.0);
        assert_eq!(page.sum("etcd_debugging_mvcc_keys_total"), ours[0].sum("etcd_debugging_mvcc_keys_total"));
    }
    let keys = [&ours, &etcd].map(|pages| pages[0].sum("etcd_debugging_mvcc_keys_total"));
    assert_eq!(keys[0], keys[1], "the same keys exist");
    let compacted = "etcd_debugging_mvcc_db_compaction_keys_total";
    let most = |pages: &[Page]| pages.iter().map(|page| page.sum(compacted)).fold(0.0, f64::max);
    assert_eq!(most(&ours), most(&etcd), "the same versions were compacted away");
    Ok(())
}
