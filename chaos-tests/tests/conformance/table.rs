//! A conformance table: rows of a name, a script and the answer both servers must give.
//!
//! A row's name starts with the contract's section. Its script talks to one member through the plain generated stubs and
//! renders what it got as text ([`Show`](crate::show::Show)), with revisions relative to the row's start. Where the servers
//! differ, the row has our exact answer, etcd's, and the version that answers as we do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fairlead_chaos_tests::cluster::process::{Cluster, Config, Target};
use fairlead_proto::etcd::etcdserverpb::HashKvRequest;
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use fairlead_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Endpoint;

use crate::env::Env;
use crate::request::get;

/// How long one row may take.
const ROW_WITHIN: Duration = Duration::from_secs(30);

/// A row that takes longer is named in the output.
const SLOW_ROW: Duration = Duration::from_secs(2);

/// How long members may take to agree after a row.
const AGREED_WITHIN: Duration = Duration::from_secs(15);
/// How often they are asked.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// What a script gives: the rendered answer.
pub(crate) type Answer = anyhow::Result<String>;
type Script = Box<dyn Fn(Env) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// The answer a row expects.
pub(crate) enum Expect {
    /// Both servers give this.
    Same(String),
    /// We answer as a newer etcd than the one at hand.
    Differs {
        ours: String,
        /// The etcd version (or the contract's words) that gives our answer.
        since: &'static str,
        etcd: String,
    },
    /// Only we are asked: the etcd at hand has no answer.
    Ours { ours: String, since: &'static str },
}

/// Both servers give this.
pub(crate) fn same(answer: impl Into<String>) -> Expect {
    Expect::Same(answer.into())
}

/// Ours answers as `since` does; the etcd at hand (3.4.23) gives `etcd`.
pub(crate) fn differs(ours: impl Into<String>, since: &'static str, etcd: impl Into<String>) -> Expect {
    Expect::Differs { ours: ours.into(), since, etcd: etcd.into() }
}

/// Ours answers as `since` does; not asked of the etcd at hand, which would crash or hang up.
pub(crate) fn ours(ours: impl Into<String>, since: &'static str) -> Expect {
    Expect::Ours { ours: ours.into(), since }
}

/// One row.
pub(crate) struct Row {
    name: &'static str,
    expect: Expect,
    script: Script,
}

impl Row {
    /// Runs `prepare` before the row's script.
    pub(crate) fn before<F, A>(self, prepare: F) -> Row
    where
        F: Fn(Env) -> A + Send + Sync + 'static,
        A: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let Row { name, expect, script } = self;
        let script: Script = Box::new(move |env| {
            let (prepared, answered) = (prepare(env.clone()), script(env));
            Box::pin(async move {
                prepared.await?;
                answered.await
            })
        });
        Row { name, expect, script }
    }
}

/// Makes a row.
pub(crate) fn row<F, A>(name: &'static str, expect: Expect, script: F) -> Row
where
    F: Fn(Env) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    Row { name, expect, script: Box::new(move |env| Box::pin(script(env))) }
}

/// Rows that share a cluster.
pub(crate) struct Table {
    pub(crate) title: &'static str,
    pub(crate) members: usize,
    pub(crate) args: &'static [&'static str],
    pub(crate) rows: Vec<Row>,
}

/// Waits until all members have the same revision and, at it, the same hash: at once, but where a partition has just healed
/// or a lease has just run out. The hash of 3.4 depends on how far each member has come with a compaction, so it is not
/// asked for there.
async fn agree(cluster: &Cluster, is_etcd: bool) -> anyhow::Result<()> {
    let asked = Instant::now();
    loop {
        let seen = revisions(cluster, is_etcd).await;
        match &seen {
            Ok(seen) if seen.windows(2).all(|two| two[0] == two[1]) => return Ok(()),
            _ if asked.elapsed() < AGREED_WITHIN => sleep(ASK_INTERVAL).await,
            _ => anyhow::bail!("revision and hash by member: {seen:?}"),
        }
    }
}

/// Revision and hash of every member, after a linearizable read there.
async fn revisions(cluster: &Cluster, is_etcd: bool) -> anyhow::Result<Vec<(i64, u32)>> {
    let mut seen = Vec::new();
    for member in cluster.members() {
        let channel = Endpoint::from_shared(member.client_url())?.connect().await?;
        let ranged = KvClient::new(channel.clone()).range(get("\0")).await?.into_inner();
        let hashed = MaintenanceClient::new(channel).hash_kv(HashKvRequest { revision: 0 }).await?.into_inner();
        seen.push((ranged.header.unwrap_or_default().revision, if is_etcd { 0 } else { hashed.hash }));
    }
    Ok(seen)
}

/// Runs a table against `target` and panics with every row that differs.
pub(crate) async fn check(table: Table, target: Target) -> anyhow::Result<()> {
    let is_etcd = matches!(target, Target::Etcd(_));
    let config = Config {
        members: table.members,
        args: table.args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..Config::new(target)
    };
    let cluster = Arc::new(Cluster::start(config).await?);
    cluster.wait_leader(Duration::from_secs(20)).await?;
    let only = std::env::var("ROW").ok();
    let mut wrong = Vec::new();
    let mut run = 0;
    for (number, row) in table.rows.iter().enumerate() {
        if is_etcd && matches!(row.expect, Expect::Ours { .. }) {
            continue;
        }
        if only.as_ref().is_some_and(|only| !row.name.contains(only.as_str())) {
            continue;
        }
        run += 1;
        let env = Env::enter(&cluster, number).await.with_context(|| format!("enter {}", row.name))?;
        let started = Instant::now();
        let answer = match timeout(ROW_WITHIN, (row.script)(env)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => format!("script failed: {error:?}"),
            Err(_) => format!("no answer within {ROW_WITHIN:?}"),
        };
        if started.elapsed() > SLOW_ROW {
            println!("{:?} for {}", started.elapsed(), row.name);
        }
        cluster.heal();
        if let Err(difference) = agree(&cluster, is_etcd).await {
            wrong.push(format!("{}\n    members differ afterwards: {difference:?}", row.name));
        }
        let (expected, since) = match &row.expect {
            Expect::Same(answer) => (answer, "all versions"),
            Expect::Differs { etcd, .. } if is_etcd => (etcd, "etcd 3.4.23"),
            Expect::Differs { ours, since, .. } | Expect::Ours { ours, since } => (ours, *since),
        };
        if answer != *expected {
            wrong.push(format!("{}\n    expected {expected}\n         got {answer}\n    ({since})", row.name));
        }
    }
    println!("{}: {run} rows, {} wrong", table.title, wrong.len());
    assert!(wrong.is_empty(), "{} of {run} rows of {} differ:\n{}", wrong.len(), table.title, wrong.join("\n"));
    Ok(())
}
