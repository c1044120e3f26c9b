//! What a row works with: stubs to one member, an empty key space, and the revision it starts from.
//!
//! Rows take turns over the members, so that every member serves every kind of request.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use fairlead_chaos_tests::cluster::process::{Cluster, Member};
use fairlead_proto::etcd::etcdserverpb::kv_client::KvClient;
use fairlead_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use fairlead_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use fairlead_proto::etcd::etcdserverpb::watch_client::WatchClient;
use fairlead_proto::etcd::etcdserverpb::*;
use fairlead_proto::etcd::v3electionpb::election_client::ElectionClient;
use fairlead_proto::etcd::v3lockpb::lock_client::LockClient;
use tonic::transport::{Channel, Endpoint};

use crate::request::{delete_range, put};
use crate::show::{Show, failed};

/// Answers as large as etcd sends.
const DECODED_BYTES_MAX: usize = 64 << 20;
/// How often a row's preparation is tried.
const ENTER_TRIES_MAX: usize = 3;
/// How long a new leader may take.
const LEADER_WITHIN: Duration = Duration::from_secs(20);
/// Lease ids are the row's own, this many a row.
const LEASES_PER_ROW: i64 = 100;
static LEASES: AtomicI64 = AtomicI64::new(1);

/// A row's surroundings.
#[derive(Clone)]
pub(crate) struct Env {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) member: String,
    pub(crate) channel: Channel,
    pub(crate) kv: KvClient<Channel>,
    pub(crate) lease: LeaseClient<Channel>,
    pub(crate) maintenance: MaintenanceClient<Channel>,
    pub(crate) lock: LockClient<Channel>,
    pub(crate) election: ElectionClient<Channel>,
    pub(crate) show: Show,
}

impl Env {
    /// Empties the key space through the row's member and notes the revision; tried again while a leader is missing, which
    /// is no row's concern.
    pub(crate) async fn enter(cluster: &Arc<Cluster>, number: usize) -> anyhow::Result<Env> {
        let member = &cluster.members()[number % cluster.members().len()];
        let mut tries = 0;
        loop {
            tries += 1;
            match Env::try_enter(cluster, member).await {
                Err(error) if tries < ENTER_TRIES_MAX => tracing::warn!(?error, "a row could not be entered yet"),
                entered => return entered,
            }
            cluster.wait_leader(LEADER_WITHIN).await?;
        }
    }

    async fn try_enter(cluster: &Arc<Cluster>, member: &Member) -> anyhow::Result<Env> {
        let env = Env::at(cluster, member).await?;
        for lease in env.lease.clone().lease_leases(LeaseLeasesRequest {}).await?.into_inner().leases {
            // It may be expiring at this moment.
            if let Err(status) = env.lease.clone().lease_revoke(LeaseRevokeRequest { id: lease.id }).await {
                anyhow::ensure!(status.code() == tonic::Code::NotFound, "revoke: {status}");
            }
        }
        let emptied = env.kv.clone().delete_range(delete_range("\0", "\0")).await?.into_inner();
        let header = emptied.header.context("no header")?;
        let show = Show {
            base: header.revision,
            leases_from: LEASES.fetch_add(LEASES_PER_ROW, Ordering::Relaxed),
            cluster_id: header.cluster_id,
            member_id: header.member_id,
        };
        Ok(Env { show, ..env })
    }

    async fn at(cluster: &Arc<Cluster>, member: &Member) -> anyhow::Result<Env> {
        let channel = Endpoint::from_shared(member.client_url())?.connect().await?;
        Ok(Env {
            cluster: cluster.clone(),
            member: member.name().to_owned(),
            kv: KvClient::new(channel.clone()).max_decoding_message_size(DECODED_BYTES_MAX),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            lock: LockClient::new(channel.clone()),
            election: ElectionClient::new(channel.clone()),
            show: Show::default(),
            channel,
        })
    }

    /// The same row at another member, with that member's id in the headers.
    pub(crate) async fn elsewhere(&self) -> anyhow::Result<Env> {
        let names: Vec<_> = self.cluster.members().iter().map(|member| member.name().to_owned()).collect();
        let mine = names.iter().position(|name| *name == self.member).context("own member")?;
        self.on(&names[(mine + 1) % names.len()]).await
    }

    /// The same row at a member of that name.
    pub(crate) async fn on(&self, name: &str) -> anyhow::Result<Env> {
        let env = Env::at(&self.cluster, self.cluster.member(name)?).await?;
        let status = env.maintenance.clone().status(StatusRequest {}).await?.into_inner();
        let member_id = status.header.context("no header")?.member_id;
        Ok(Env { show: Show { member_id, ..self.show.clone() }, ..env })
    }

    /// An absolute revision from one relative to the row's start.
    pub(crate) fn at_revision(&self, relative: i64) -> i64 {
        self.show.base + relative
    }

    /// The id of the row's `n`th lease.
    pub(crate) fn lease_id(&self, n: i64) -> i64 {
        self.show.leases_from + n
    }

    /// The watch service's stub.
    pub(crate) fn watch_client(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel.clone()).max_decoding_message_size(DECODED_BYTES_MAX)
    }

    /// Puts, and expects no error.
    pub(crate) async fn put(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.kv.clone().put(put(key, value)).await.map(|_| ()).context("put")
    }

    /// Puts several keys, each at its own revision: `"a=1 b=2"`.
    pub(crate) async fn puts(&self, pairs: &str) -> anyhow::Result<()> {
        for pair in pairs.split_whitespace() {
            let (key, value) = pair.split_once('=').context("key=value")?;
            self.put(key, value).await?;
        }
        Ok(())
    }

    /// Deletes one key, and expects no error.
    pub(crate) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        self.kv.clone().delete_range(delete_range(key, "")).await.map(|_| ()).context("delete")
    }

    /// Grants the row's `n`th lease.
    pub(crate) async fn grant(&self, n: i64, ttl: i64) -> anyhow::Result<i64> {
        let id = self.lease_id(n);
        self.lease.clone().lease_grant(LeaseGrantRequest { ttl, id }).await.context("grant")?;
        Ok(id)
    }

    /// Compacts at a relative revision, waits for the physical removal, and expects no error.
    pub(crate) async fn compact(&self, relative: i64) -> anyhow::Result<()> {
        let request = CompactionRequest { revision: self.at_revision(relative), physical: true };
        self.kv.clone().compact(request).await.map(|_| ()).context("compact")
    }

    /// The rendered answer to a range.
    pub(crate) async fn ask_range(&self, request: RangeRequest) -> String {
        match self.kv.clone().range(request).await {
            Ok(response) => self.show.range(&response.into_inner()),
            Err(status) => failed(&status),
        }
    }

    /// The rendered answer to a put.
    pub(crate) async fn ask_put(&self, request: PutRequest) -> String {
        match self.kv.clone().put(request).await {
            Ok(response) => self.show.put(&response.into_inner()),
            Err(status) => failed(&status),
        }
    }

    /// The rendered answer to a delete.
    pub(crate) async fn ask_delete(&self, request: DeleteRangeRequest) -> String {
        match self.kv.clone().delete_range(request).await {
            Ok(response) => self.show.delete(&response.into_inner()),
            Err(status) => failed(&status),
        }
    }

    /// The rendered answer to a transaction.
    pub(crate) async fn ask_txn(&self, request: TxnRequest) -> String {
        match self.kv.clone().txn(request).await {
            Ok(response) => self.show.txn(&response.into_inner()),
            Err(status) => failed(&status),
        }
    }

    /// The rendered answer to a compaction at an absolute revision.
    pub(crate) async fn ask_compact(&self, revision: i64) -> String {
        match self.kv.clone().compact(CompactionRequest { revision, physical: false }).await {
            Ok(response) => self.show.header(&response.into_inner().header),
            Err(status) => failed(&status),
        }
    }
}
