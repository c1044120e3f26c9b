//! Contract 1.9: leases.

use std::time::Duration;

use anyhow::Context;
use fairlead_proto::etcd::etcdserverpb::*;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::env::Env;
use crate::request::*;
use crate::show::{failed, text};
use crate::stream::Answers;
use crate::table::{Answer, Row, Table, row, same};
use crate::watching::{Watching, watch};

const NOT_FOUND: &str = "NotFound: etcdserver: requested lease not found";
/// 1.5 election timeouts in whole seconds.
const TTL_MIN: i64 = 2;

/// The keys attached to a lease, as `[a b]`.
pub(crate) async fn keys(env: &Env, id: i64) -> Answer {
    let answer = env.lease.clone().lease_time_to_live(LeaseTimeToLiveRequest { id, keys: true }).await?.into_inner();
    Ok(format!("[{}]", answer.keys.iter().map(|key| text(key)).collect::<Vec<_>>().join(" ")))
}

async fn grant(env: &Env, id: i64, ttl: i64) -> String {
    match env.lease.clone().lease_grant(LeaseGrantRequest { id, ttl }).await {
        Ok(granted) => {
            let granted = granted.into_inner();
            format!(
                "{} {} ttl={} {:?}",
                env.show.header(&granted.header),
                env.show.lease(granted.id),
                granted.ttl,
                granted.error
            )
        }
        Err(status) => failed(&status),
    }
}

async fn revoke(env: &Env, id: i64) -> String {
    match env.lease.clone().lease_revoke(LeaseRevokeRequest { id }).await {
        Ok(revoked) => env.show.header(&revoked.into_inner().header),
        Err(status) => failed(&status),
    }
}

/// The answers to keep-alives of `ids`, sent on one stream.
async fn keep_alive(env: &Env, ids: &[i64]) -> Answer {
    let (requests, stream) = mpsc::channel(16);
    let mut client = env.lease.clone();
    let mut answers = Answers::of(async move { client.lease_keep_alive(ReceiverStream::new(stream)).await });
    let mut shown = Vec::new();
    for id in ids {
        requests.send(LeaseKeepAliveRequest { id: *id }).await?;
        let answer = answers.next().await??.context("end of stream")?;
        shown.push(format!("{} {} ttl={}", env.show.header(&answer.header), env.show.lease(answer.id), answer.ttl));
    }
    Ok(shown.join(", "))
}

async fn attach(env: &Env, lease: i64, keys: &[&str]) -> anyhow::Result<()> {
    for key in keys {
        env.kv.clone().put(PutRequest { lease, ..put(key, "1") }).await?;
    }
    Ok(())
}

/// The lease rows, on a cluster of their own: several of them wait for time to pass.
pub(crate) fn table() -> Table {
    let mut rows = grant_rows();
    rows.extend(question_rows());
    rows.extend(keep_alive_rows());
    rows.extend(expiry_rows());
    Table { title: "leases", members: 3, args: &[], rows }
}

fn grant_rows() -> Vec<Row> {
    vec![
        row("1.9 a grant without an id picks a positive one", same("positive, another"), |env| async move {
            let ask = || async {
                anyhow::Ok(env.lease.clone().lease_grant(LeaseGrantRequest { ttl: 60, id: 0 }).await?.into_inner().id)
            };
            let (first, second) = (ask().await?, ask().await?);
            Ok(format!(
                "{}, {}",
                if first > 0 { "positive" } else { "not positive" },
                if first == second { "the same" } else { "another" }
            ))
        }),
        row("1.9 a grant with an id takes it", same("r+0 L1 ttl=60 \"\""), |env| async move {
            Ok(grant(&env, env.lease_id(1), 60).await)
        }),
        row(
            "1.9 a grant with a taken id is refused",
            same("FailedPrecondition: etcdserver: lease already exists"),
            |env| async move {
                env.grant(1, 60).await?;
                Ok(grant(&env, env.lease_id(1), 60).await)
            },
        ),
        row(
            "1.9 a TTL below the minimum is raised to it",
            same(format!("r+0 L1 ttl={TTL_MIN} \"\"")),
            |env| async move { Ok(grant(&env, env.lease_id(1), 1).await) },
        ),
        row("1.9 a TTL of 0 is raised to the minimum", same(format!("r+0 L1 ttl={TTL_MIN} \"\"")), |env| async move {
            Ok(grant(&env, env.lease_id(1), 0).await)
        }),
        row(
            "1.9 a negative TTL is raised to the minimum",
            same(format!("r+0 L1 ttl={TTL_MIN} \"\"")),
            |env| async move { Ok(grant(&env, env.lease_id(1), -5).await) },
        ),
        row("1.9 the largest TTL is accepted", same("r+0 L1 ttl=9000000000 \"\""), |env| async move {
            Ok(grant(&env, env.lease_id(1), 9_000_000_000).await)
        }),
        row("1.9 a larger TTL is refused", same("OutOfRange: etcdserver: too large lease TTL"), |env| async move {
            Ok(grant(&env, env.lease_id(1), 9_000_000_001).await)
        }),
        row("1.9 a negative id is a lease like any other", same("r+0 L=-77 ttl=60 \"\", r+0"), |env| async move {
            let granted = grant(&env, -77, 60).await;
            Ok(format!("{granted}, {}", revoke(&env, -77).await))
        }),
        row(
            "1.9 a revoke deletes the attached keys in sorted order in one revision",
            same("r+4, DELETE a=(c0,m+4,v0); DELETE b=(c0,m+4,v0); DELETE c=(c0,m+4,v0)"),
            |env| async move {
                let id = env.grant(1, 60).await?;
                attach(&env, id, &["c", "a", "b"]).await?;
                let mut stream = Watching::open(&env);
                stream.created(watch("\0", "\0")).await?;
                let revoked = revoke(&env, id).await;
                Ok(format!("{revoked}, {}", stream.events(3).await?))
            },
        ),
        row("1.9 a revoke of an unknown lease is refused", same(NOT_FOUND), |env| async move {
            Ok(revoke(&env, env.lease_id(9)).await)
        }),
        row("1.9 a revoke frees the id", same("r+0, r+0 L1 ttl=60 \"\""), |env| async move {
            let id = env.grant(1, 60).await?;
            let revoked = revoke(&env, id).await;
            Ok(format!("{revoked}, {}", grant(&env, id, 60).await))
        }),
        row("1.9 a revoked lease cannot be attached", same(NOT_FOUND), |env| async move {
            let id = env.grant(1, 60).await?;
            revoke(&env, id).await;
            Ok(env.ask_put(PutRequest { lease: id, ..put("a", "1") }).await)
        }),
    ]
}

fn question_rows() -> Vec<Row> {
    vec![
        row("1.9 time to live says the rest and what was granted", same("r+0 L1 60 of 60 []"), |env| async move {
            let id = env.grant(1, 60).await?;
            let answer =
                env.lease.clone().lease_time_to_live(LeaseTimeToLiveRequest { id, keys: true }).await?.into_inner();
            anyhow::ensure!((58..=60).contains(&answer.ttl), "{} of 60 s left", answer.ttl);
            Ok(format!(
                "{} {} 60 of {} {:?}",
                env.show.header(&answer.header),
                env.show.lease(answer.id),
                answer.granted_ttl,
                answer.keys
            ))
        }),
        row("1.9 time to live of an unknown lease is -1", same("r+0 L9 ttl=-1 granted=0"), |env| async move {
            let id = env.lease_id(9);
            let answer =
                env.lease.clone().lease_time_to_live(LeaseTimeToLiveRequest { id, keys: true }).await?.into_inner();
            Ok(format!(
                "{} {} ttl={} granted={}",
                env.show.header(&answer.header),
                env.show.lease(answer.id),
                answer.ttl,
                answer.granted_ttl
            ))
        }),
        row("1.9 time to live lists the attached keys", same("a b"), |env| async move {
            let id = env.grant(1, 60).await?;
            attach(&env, id, &["b", "a"]).await?;
            let shown = keys(&env, id).await?;
            let mut sorted: Vec<_> = shown.trim_matches(['[', ']']).split(' ').collect();
            sorted.sort_unstable();
            Ok(sorted.join(" "))
        }),
        row("1.9 time to live without keys lists none", same("0"), |env| async move {
            let id = env.grant(1, 60).await?;
            attach(&env, id, &["a"]).await?;
            let answer =
                env.lease.clone().lease_time_to_live(LeaseTimeToLiveRequest { id, keys: false }).await?.into_inner();
            Ok(answer.keys.len().to_string())
        }),
        row("1.9 the leader lists leases by expiry", same("r+0 L2 L3 L1"), |env| async move {
            // Only the leader knows when a lease ends.
            let leader = env.cluster.wait_leader(Duration::from_secs(5)).await?;
            let env = env.on(&leader).await?;
            for (n, ttl) in [(1, 90), (2, 30), (3, 60)] {
                env.grant(n, ttl).await?;
            }
            let listed = env.lease.clone().lease_leases(LeaseLeasesRequest {}).await?.into_inner();
            let ids: Vec<_> = listed.leases.iter().map(|lease| env.show.lease(lease.id)).collect();
            Ok(format!("{} {}", env.show.header(&listed.header), ids.join(" ")))
        }),
        row("1.9 a lease granted at one member is known at another", same("60"), |env| async move {
            let id = env.grant(1, 60).await?;
            let elsewhere = env.elsewhere().await?;
            elsewhere.ask_range(get("a")).await;
            let answer = elsewhere
                .lease
                .clone()
                .lease_time_to_live(LeaseTimeToLiveRequest { id, keys: false })
                .await?
                .into_inner();
            Ok(answer.granted_ttl.to_string())
        }),
    ]
}

fn keep_alive_rows() -> Vec<Row> {
    vec![
        row("1.9 a keep-alive answers with the granted TTL", same("r+0 L1 ttl=60"), |env| async move {
            let id = env.grant(1, 60).await?;
            keep_alive(&env, &[id]).await
        }),
        row(
            "1.9 a keep-alive of an unknown lease answers 0 and the stream stays",
            same("r+0 L9 ttl=0, r+0 L1 ttl=60"),
            |env| async move {
                let id = env.grant(1, 60).await?;
                keep_alive(&env, &[env.lease_id(9), id]).await
            },
        ),
        row("1.9 one answer a keep-alive", same("r+0 L1 ttl=60, r+0 L2 ttl=30, r+0 L1 ttl=60"), |env| async move {
            let (first, second) = (env.grant(1, 60).await?, env.grant(2, 30).await?);
            keep_alive(&env, &[first, second, first]).await
        }),
        row("1.9 a keep-alive at every member, whoever leads", same("ttl=60 ttl=60 ttl=60"), |env| async move {
            let id = env.grant(1, 60).await?;
            let mut shown = Vec::new();
            for member in env.cluster.members() {
                let answer = keep_alive(&env.on(member.name()).await?, &[id]).await?;
                shown.push(answer.rsplit(' ').next().unwrap_or_default().to_owned());
            }
            Ok(shown.join(" "))
        }),
        row("1.9 a keep-alive just after the grant elsewhere finds the lease", same("20 of 20"), |env| async move {
            let elsewhere = env.elsewhere().await?;
            let mut kept = 0;
            for n in 1..=20 {
                let id = env.grant(n, 60).await?;
                kept += i32::from(keep_alive(&elsewhere, &[id]).await?.ends_with("ttl=60"));
            }
            Ok(format!("{kept} of 20"))
        }),
        row("1.9 a keep-alive restores the full TTL", same("restored"), |env| async move {
            let id = env.grant(1, 6).await?;
            let left = || async {
                let asked = env.lease.clone().lease_time_to_live(LeaseTimeToLiveRequest { id, keys: false }).await?;
                anyhow::Ok(asked.into_inner().ttl)
            };
            tokio::time::sleep(Duration::from_millis(2500)).await;
            let before = left().await?;
            keep_alive(&env, &[id]).await?;
            let after = left().await?;
            anyhow::ensure!(before <= 4 && after >= 5, "{before} s before, {after} s after");
            Ok("restored".to_owned())
        }),
    ]
}

fn expiry_rows() -> Vec<Row> {
    vec![
        row(
            "1.9 expiry deletes the attached keys in sorted order in one revision",
            same("DELETE a=(c0,m+3,v0); DELETE b=(c0,m+3,v0)"),
            |env| async move {
                let id = env.grant(1, 2).await?;
                attach(&env, id, &["b", "a"]).await?;
                let mut stream = Watching::open(&env);
                stream.created(watch("\0", "\0")).await?;
                stream.events(2).await
            },
        ),
        row("1.9 a lease lives its TTL and not much longer", same("in time"), |env| async move {
            let granted = Instant::now();
            let id = env.grant(1, 3).await?;
            attach(&env, id, &["a"]).await?;
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            stream.events(1).await?;
            let lived = granted.elapsed();
            anyhow::ensure!(lived >= Duration::from_secs(3) && lived < Duration::from_millis(5500), "lived {lived:?}");
            Ok("in time".to_owned())
        }),
        row("1.9 an expired lease is unknown", same(format!("{NOT_FOUND}, r+2 L1 ttl=0")), |env| async move {
            let id = env.grant(1, 2).await?;
            attach(&env, id, &["a"]).await?;
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            stream.events(1).await?;
            let revoked = revoke(&env, id).await;
            Ok(format!("{revoked}, {}", keep_alive(&env, &[id]).await?))
        }),
        row(
            "1.9 a key moved to another lease survives the first one's expiry",
            same("r+4 count=1 [a=1(c+1,m+2,v2,L2)]"),
            |env| async move {
                let (short, long) = (env.grant(1, 2).await?, env.grant(2, 60).await?);
                attach(&env, short, &["a"]).await?;
                attach(&env, long, &["a"]).await?;
                attach(&env, short, &["b"]).await?;
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { filters: vec![0], ..watch("b", "") }).await?;
                stream.events(1).await?;
                Ok(env.ask_range(all()).await)
            },
        ),
        row("1.9 a kept lease does not expire", same("r+1 count=1 [a=1(c+1,m+1,v1,L1)]"), |env| async move {
            let id = env.grant(1, 2).await?;
            attach(&env, id, &["a"]).await?;
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                keep_alive(&env, &[id]).await?;
            }
            Ok(env.ask_range(get("a")).await)
        }),
        row("1.9 a lease survives a change of leader", same("kept, then gone"), |env| async move {
            let id = env.grant(1, 6).await?;
            attach(&env, id, &["a"]).await?;
            let leader = env.cluster.wait_leader(Duration::from_secs(5)).await?;
            let others: Vec<_> = env.cluster.members().iter().filter(|member| member.name() != leader).collect();
            let target = env.on(others[0].name()).await?.show.member_id;
            let at_leader = env.on(&leader).await?;
            at_leader.maintenance.clone().move_leader(MoveLeaderRequest { target_id: target }).await?;
            let mut stream = Watching::open(&env);
            stream.created(watch("a", "")).await?;
            let moved = Instant::now();
            anyhow::ensure!(env.ask_range(get("a")).await.contains("count=1"), "gone with the leader");
            stream.events(1).await?;
            // The new leader starts the lease anew, by an election timeout more.
            let lived = moved.elapsed();
            anyhow::ensure!(
                lived > Duration::from_secs(5) && lived < Duration::from_millis(9500),
                "lived {lived:?} more"
            );
            Ok("kept, then gone".to_owned())
        }),
    ]
}
