//! Conformance: sections 1.3 to 1.10, 1.13 and 1.14 of the etcd v3 contract as tables, run against Fairlead and against a real etcd.
//!
//! The contract's level is etcd 3.7; Debian's etcd is 3.4.23. `ROW=<part of a name>` runs only the rows that match.

mod compact;
mod election;
mod env;
mod errors;
mod lease;
mod lock;
mod progress;
mod put;
mod quota;
mod range;
mod range_stream;
mod request;
mod revisions;
mod show;
mod stream;
mod table;
mod txn;
mod watch;
mod watching;

use fairlead_chaos_tests::cluster::process::Target;
use table::{Table, check};

/// Everything that shares one cluster with default flags; the fresh cluster's rows come first.
fn shared() -> Table {
    let rows = [
        revisions::rows(),
        range::rows(),
        range_stream::rows(),
        txn::rows(),
        txn::compare_rows(),
        put::rows(),
        compact::rows(),
        watch::rows(),
        progress::rows(),
        lock::rows(),
        election::rows(),
        errors::rows(),
    ];
    // Patient elections: the machine may be busy, and no row here waits for one.
    let args = &["--heartbeat-interval=300", "--election-timeout=3000"];
    Table { title: "shared cluster", members: 3, args, rows: rows.into_iter().flatten().collect() }
}

/// Transactions refused at apply: see [`txn::refused_at_apply_rows`].
fn refused(members: usize) -> Table {
    Table { title: "refused at apply", members, args: &[], rows: txn::refused_at_apply_rows() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_refuses_at_apply() -> anyhow::Result<()> {
    check(refused(1), Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fairlead_refuses_at_apply_and_its_members_agree() -> anyhow::Result<()> {
    check(refused(3), Target::fairlead()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_answers_every_row() -> anyhow::Result<()> {
    check(shared(), Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fairlead_answers_every_row() -> anyhow::Result<()> {
    check(shared(), Target::fairlead()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_answers_every_lease_row() -> anyhow::Result<()> {
    check(lease::table(), Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fairlead_answers_every_lease_row() -> anyhow::Result<()> {
    check(lease::table(), Target::fairlead()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_answers_every_quota_row() -> anyhow::Result<()> {
    check(quota::table(), Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fairlead_answers_every_quota_row() -> anyhow::Result<()> {
    check(quota::table(), Target::fairlead()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_answers_every_row_on_limits() -> anyhow::Result<()> {
    check(errors::limits(), Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fairlead_answers_every_row_on_limits() -> anyhow::Result<()> {
    check(errors::limits(), Target::fairlead()?).await
}
