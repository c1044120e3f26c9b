//! Clients that put, delete, run transactions and use leases, and keep a [`Ledger`] of what they were told.
//!
//! Each client has keys of its own, so that it knows what every answer must be. It asks one member, and after an error or a
//! late answer goes on with the next one and with other keys. Nothing is sent twice.

use std::time::Duration;

use fairlead_proto::etcd::etcdserverpb as pb;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::ledger::Ledger;

/// How long a client waits for one answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Pause after an error, so that a dead member is not asked in a tight loop.
const AFTER_ERROR: Duration = Duration::from_millis(5);
/// Longer than any test: these leases never end by themselves.
const TTL_SECONDS: i64 = 3_600;

/// Running clients.
pub struct Mixture {
    stop: CancellationToken,
    tasks: JoinSet<Ledger>,
}

impl Mixture {
    /// Starts `count` clients on `endpoints`, with keys under `prefix`.
    ///
    /// # Errors
    /// When an endpoint is no URL.
    pub fn start(prefix: &str, count: usize, endpoints: &[String], seed: u64) -> anyhow::Result<Mixture> {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let mut rng = StdRng::seed_from_u64(seed);
        for number in 0..count {
            let channel =
                |url: &String| Ok(Endpoint::from_shared(url.clone())?.connect_timeout(ANSWER_WITHIN).connect_lazy());
            let client = Client {
                channels: endpoints.iter().map(channel).collect::<anyhow::Result<_>>()?,
                member: number,
                prefix: format!("{prefix}/{number}"),
                rng: StdRng::from_rng(&mut rng),
                ledger: Ledger::default(),
                live: Vec::new(),
                gone: Vec::new(),
                leases: Vec::new(),
                serial: 0,
            };
            tasks.spawn(client.run(stop.clone()));
        }
        Ok(Mixture { stop, tasks })
    }

    /// Ends the clients, each after its last answer; what they know.
    ///
    /// # Panics
    /// When a client has panicked.
    pub async fn stop(self) -> Ledger {
        self.stop.cancel();
        let mut all = Ledger::default();
        self.tasks.join_all().await.into_iter().for_each(|ledger| all.merge(ledger));
        all
    }
}

struct Client {
    channels: Vec<Channel>,
    member: usize,
    prefix: String,
    rng: StdRng,
    ledger: Ledger,
    /// Keys known to stand, without a lease.
    live: Vec<String>,
    /// Keys known to be gone.
    gone: Vec<String>,
    /// Leases known to be granted, and their keys.
    leases: Vec<(i64, Vec<String>)>,
    serial: u64,
}

fn revision(header: Option<&pb::ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

impl Client {
    async fn run(mut self, stop: CancellationToken) -> Ledger {
        while !stop.is_cancelled() {
            let done = match self.rng.random_range(0..100) {
                0..40 => self.put().await,
                40..60 => self.delete().await,
                60..85 => self.txn().await,
                85..95 => self.grant().await,
                _ => self.revoke().await,
            };
            if done.is_none() {
                self.member += 1;
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
        self.ledger
    }

    fn channel(&self) -> Channel {
        self.channels[self.member % self.channels.len()].clone()
    }

    /// A key that is known to be gone, or a new one.
    fn free_key(&mut self) -> String {
        if !self.gone.is_empty() && self.rng.random_bool(0.5) {
            let place = self.rng.random_range(0..self.gone.len());
            return self.gone.swap_remove(place);
        }
        self.serial += 1;
        format!("{}/{:06}", self.prefix, self.serial)
    }

    fn take_live(&mut self) -> Option<String> {
        let place = (!self.live.is_empty()).then(|| self.rng.random_range(0..self.live.len()))?;
        Some(self.live.swap_remove(place))
    }

    /// A value that no other change has.
    fn value(&mut self, key: &str) -> String {
        self.serial += 1;
        format!("{key}@{}", self.serial)
    }

    /// The answer, if it comes in time.
    async fn ask<T>(call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> Option<T> {
        tokio::time::timeout(ANSWER_WITHIN, call).await.ok()?.ok().map(tonic::Response::into_inner)
    }

    /// `None`: no answer, here and below.
    async fn put_at(&mut self, key: &str, lease: i64) -> Option<()> {
        let value = self.value(key);
        let request =
            pb::PutRequest { key: key.to_owned().into(), value: value.clone().into(), lease, ..Default::default() };
        let answer = Self::ask(KvClient::new(self.channel()).put(request)).await;
        match answer {
            Some(answer) => self.ledger.put(key, &value, revision(answer.header.as_ref())),
            None => {
                self.ledger.maybe_put(key, &value);
                return None;
            }
        }
        Some(())
    }

    async fn put(&mut self) -> Option<()> {
        let known = if self.rng.random_bool(0.5) { self.take_live() } else { None };
        let key = known.unwrap_or_else(|| self.free_key());
        self.put_at(&key, 0).await?;
        self.live.push(key);
        Some(())
    }

    async fn delete(&mut self) -> Option<()> {
        let Some(key) = self.take_live() else { return self.put().await };
        let request = pb::DeleteRangeRequest { key: key.clone().into(), ..Default::default() };
        let Some(answer) = Self::ask(KvClient::new(self.channel()).delete_range(request)).await else {
            self.ledger.maybe_deleted(&key);
            return None;
        };
        if answer.deleted != 1 {
            self.ledger.broken(format!("{key} stood, but {} keys were deleted", answer.deleted));
        }
        self.ledger.deleted(&key, revision(answer.header.as_ref()));
        self.gone.push(key);
        Some(())
    }

    /// If one key is as it is known to be: changes it, makes another, and deletes a third.
    async fn txn(&mut self) -> Option<()> {
        let (Some(changed), Some(deleted)) = (self.take_live(), self.take_live()) else { return self.put().await };
        let made = self.free_key();
        let (value, other) = (self.value(&changed), self.value(&made));
        let known = self.ledger.revision_of(&changed).unwrap_or(0);
        let put = |key: &str, value: &str| {
            let put =
                pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() };
            pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
        };
        let delete = pb::DeleteRangeRequest { key: deleted.clone().into(), ..Default::default() };
        let delete = pb::RequestOp { request: Some(pb::request_op::Request::RequestDeleteRange(delete)) };
        let compare = pb::Compare {
            result: pb::compare::CompareResult::Equal as i32,
            target: pb::compare::CompareTarget::Mod as i32,
            key: changed.clone().into(),
            target_union: Some(pb::compare::TargetUnion::ModRevision(known)),
            ..Default::default()
        };
        let success = vec![put(&changed, &value), put(&made, &other), delete];
        let request = pb::TxnRequest { compare: vec![compare], success, failure: Vec::new() };
        let Some(answer) = Self::ask(KvClient::new(self.channel()).txn(request)).await else {
            self.ledger.maybe_put(&changed, &value);
            self.ledger.maybe_put(&made, &other);
            self.ledger.maybe_deleted(&deleted);
            return None;
        };
        if !answer.succeeded {
            self.ledger.broken(format!("{changed} was changed at {known}, but a transaction found another revision"));
            return Some(());
        }
        let revision = revision(answer.header.as_ref());
        self.ledger.put(&changed, &value, revision);
        self.ledger.put(&made, &other, revision);
        self.ledger.deleted(&deleted, revision);
        self.live.extend([changed, made]);
        self.gone.push(deleted);
        Some(())
    }

    /// A lease with two keys.
    async fn grant(&mut self) -> Option<()> {
        let id = self.rng.random_range(1..i64::MAX);
        let request = pb::LeaseGrantRequest { ttl: TTL_SECONDS, id };
        if Self::ask(LeaseClient::new(self.channel()).lease_grant(request)).await.is_none() {
            self.ledger.maybe_lease(id);
            return None;
        }
        self.ledger.granted(id);
        let keys = [self.free_key(), self.free_key()];
        for key in &keys {
            self.put_at(key, id).await?;
        }
        self.leases.push((id, keys.to_vec()));
        Some(())
    }

    async fn revoke(&mut self) -> Option<()> {
        let place = (!self.leases.is_empty()).then(|| self.rng.random_range(0..self.leases.len()));
        let Some(place) = place else { return self.grant().await };
        let (id, keys) = self.leases.swap_remove(place);
        let request = pb::LeaseRevokeRequest { id };
        let Some(answer) = Self::ask(LeaseClient::new(self.channel()).lease_revoke(request)).await else {
            self.ledger.maybe_lease(id);
            keys.iter().for_each(|key| self.ledger.maybe_deleted(key));
            return None;
        };
        let revision = revision(answer.header.as_ref());
        self.ledger.revoked(id, revision);
        keys.iter().for_each(|key| self.ledger.deleted(key, revision));
        self.gone.extend(keys);
        Some(())
    }
}
