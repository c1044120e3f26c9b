//! Contract 1.13: the election service.

use std::time::Duration;

use anyhow::Context;
use fairlead_proto::etcd::etcdserverpb::LeaseRevokeRequest;
use fairlead_proto::etcd::v3electionpb::*;
use tokio::time::timeout;

use crate::env::Env;
use crate::request::*;
use crate::show::{failed, text};
use crate::stream::Answers;
use crate::table::{Answer, Row, row, same};

/// A candidate must still wait after this.
const WAITS_FOR: Duration = Duration::from_millis(300);

async fn campaign(env: &Env, name: &str, lease: i64, value: &str) -> anyhow::Result<LeaderKey> {
    let request = CampaignRequest { name: bytes(name), lease, value: bytes(value) };
    env.election.clone().campaign(request).await?.into_inner().leader.context("no leader key")
}

fn shown(env: &Env, key: &LeaderKey) -> String {
    let by_number = text(&key.key).replace(&format!("{:x}", key.lease), &env.show.lease(key.lease));
    format!("{} {by_number} rev{} {}", text(&key.name), env.show.revision(key.rev), env.show.lease(key.lease))
}

async fn leader(env: &Env, name: &str) -> String {
    match env.election.clone().leader(LeaderRequest { name: bytes(name) }).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            let value = answer.kv.map(|kv| text(&kv.value)).unwrap_or_default();
            format!("{} {value}", env.show.header(&answer.header))
        }
        Err(status) => failed(&status),
    }
}

async fn proclaim(env: &Env, leader: Option<LeaderKey>, value: &str) -> String {
    match env.election.clone().proclaim(ProclaimRequest { leader, value: bytes(value) }).await {
        Ok(answer) => env.show.header(&answer.into_inner().header),
        Err(status) => failed(&status),
    }
}

async fn resign(env: &Env, leader: Option<LeaderKey>) -> String {
    match env.election.clone().resign(ResignRequest { leader }).await {
        Ok(answer) => env.show.header(&answer.into_inner().header),
        Err(status) => failed(&status),
    }
}

fn observe(env: &Env) -> Answers<LeaderResponse> {
    let mut client = env.election.clone();
    Answers::of(async move { client.observe(LeaderRequest { name: bytes("vote") }).await })
}

/// The next item of an observer.
async fn observed(stream: &mut Answers<LeaderResponse>) -> Answer {
    let item = stream.next().await??;
    Ok(item.and_then(|item| item.kv).map(|kv| text(&kv.value)).unwrap_or_default())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = office_rows();
    rows.extend(refusal_rows());
    rows
}

fn office_rows() -> Vec<Row> {
    vec![
        row("1.13 a campaign without rivals wins", same("vote vote/L1 rev+1 L1, r+1 me"), |env| async move {
            let lease = env.grant(1, 60).await?;
            let key = campaign(&env, "vote", lease, "me").await?;
            Ok(format!("{}, {}", shown(&env, &key), leader(&env, "vote").await))
        }),
        row(
            "1.13 a campaign again with another value proclaims it",
            same("vote vote/L1 rev+1 L1, r+2 other"),
            |env| async move {
                let lease = env.grant(1, 60).await?;
                campaign(&env, "vote", lease, "me").await?;
                let key = campaign(&env, "vote", lease, "other").await?;
                Ok(format!("{}, {}", shown(&env, &key), leader(&env, "vote").await))
            },
        ),
        row(
            "1.13 a second candidate waits for the resignation",
            same("r+3, vote vote/L2 rev+2 L2, r+3 two"),
            |env| async move {
                let (first, second) = (env.grant(1, 60).await?, env.grant(2, 60).await?);
                let key = campaign(&env, "vote", first, "one").await?;
                let waiter = tokio::spawn({
                    let env = env.clone();
                    async move { campaign(&env, "vote", second, "two").await }
                });
                tokio::pin!(waiter);
                anyhow::ensure!(timeout(WAITS_FOR, &mut waiter).await.is_err(), "two leaders");
                let resigned = resign(&env, Some(key)).await;
                let key = timeout(Duration::from_secs(5), &mut waiter).await.context("not woken")???;
                Ok(format!("{resigned}, {}, {}", shown(&env, &key), leader(&env, "vote").await))
            },
        ),
        row("1.13 an office goes with its lease", same("vote vote/L2 rev+2 L2"), |env| async move {
            let (first, second) = (env.grant(1, 60).await?, env.grant(2, 60).await?);
            campaign(&env, "vote", first, "one").await?;
            let waiter = tokio::spawn({
                let env = env.clone();
                async move { campaign(&env, "vote", second, "two").await }
            });
            tokio::pin!(waiter);
            anyhow::ensure!(timeout(WAITS_FOR, &mut waiter).await.is_err(), "two leaders");
            env.lease.clone().lease_revoke(LeaseRevokeRequest { id: first }).await?;
            let key = timeout(Duration::from_secs(5), &mut waiter).await.context("not woken")???;
            Ok(shown(&env, &key))
        }),
        row("1.13 a proclamation changes the value", same("r+2, r+2 new"), |env| async move {
            let lease = env.grant(1, 60).await?;
            let key = campaign(&env, "vote", lease, "me").await?;
            let proclaimed = proclaim(&env, Some(key), "new").await;
            Ok(format!("{proclaimed}, {}", leader(&env, "vote").await))
        }),
        row("1.13 an observer sees leader after leader", same("one, new, two"), |env| async move {
            let (first, second) = (env.grant(1, 60).await?, env.grant(2, 60).await?);
            let key = campaign(&env, "vote", first, "one").await?;
            let mut stream = observe(&env);
            let one = observed(&mut stream).await?;
            proclaim(&env, Some(key.clone()), "new").await;
            let new = observed(&mut stream).await?;
            resign(&env, Some(key)).await;
            campaign(&env, "vote", second, "two").await?;
            Ok(format!("{one}, {new}, {}", observed(&mut stream).await?))
        }),
        row("1.13 an observer waits for a first leader", same("one"), |env| async move {
            let lease = env.grant(1, 60).await?;
            let mut stream = observe(&env.elsewhere().await?);
            anyhow::ensure!(stream.next_within(WAITS_FOR).await.is_none(), "observed before anybody led");
            campaign(&env, "vote", lease, "one").await?;
            observed(&mut stream).await
        }),
        row("1.13 a resignation ends the office", same("r+2, Unknown: election: no leader"), |env| async move {
            let lease = env.grant(1, 60).await?;
            let key = campaign(&env, "vote", lease, "me").await?;
            let resigned = resign(&env, Some(key)).await;
            Ok(format!("{resigned}, {}", leader(&env, "vote").await))
        }),
    ]
}

fn refusal_rows() -> Vec<Row> {
    vec![
        row(
            "1.13 no leader",
            same("Unknown: election: no leader"),
            |env| async move { Ok(leader(&env, "vote").await) },
        ),
        row(
            "1.13 a campaign with an unknown lease is refused, with the code lost",
            same("Unknown: etcdserver: requested lease not found"),
            |env| async move {
                let request = CampaignRequest { name: bytes("vote"), lease: env.lease_id(9), value: bytes("") };
                Ok(match env.election.clone().campaign(request).await {
                    Ok(_) => "won".to_owned(),
                    Err(status) => failed(&status),
                })
            },
        ),
        row(
            "1.13 a proclamation without a leader key is refused",
            same("Unknown: \"leader\" field must be provided"),
            |env| async move { Ok(proclaim(&env, None, "new").await) },
        ),
        row(
            "1.13 a resignation without a leader key is refused",
            same("Unknown: \"leader\" field must be provided"),
            |env| async move { Ok(resign(&env, None).await) },
        ),
        row(
            "1.13 a proclamation at the wrong revision is refused",
            same("Unknown: election: not leader"),
            |env| async move {
                let lease = env.grant(1, 60).await?;
                let key = campaign(&env, "vote", lease, "me").await?;
                Ok(proclaim(&env, Some(LeaderKey { rev: key.rev + 1, ..key }), "new").await)
            },
        ),
        row("1.13 a resignation at the wrong revision changes nothing", same("r+1, r+1 me"), |env| async move {
            let lease = env.grant(1, 60).await?;
            let key = campaign(&env, "vote", lease, "me").await?;
            let resigned = resign(&env, Some(LeaderKey { rev: key.rev + 1, ..key })).await;
            Ok(format!("{resigned}, {}", leader(&env, "vote").await))
        }),
        row(
            "1.13 a proclamation after the resignation is refused",
            same("Unknown: election: not leader"),
            |env| async move {
                let lease = env.grant(1, 60).await?;
                let key = campaign(&env, "vote", lease, "me").await?;
                resign(&env, Some(key.clone())).await;
                Ok(proclaim(&env, Some(key), "new").await)
            },
        ),
    ]
}
