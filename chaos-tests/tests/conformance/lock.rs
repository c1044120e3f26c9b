//! Contract 1.13: the lock service.

use std::time::Duration;

use anyhow::Context;
use fairlead_proto::etcd::etcdserverpb::LeaseRevokeRequest;
use fairlead_proto::etcd::v3lockpb::{LockRequest, UnlockRequest};
use tokio::time::timeout;

use crate::env::Env;
use crate::request::*;
use crate::show::{failed, text};
use crate::table::{Answer, Row, row, same};

/// A waiter must still wait after this.
const WAITS_FOR: Duration = Duration::from_millis(300);

/// Takes a lock; the lease in the key is shown by its number.
async fn lock(env: &Env, name: &str, lease: i64) -> Answer {
    let request = LockRequest { name: bytes(name), lease };
    Ok(match env.lock.clone().lock(request).await {
        Ok(locked) => {
            let locked = locked.into_inner();
            format!(
                "{} {}",
                env.show.header(&locked.header),
                text(&locked.key).replace(&format!("{lease:x}"), &env.show.lease(lease))
            )
        }
        Err(status) => failed(&status),
    })
}

/// Takes a lock that must be had.
async fn take(env: &Env, name: &str, lease: i64) -> anyhow::Result<()> {
    env.lock.clone().lock(LockRequest { name: bytes(name), lease }).await.map(|_| ()).context("lock")
}

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row(
            "1.13 a lock's key is the name and the lease in hexadecimal",
            same("r+1 lock/L1, count=1"),
            |env| async move {
                let lease = env.grant(1, 60).await?;
                let locked = lock(&env, "lock", lease).await?;
                let key = format!("lock/{lease:x}");
                let found = env.kv.clone().range(get(&key)).await?.into_inner();
                anyhow::ensure!(found.kvs[0].lease == lease && found.kvs[0].value.is_empty(), "{found:?}");
                Ok(format!("{locked}, count={}", found.count))
            },
        ),
        row(
            "1.13 a lock taken again by its owner is the same lock",
            same("r+1 lock/L1, r+1 lock/L1"),
            |env| async move {
                let lease = env.grant(1, 60).await?;
                Ok(format!("{}, {}", lock(&env, "lock", lease).await?, lock(&env, "lock", lease).await?))
            },
        ),
        row("1.13 a second owner waits for the unlock", same("r+3 lock/L2"), |env| async move {
            let (first, second) = (env.grant(1, 60).await?, env.grant(2, 60).await?);
            take(&env, "lock", first).await?;
            let waiter = tokio::spawn({
                let env = env.clone();
                async move { lock(&env, "lock", second).await }
            });
            tokio::pin!(waiter);
            anyhow::ensure!(timeout(WAITS_FOR, &mut waiter).await.is_err(), "two owners");
            env.lock.clone().unlock(UnlockRequest { key: bytes(&format!("lock/{first:x}")) }).await?;
            timeout(Duration::from_secs(5), &mut waiter).await.context("not woken")??
        }),
        row("1.13 a lock goes with its lease", same("r+3 lock/L2"), |env| async move {
            let (first, second) = (env.grant(1, 60).await?, env.grant(2, 60).await?);
            take(&env, "lock", first).await?;
            let waiter = tokio::spawn({
                let env = env.elsewhere().await?;
                async move { lock(&env, "lock", second).await }
            });
            tokio::pin!(waiter);
            anyhow::ensure!(timeout(WAITS_FOR, &mut waiter).await.is_err(), "two owners");
            env.lease.clone().lease_revoke(LeaseRevokeRequest { id: first }).await?;
            timeout(Duration::from_secs(5), &mut waiter).await.context("not woken")??
        }),
        row("1.13 waiters are served in the order of their coming", same("L2 L3"), |env| async move {
            let mut leases = Vec::new();
            for n in 1..=3 {
                leases.push(env.grant(n, 60).await?);
            }
            take(&env, "lock", leases[0]).await?;
            let (served, mut order) = tokio::sync::mpsc::channel(4);
            for lease in leases[1..].iter().copied() {
                let (env, served) = (env.clone(), served.clone());
                let before = env.ask_range(range("lock/", "lock0")).await;
                tokio::spawn({
                    let env = env.clone();
                    async move {
                        if lock(&env, "lock", lease).await.is_ok() {
                            served.send(lease).await.expect("the row waits");
                        }
                    }
                });
                while env.ask_range(range("lock/", "lock0")).await == before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            let mut shown = Vec::new();
            for owner in &leases[..2] {
                env.lock.clone().unlock(UnlockRequest { key: bytes(&format!("lock/{:x}", owner)) }).await?;
                let next = timeout(Duration::from_secs(5), order.recv()).await.context("not woken")?;
                shown.push(env.show.lease(next.context("waiters gone")?));
            }
            Ok(shown.join(" "))
        }),
        row("1.13 an unlock deletes the key", same("r+2, r+2 count=0 []"), |env| async move {
            let lease = env.grant(1, 60).await?;
            take(&env, "lock", lease).await?;
            let unlocked =
                env.lock.clone().unlock(UnlockRequest { key: bytes(&format!("lock/{lease:x}")) }).await?.into_inner();
            Ok(format!("{}, {}", env.show.header(&unlocked.header), env.ask_range(all()).await))
        }),
        row("1.13 an unlock of a missing key is no error", same("r+0"), |env| async move {
            let unlocked = env.lock.clone().unlock(UnlockRequest { key: bytes("none") }).await?.into_inner();
            Ok(env.show.header(&unlocked.header))
        }),
        row(
            "1.13 a lock with an unknown lease is refused, with the code lost",
            same("Unknown: etcdserver: requested lease not found"),
            |env| async move { lock(&env, "lock", env.lease_id(9)).await },
        ),
        row("1.13 a lock without a lease gets one", same("lock/L?"), |env| async move {
            let locked = env.lock.clone().lock(LockRequest { name: bytes("lock"), lease: 0 }).await?.into_inner();
            let key = text(&locked.key);
            let lease = i64::from_str_radix(key.trim_start_matches("lock/"), 16)?;
            Ok(format!("lock/{}", env.show.lease(lease)))
        }),
        row("1.13 locks of different names do not meet", same("r+1 one/L1, r+2 two/L2"), |env| async move {
            let (first, second) = (env.grant(1, 60).await?, env.grant(2, 60).await?);
            Ok(format!("{}, {}", lock(&env, "one", first).await?, lock(&env, "two", second).await?))
        }),
    ]
}
